"""Which pair matrices a score run shows, and which perturbations stand in them."""

import re
from collections.abc import Iterator
from pathlib import Path

from epistax.distributed.options.score import CRITIC
from epistax.distributed.report import matrices as drawing
from epistax.distributed.report.sections.blocks import Block, Figure, Figures, Text, plural
from epistax.distributed.report.sections.pairs import Pairs, size

MOST = 150  # perturbations of one matrix: what a page and an eye can hold
FAMILIES = ("additive", "mmd", "cosine", *CRITIC, "knn")


def matrices(pairs: Pairs, folder: Path) -> Iterator[Block]:
    """One matrix for every two of the tests that measure a distance; the first stays above."""
    tests = [t for f in FAMILIES for t in pairs.tests if t.partition(":")[0] == f]
    first = (tests or list(pairs.tests))[0]
    names = shown(pairs, first)
    if len(names) < 2:
        yield Text("No pair was tested, so that there is no matrix.")
        return
    layers = {test: drawing.Layer.of(test, pairs.among(test, names)) for test in tests or [first]}
    rows, known = pairs.among(first, names), pairs.known
    ordered = drawing.order(names, rows, known.pathway, known.pathways)
    yield Text(described(pairs, first, names))
    out = []
    for below in [*tests[1:]] or [first]:
        caption = f"Above the diagonal {size(first)} ({first}), below {size(below)} ({below})."
        if below == first:
            caption = f"{size(first)} ({first})."
        svg = drawing.matrix(ordered, known.pathway, layers[first], layers[below])
        both = "-".join(dict.fromkeys(("matrix", first, below)))
        name = re.sub("[^a-z0-9]+", "-", both.lower())
        out.append(Figure(name, caption, svg, folder=folder))
    yield Figures(tuple(out), wide=True)


def shown(pairs: Pairs, test: str) -> list[str]:
    """All perturbations, or those of the strongest pairs."""
    if len(pairs.names) <= MOST:
        return list(pairs.names)
    chosen: dict[str, None] = {}
    for a, b in pairs.strongest(test, MOST * MOST).select("a", "b").iter_rows():
        if len(chosen.keys() | {a, b}) > MOST:
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
        "from its 99.5 % quantile; point at a square for its pair and figures."
    )
