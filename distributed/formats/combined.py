"""Combinations with a number each, as a run tells them and files of other tools take them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from scipy.special import ndtr

from epistax.distributed.errors import BadInput
from epistax.distributed.formats.where import short
from epistax.engine.stats.fdr import benjamini_hochberg

SINGLE = "negative"  # what NAIAD writes beside a gene alone


@dataclass(frozen=True)
class Combined:
    """q combinations of names, in the order of the run, and the single effects it knows."""

    members: tuple[tuple[str, ...], ...]  # [q], two names or more in a row
    score: np.ndarray  # float64 [q]
    p: np.ndarray  # float64 [q], p-value of the score; NaN where it has none
    q: np.ndarray  # float64 [q], the same adjusted for their number
    sd: np.ndarray  # float64 [q], of a predicted score; NaN of a measured one
    count: np.ndarray  # int64 [q], observations behind each; 1 where unknown
    signed: bool  # whether scores below zero are as far from nothing as those above
    singles: Mapping[str, float] = field(default_factory=dict)
    lacking: int = 0  # combinations of the run that have no score

    @property
    def expected(self) -> np.ndarray:
        """The sum of the single effects of each combination, NaN where one is unknown."""
        lacking = float("nan")
        return np.array([sum(self.singles.get(name, lacking) for name in row)
                         for row in self.members])  # fmt: skip

    def tails(self, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Two-sided p-values of values by sd, and adjusted: how far from zero they are told."""
        with np.errstate(divide="ignore", invalid="ignore"):
            p = 2 * ndtr(-np.abs(value / self.sd))
        return p, benjamini_hochberg(p)


def members(frame: pl.DataFrame) -> tuple[tuple[str, ...], ...]:
    """Names of the columns a, b, c and so on, as far as there are any."""
    columns = [name for name in frame.columns if len(name) == 1]
    rows = frame.select(columns).iter_rows()
    return tuple(tuple(name for name in row if name is not None) for row in rows)


def refuse_sign(names: Sequence[str], sign: str, tool: str) -> None:
    """BadInput for a name that holds the sign by which a tool joins names."""
    holding = next((name for name in names if sign in name), None)
    if holding is not None:
        raise BadInput(
            f"--to: {short(holding)} holds {sign!r}, by which {tool} joins names; rename it in the "
            "data, or choose another shape"
        )


def write_naiad(found: Combined) -> bytes:
    """`id1,id2,score` as NAIAD reads it, id3 and so on of larger rows, singles last."""
    rows = [*found.members, *((name, SINGLE) for name in found.singles)]
    width = max(map(len, rows))
    columns = {
        f"id{k + 1}": pl.Series([row[k] if k < len(row) else None for row in rows], dtype=pl.String)
        for k in range(width)
    }
    score = np.r_[found.score, [*found.singles.values()]]
    return pl.DataFrame(columns | {"score": score}).write_csv().encode()
