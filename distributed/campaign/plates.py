"""From chosen pairs to rows for the laboratory: replicates, plates, wells, controls.

Without --plate-size all rows stand on plate 1 in the order of choice. With it, the pairs of every
set of replicates are dealt to plates and wells at random, so that neither follows the order of
choice; the controls stand evenly among the wells in use.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from epistax.distributed.campaign.constraints import Constraints

SHAPES = {
    6: (2, 3), 12: (3, 4), 24: (4, 6), 48: (6, 8), 96: (8, 12), 384: (16, 24), 1536: (32, 48),
}  # fmt: skip
COLUMNS = ("a", "b", "acquisition", "predicted", "sd", "plate", "reason", "campaign")


@dataclass(frozen=True)
class Pick:
    """A chosen pair; figures are text, empty where there is none."""

    a: str
    b: str
    acquisition: str
    predicted: str
    sd: str
    reason: str


def rows(
    picks: Sequence[Pick],
    made: Constraints,
    *,
    key: str,
    control: str,
    sep: str,
    seed: Sequence[int],
) -> tuple[tuple[str, ...], list[list[str]]]:
    """Columns and rows of a proposal: pairs in the order of choice, replicates, then controls."""
    entries = list(picks)
    for n in range(2, made.replicates + 1):
        entries += [Pick(x.a, x.b, "", "", "", f"replicate {n} of {x.a}{sep}{x.b}") for x in picks]
    plate, well, used = deal(len(picks), made, np.random.default_rng(list(seed)))
    for number, wells in enumerate(used, 1):
        entries += [Pick(control, control, "", "", "", "control")] * len(wells)
        plate += [number] * len(wells)
        well += wells
    found = []
    for entry, number, position in zip(entries, plate, well, strict=True):
        line = [entry.a, entry.b, entry.acquisition, entry.predicted, entry.sd, str(number)]
        at = [] if made.plate_size is None else [name(position, made.plate_size)]
        found.append([*line, *at, entry.reason, key])
    columns = COLUMNS if made.plate_size is None else (*COLUMNS[:6], "well", *COLUMNS[6:])
    return columns, found


def deal(
    pairs: int, made: Constraints, rng: np.random.Generator
) -> tuple[list[int], list[int], list[list[int]]]:
    """Plate (from 1) and well (from 0) of every replicate of every pair; controls by plate."""
    total = pairs * made.replicates
    if made.plate_size is None:
        return [1] * total, list(range(total)), [list(range(total, total + made.controls))]
    room = made.plate_size - made.controls
    # each set of replicates in an order of its own: two wells of a pair lie on two plates if any
    order = np.concatenate(
        [n * pairs + rng.permutation(pairs) for n in range(made.replicates)]
    ).astype(int)
    plate, well = np.zeros(total, int), np.zeros(total, int)
    controls = []
    for number, first in enumerate(range(0, total, room)):
        here = order[first : first + room]
        in_use = len(here) + made.controls
        kept = [int((k + 0.5) * in_use / made.controls) for k in range(made.controls)]
        plate[here] = number + 1
        well[here] = rng.permutation(np.setdiff1d(np.arange(in_use), kept))
        controls.append(kept)
    return plate.tolist(), well.tolist(), controls


def name(position: int, size: int) -> str:
    """The well's name, row by row: A01, A02, ..., B01; its number on plates of no usual form."""
    if size not in SHAPES:
        return str(position + 1)
    row, column = divmod(position, SHAPES[size][1])
    letters = chr(ord("A") + row) if row < 26 else f"A{chr(ord('A') + row - 26)}"
    return f"{letters}{column + 1:02d}"
