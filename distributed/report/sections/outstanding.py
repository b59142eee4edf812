"""What stands out in a score run: a volcano and a rank plot of each test, with the best named."""

import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from epistax.distributed.report import outstanding as drawing
from epistax.distributed.report import pictures
from epistax.distributed.report.sections.blocks import Block, Figure, Figures, Heading, plural
from epistax.distributed.report.sections.matrix import compared
from epistax.distributed.report.sections.pairs import Pairs, size, symbol

NAMED = 12  # pairs of a picture
TESTS = 4  # that are drawn
DOTS = 20_000  # of a cloud, beside those named


def outstanding(pairs: Pairs, folder: Path) -> Iterator[Block]:
    """The pictures of the tests that measure a distance; nothing where no pair was tested."""
    drawn = [f for test in compared(pairs)[:TESTS] for f in pictures_of(pairs, test, folder)]
    if drawn:
        yield Heading("What stands out")
        yield Figures(tuple(drawn))


def pictures_of(pairs: Pairs, test: str, folder: Path) -> Iterator[Figure]:
    """A volcano where there are q-values, and the pairs by rank."""
    every = pairs.tested(test)
    if every.height < 2:
        return
    name = re.sub("[^a-z0-9]+", "-", test.lower())
    best = pairs.strongest(test, NAMED)
    few = every if every.height <= DOTS else every.sample(DOTS, seed=0)
    has_q = pl.col("q_value").is_not_null()
    if (sure := best.filter(has_q)).height:
        found = every.filter(pl.col("q_value") <= drawing.LEVEL).height
        beyond = every.filter(pl.col("q_value") < drawing.FLOOR).height
        said = (
            f"Volcano of {test}: {found:,} of {plural(every.height, 'pair')} at q ≤ "
            f"{drawing.LEVEL:g}; the {sure.height} with the least p are named."
        )
        said += f" {beyond:,} below {drawing.FLOOR:g} stand at the edge." if beyond else ""
        said += f" Drawn: {DOTS:,} at random, and those named." if few is not every else ""
        figure = drawing.volcano(few.filter(has_q), sure, symbol(test))
        yield Figure(f"volcano-{name}", said, *pictures.rendered("volcano", figure), folder)
    scores = every["score"].sort(descending=True)
    falling = {"descending": [True, False, False]}
    largest = every.sort("score", "a", "b", **falling).head(NAMED)
    total = plural(every.height, "pair")
    said = f"{size(test)} of {total} by rank; the {largest.height} largest are named."
    figure = drawing.ranked(scores.to_numpy(), largest, symbol(test), size(test))
    yield Figure(f"ranks-{name}", said, *pictures.rendered("ranks", figure), folder)
