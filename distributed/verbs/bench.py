"""`epistax bench SUITE`: speed and memory against a reference measured in the same run."""

import importlib
import os
from collections.abc import Iterator, Sequence
from typing import Any

from epistax.distributed.errors import BadInput
from epistax.distributed.options.bench import SUITES, Bench
from epistax.distributed.record import dumps
from epistax.distributed.rundir import RunDir

PLATFORMS = {"cpu": "cpu", "gpu": "cuda,cpu"}


def run(options: Bench) -> Iterator[dict[str, Any]]:
    """The suite's records as they are measured; with --out also in results.jsonl."""
    if options.device is not None:
        # read by jax when it is imported, here and in the children that measure memory
        os.environ["JAX_PLATFORMS"] = PLATFORMS[options.device]
    if options.out is None:
        yield from records(options)
        return
    with RunDir.open(options) as directory:
        if directory.finished:
            yield from directory.summary["measurements"]
            return
        found = []
        for record in records(options):
            found.append(record)
            directory.write("results.jsonl", "".join(dumps(r, indent=None) + "\n" for r in found))
            yield record
        directory.finish({"measurements": found})


def records(options: Bench) -> Iterator[dict[str, Any]]:
    """Open the one door to the suites."""
    from epistax.benchmarks import harness

    try:
        harness.device()
    except RuntimeError as error:
        raise BadInput(f"--device: {options.device} is not there: {error}") from None
    suite = importlib.import_module(SUITES[options.suite]).suite
    yield from suite(size=options.size, repeats=options.repeats, seed=options.seed)


def describe(found: Sequence[dict[str, Any]]) -> str:
    """A table for a human."""
    head = ("name", "size", "ours", "reference", "", "ratio", "peak MB")
    rows = [head] + [
        (
            r["name"],
            " ".join(f"{k}={v}" for k, v in r["size"].items()),
            f"{r['ours_seconds']:.4g} s",
            *(
                ("-", "", "-")  # measured alone
                if r["reference"] is None
                else (f"{r['reference_seconds']:.4g} s", r["reference"], f"{r['ratio']:.3g}")
            ),
            f"{r['peak_rss_mb']:.0f}",
        )
        for r in found
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows]
    device = [f"on {found[0]['device']}"] if found else []
    return "\n".join(lines + device)
