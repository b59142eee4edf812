"""Throughput and memory against references measured in the same process run."""

if __name__ != "epistax.benchmarks":
    raise ImportError(
        f"import epistax.benchmarks, not {__name__!r}: the checkout root is on sys.path"
    )
