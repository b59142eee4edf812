"""Which pair matrix a score run shows, which perturbations stand in it, and its pictures."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl

from epistax.distributed.options.score import CRITIC
from epistax.distributed.report import heatmap
from epistax.distributed.report import matrices as drawing
from epistax.distributed.report.sections.blocks import Block, Figure, Matrix, Text, plural
from epistax.distributed.report.sections.pairs import Pairs, size

MOST = 150  # perturbations of a picture
FAMILIES = ("additive", "mmd", "cosine", *CRITIC, "knn")


def matrices(pairs: Pairs, folder: Path) -> Iterator[Block]:
    """One matrix of all tests that measure a distance, or of the first test."""
    tests = compared(pairs)
    names = shown(pairs, tests[0], heatmap.most(len(tests)))
    if len(names) < 2:
        yield Text("No pair was tested, so that there is no matrix.")
        return
    frames = {test: pairs.among(test, names) for test in tests}
    known = pairs.known
    yield Text(described(pairs, tests[0], names))
    small = names if len(names) <= MOST else shown(pairs, tests[0], MOST)
    pictures = tuple(kept(pairs, frames, small, folder))
    caption = f"{', '.join(f'{size(test)} ({test})' for test in tests)} of every pair."
    if small is not names:
        caption += f" As pictures, for the {len(small):,} in the strongest pairs: "
        caption += ", ".join(f"figures/{picture.name}.svg" for picture in pictures) + "."
    data = heatmap.data(names, frames, known.pathway, known.pathways)
    yield Matrix(caption, data, pictures)


def compared(pairs: Pairs) -> list[str]:
    """The tests that measure a distance, or the first of all."""
    tests = [t for f in FAMILIES for t in pairs.tests if t.partition(":")[0] == f]
    return tests or list(pairs.tests[:1])


def kept(
    pairs: Pairs, frames: Mapping[str, pl.DataFrame], names: Sequence[str], folder: Path
) -> Iterator[Figure]:
    """A picture for every two tests; the first stays above the diagonal."""
    inside = pl.col("a").is_in(list(names)) & pl.col("b").is_in(list(names))
    rows = {test: frame.filter(inside) for test, frame in frames.items()}
    layers = {test: drawing.Layer.of(test, frame) for test, frame in rows.items()}
    (first, *others), known = list(frames), pairs.known
    ordered = drawing.order(names, rows[first], known.pathway, known.pathways)
    for below in others or [first]:
        svg = drawing.matrix(ordered, known.pathway, layers[first], layers[below])
        both = "-".join(dict.fromkeys(("matrix", first, below)))
        yield Figure(re.sub("[^a-z0-9]+", "-", both.lower()), "", svg, folder=folder)


def shown(pairs: Pairs, test: str, most: int) -> list[str]:
    """All perturbations, or those of the strongest pairs."""
    if len(pairs.names) <= most:
        return list(pairs.names)
    chosen: dict[str, None] = {}
    for a, b in pairs.strongest(test, most * most).select("a", "b").iter_rows():
        if len(chosen.keys() | {a, b}) > most:
            break
        chosen |= {a: None, b: None}
    return sorted(chosen)


def described(pairs: Pairs, test: str, names: list[str]) -> str:
    """Who is shown, in which order, and what the colours mean."""
    text = "All " + plural(len(names), "perturbation")
    if len(names) < len(pairs.names):
        total = plural(len(pairs.names), "perturbation")
        text = f"The {len(names):,} of {total} in the strongest pairs by {test}"
    by = f"average-linkage clustering of {size(test)}"
    if pairs.known.pathway:
        by = f"pathway and, inside a pathway, {by}"
    return (
        f"{text}, ordered by {by}. Colour goes with the square root of the size and is full "
        "from its 99.5 % quantile."
    )
