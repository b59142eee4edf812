"""How wide the embeddings of genes are: the more often each gene is seen, the wider.

"NAIAD", section 3.2 and appendix F.1. Table 5 names a width for each training size of its four
screens; its column of how often a gene is seen is k n / p (rows of k genes, n of them, p genes) on
the first screen and for the smallest sizes of the others, and half of it for the rest. The authors'
program has a rule of its own, narrower than the table.
"""

import math
from bisect import bisect_left, bisect_right
from typing import NamedTuple


class Screen(NamedTuple):
    """What Table 5 says of a screen: training sizes, the width at each, and what does not grow."""

    sizes: tuple[int, ...]
    widths: tuple[int, ...]
    hidden: int
    epochs: int


WIDTHS = (2, 4, 8, 16, 32, 64, 128)  # that can be chosen between
NORMAN = Screen(
    (100, 200, 500, 1000, 1500, 2000, 3000, 4000, 5000),
    (2, 4, 16, 16, 32, 64, 64, 128, 128),
    hidden=64,
    epochs=500,
)
LARGER = (500, 1000, 5000, 10000, 15000, 20000, 30000, 40000, 50000)
SIMPSON = Screen(LARGER, (2, 4, 16, 16, 32, 64, 64, 128, 128), hidden=256, epochs=200)
HORLBECK = Screen(LARGER, (4, 16, 32, 32, 64, 64, 64, 128, 128), hidden=256, epochs=200)
SCREENS = {112: NORMAN, 543: SIMPSON, 448: HORLBECK, 437: HORLBECK}  # by their number of genes
SEEN = (2, 4, 10, 20, 30, 40, 60, 80, 100)  # the column "average times all genes seen"
CODE = (0, 2, 4, 10, 30, 40, 80), (2, 2, 4, 16, 32, 64, 128)  # rows a gene, width above that
SMALL = 200  # genes up to which a screen of no table is taken to be like the first


def paper(n: int, genes: int, *, k: int = 2) -> int:
    """The width of Table 5 for n training rows of k genes, of so many genes.

    On a screen of the table (told by its number of genes) that of the largest size that is not
    above n. On any other the row whose "times seen" is nearest to k n / genes, by ratio, with the
    widths of the first screen, where that column is what it says.
    """
    if genes in SCREENS:
        screen = SCREENS[genes]
        return screen.widths[max(0, bisect_right(screen.sizes, n) - 1)]
    seen = math.log(max(k * n / genes, 1e-9))
    row = min(range(len(SEEN)), key=lambda i: abs(math.log(SEEN[i]) - seen))
    return NORMAN.widths[row]


def code(n: int, genes: int) -> int:
    """The width that the authors' program takes if given none: by the last threshold passed."""
    thresholds, widths = CODE
    return widths[max(0, bisect_left(thresholds, n / genes) - 1)]


def around(n: int, genes: int, *, k: int = 2) -> tuple[int, ...]:
    """Widths to choose between by validation loss: Table 5's first, then its neighbours."""
    at = WIDTHS.index(paper(n, genes, k=k))
    near = [at, at - 1, at + 1]
    return tuple(WIDTHS[i] for i in near if 0 <= i < len(WIDTHS))


def hidden(genes: int) -> int:
    """Units of the branch of single effects: 64 on a small screen, 256 on a large one."""
    return like(genes).hidden


def epochs(genes: int) -> int:
    """Passes over the training rows: 500 on a small screen, 200 on a large one."""
    return like(genes).epochs


def like(genes: int) -> Screen:
    """The screen of Table 5 whose settings do for one of so many genes."""
    return SCREENS.get(genes, NORMAN if genes <= SMALL else HORLBECK)
