"""`epistax bench`: speed and memory against a reference in the same run; two runs compared."""

import importlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from epistax.distributed.errors import BadInput
from epistax.distributed.options.bench import SUITES, Bench, BenchCompare
from epistax.distributed.progress import Progress
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
    names = list(SUITES) if options.suite == "all" else [options.suite]
    with Progress("bench", quiet=options.quiet) as progress:
        progress.start(len(names))
        for name in names:
            suite = importlib.import_module(SUITES[name]).suite
            for record in suite(size=options.size, repeats=options.repeats, seed=options.seed):
                progress.advance(0, note=record["name"])
                yield record
            progress.advance(note=name)


def compare(options: BenchCompare) -> dict[str, Any]:
    """What became faster, what slower; exit code 3 if something is beyond the gate."""
    from epistax.benchmarks import compare as comparison

    before, after = (measurements(path) for path in (options.before, options.after))
    found: dict[str, Any] = comparison.compare(before, after, options.gate)
    if not found["compared"]:
        raise BadInput(
            f"{options.after}: no measurement of name, size, reference and device as in "
            f"{options.before}: give two files of the same suite and machine"
        )
    return found | {"exit_code": 3 if found["slower"] else 0}


def measurements(path: str) -> list[dict[str, Any]]:
    """A file's measurements; what is wrong with it in one line."""
    from epistax.benchmarks import compare as comparison

    try:
        found: list[dict[str, Any]] = comparison.read(Path(path))
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise BadInput(
            f"{path}: {error}: give what epistax bench --json printed, or its results.jsonl"
        ) from None
    return found


def describe(found: Sequence[dict[str, Any]] | Mapping[str, Any]) -> str:
    """A table for a human."""
    return compared(found) if isinstance(found, Mapping) else measured(found)


def compared(found: Mapping[str, Any]) -> str:
    """A comparison: the slowest change first."""
    rows = sorted(found["compared"], key=lambda row: -row["change"])
    head = ("name", "size", "before", "after", "slower by", "judged by")
    cells = [
        (
            row["name"],
            in_words(row["size"]),
            f"{row['before_ours_seconds']:.4g} s",
            f"{row['after_ours_seconds']:.4g} s",
            f"{row['change']:.3g}" + (" !" if row["slower"] else ""),
            "ratio to reference" if row["by"] == "ratio" else "seconds",
        )
        for row in rows
    ]
    only = [f"only in the {w} file: {len(found[f'only_{n}'])}" for w, n in
            (("first", "before"), ("second", "after")) if found[f"only_{n}"]]  # fmt: skip
    close = f"{found['slower']} of {len(rows)} slower by more than {found['gate']:g} (marked !)"
    return "\n".join([aligned([head, *cells]), close, *only])


def in_words(size: Mapping[str, Any]) -> str:
    """The size of a problem."""
    return " ".join(f"{k}={v}" for k, v in size.items())


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Columns under each other."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows
    )


def measured(found: Sequence[dict[str, Any]]) -> str:
    """Measurements as they came; fitted exponents in lines of their own."""
    head = ("name", "size", "ours", "reference", "", "ratio", "peak MB")
    rows = [head] + [
        (
            r["name"],
            in_words(r["size"]),
            f"{r['ours_seconds']:.4g} s",
            *(
                ("-", "", "-")  # measured alone
                if r["reference"] is None
                else (f"{r['reference_seconds']:.4g} s", r["reference"], f"{r['ratio']:.3g}")
            ),
            f"{r['peak_rss_mb']:.0f}",
        )
        for r in found
        if "ours_seconds" in r
    ]
    others = [
        "  ".join([r["name"], *(f"{k}={v}" for k, v in r.items() if k not in ("name", "size"))])
        for r in found
        if "ours_seconds" not in r
    ]
    device = next(([f"on {r['device']}"] for r in found if "device" in r), [])
    return "\n".join([aligned(rows), *others, *device])
