"""The table of speed and memory out of the committed results of the suites.

    python -m epistax.benchmarks.ledger RESULTS... [--write speed.md] [--figure growth.png]

prints the tables of the measurements in those files (records of `epistax bench --json`); with
--write they take the place of what stands between the marks in that file.
"""

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Record = dict[str, Any]
BEGIN, END = "<!-- tables: ledger -->", "<!-- end: ledger -->"
ABOUT = {
    "moments.all_pairs": "mean and sd of every pair",
    "round.ucb": "best pairs of all by mean + sd",
    "round.ids": "a round of `ids-var`, measured pairs left out",
    "mmd.estimate": "MMD of every pair of a screen",
    "mmd.pvalue": "MMD with p-values",
    "knn.kl": "KL by nearest neighbours",
    "rank": "nearest pairs of all by single effects",
    "rank.features": "mean random features of every gene",
    "rank.exact": "exact MMD of pairs",
    "rank.cosine": "nearest pairs by cosine",
    "critic.train": "training of critics",
    "svi.steps": "steps of low-rank SVI",
    "svi.cold": "a belief from nothing",
    "svi.warm": "a belief after a further batch",
    "effects.campaign": "a campaign of NAIAD ensembles",
    "effects.campaign.blind": "the same, no looks at other rows",
    "effects.default": "a fit of the default model of effects",
    "response.epoch.dot": "an epoch of graphVCI, keys of genes",
    "response.epoch.att": "the same, keys of genes and cells",
    "response.default": "a fit of the default model of responses",
    "causal.vae": "a causal embedding, steps of small networks",
    "causal.epoch": "the same, an epoch of expression profiles",
    "io.pairs": "reading a pair table",
    "io.cells": "reading cells",
    "ray.overhead": "publishing chunks",
    "ray.scaling": "tests of pairs by two workers",
    "ray.pinned": "the same, against one of two cores",
    "ray.draws": "posterior draws by workers",
}
QUIET = ("seed", "precision", "function")  # of a size: not shown


def main() -> None:
    """Print or write the tables; draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", nargs="+", type=Path)
    parser.add_argument("--write", type=Path, help="a page with the marks of these tables")
    parser.add_argument("--figure", type=Path, help="a picture of how cost grows")
    options = parser.parse_args()
    records = read(options.results)
    made = tables(records)
    if options.write is None:
        print(made)
    else:
        page = options.write.read_text(encoding="utf-8")
        head, _, rest = page.partition(BEGIN)
        options.write.write_text(
            f"{head}{BEGIN}\n{made}\n{END}{rest.partition(END)[2]}", encoding="utf-8"
        )
    if options.figure is not None:
        figure(records).savefig(options.figure, dpi=130)


def read(paths: Iterable[Path]) -> list[Record]:
    """All lines of all files."""
    return [json.loads(line) for path in paths for line in path.open(encoding="utf-8")]


def tables(records: Sequence[Record]) -> str:
    """Speed beside references, shares of what the machine can do, exponents of growth."""
    timed = [r for r in records if "ours_seconds" in r]
    grown = {r["name"].removesuffix(".exponent") for r in records if "seconds_exponent" in r}
    plain = [r for r in timed if r["name"] not in grown and not r["name"].startswith("limit.")]
    parts = [table(("measurement", "size", "ours", "reference", "ratio", "peak memory"),
                   map(row, plain))]  # fmt: skip
    rates = [r for r in timed if r["name"].startswith("limit.")]
    if rates:
        head = ("what the machine can do, and how much of it kernels reach", "size", "seconds",
                "rate or share")  # fmt: skip
        parts.append(table(head, map(reached, rates)))
    fitted = [r for r in records if "seconds_exponent" in r]
    if fitted:
        head = ("growth", "sizes", "exponent of seconds", "of peak memory")
        parts.append(table(head, map(slope, fitted)))
    return "\n\n".join(parts)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def row(r: Record) -> list[str]:
    """One measurement."""
    ours = f"{r['ours_seconds']:.3g} s" + spent(r.get("cpu_seconds"), r.get("compile_seconds"))
    theirs, ratio = "–", "–"
    if r.get("reference_seconds"):
        cpu = spent(r.get("reference_cpu_seconds"), None)
        theirs = f"{r['reference']}: {r['reference_seconds']:.3g} s{cpu}"
        ratio = number(r["ratio"])
    elif r.get("missing"):
        theirs = f"not installed: {r['missing']}"
    peak = f"{r['peak_rss_mb']:,.0f} MB" if r.get("peak_rss_mb") else "–"
    about = ABOUT.get(r["name"])
    name = f"{about} (`{r['name']}`)" if about else f"`{r['name']}`"
    return [name, in_words(r["size"]), ours, theirs, ratio, peak]


def reached(r: Record) -> list[str]:
    """One limit, or one kernel beside it."""
    for key, unit, scale in (
        ("flops_per_second", "Gflop/s", 1e9),
        ("bytes_per_second", "GB/s", 1e9),
        ("values_per_second", "billion values/s", 1e9),
    ):
        if key in r:
            said = f"{r[key] / scale:,.3g} {unit}"
    if "share" in r:
        said = f"{r['share']:.0%} of the limit ({r['limit_seconds']:.3g} s)"
    kind = r["size"].get("precision")
    name = r["name"].removeprefix("limit.") + (f", {kind}" if kind else "")
    return [f"`{name}`", in_words(r["size"]), f"{r['ours_seconds']:.3g}", said]


def slope(r: Record) -> list[str]:
    """One fitted growth."""
    axis, grown = next(iter(r["size"].items()))
    sizes = f"{axis} {', '.join(f'{n:,}' for n in grown)}"
    cells = [f"{r['seconds_exponent']:.2f}", f"{r['memory_exponent']:.2f}"]
    for key, value in r.items():
        kind, _, since = key.partition("_exponent_from_")
        if since:
            cells[kind == "memory"] += f" ({value:.2f} from {int(since):,})"
    return [f"`{r['name'].removeprefix('growth.').removesuffix('.exponent')}`", sizes, *cells]


def spent(cpu: float | None, compiled: float | None) -> str:
    """Processor and compile seconds, where there are such."""
    parts = [f"{cpu:.3g} processor s"] if cpu else []
    parts += [f"compiled in {compiled:.2g} s"] if compiled and compiled > 0.05 else []
    return f" ({'; '.join(parts)})" if parts else ""


def number(value: float) -> str:
    """Three digits, no exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def in_words(size: Mapping[str, Any]) -> str:
    """The size of a problem."""
    return ", ".join(
        f"{v:,} {k}" if k.endswith("s") else f"{k} {v:,}" if isinstance(v, int) else f"{k} {v}"
        for k, v in size.items()
        if k not in QUIET
    )


def figure(records: Sequence[Record]) -> Any:
    """Seconds by size of every operation of which growth was measured, on log axes."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    fitted = [r for r in records if "seconds_exponent" in r]
    columns = 4
    rows = -(-len(fitted) // columns)
    made = Figure(figsize=(3.1 * columns, 2.6 * rows), layout="constrained")
    panels = made.subplots(rows, columns, squeeze=False).flat
    for r, panel in zip(fitted, panels, strict=False):
        (axis, sizes), name = next(iter(r["size"].items())), r["name"].removesuffix(".exponent")
        found = {x["size"][axis]: x["ours_seconds"] for x in records if x["name"] == name
                 and axis in x["size"]}  # fmt: skip
        seconds = np.array([found[n] for n in sizes])
        panel.loglog(sizes, seconds, "o-", color="#3b528b")
        panel.set_title(f"{name.removeprefix('growth.')}: {r['seconds_exponent']:.2f}", fontsize=9)
        panel.set_xlabel(axis, fontsize=8)
        panel.set_ylabel("seconds", fontsize=8)
        panel.tick_params(labelsize=7, which="both")
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.yaxis.set_minor_formatter(NullFormatter())
    for panel in list(panels):
        panel.set_axis_off()
    return made


if __name__ == "__main__":
    main()
