"""What belongs to an environment beside its perturbation, as numbers behind its vector.

Zeros mean the commonest of the controls: a word is one column for every level but that one; a
number stands by how far it is from the controls' commonest, in sds over the perturbed samples, on
a log scale where all numbers are positive. What controls do not have (a dose) is zero of theirs.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from epistax.distributed.errors import BadInput
from epistax.distributed.flags import did_you_mean
from epistax.distributed.formats.where import Where, listed, short
from epistax.distributed.labels import UNASSIGNED


class Covariate(NamedTuple):
    """How a column of samples becomes columns of vectors."""

    name: str
    levels: tuple[str, ...]  # of words; the reference is left out
    reference: str  # of words
    logarithm: bool  # of numbers
    centre: float
    sd: float  # 0 of words

    @property
    def width(self) -> int:
        """Columns of the vector."""
        return 1 if self.sd else len(self.levels)

    def coded(self, values: pl.Series, control: np.ndarray, where: Where) -> np.ndarray:
        """Its columns [n, width]. BadInput for what the fit has not seen, or is none."""
        if self.sd:
            number = numbers(values)
            if number is None:
                bad = np.flatnonzero(values.cast(pl.Float64, strict=False).is_null().to_numpy())
                raise where.fault(bad, values[int(bad[0])], "is not a number", "correct it")
            number = np.where(control & (number <= 0), np.nan, number) if self.logarithm else number
            bad = np.flatnonzero(number <= 0) if self.logarithm else np.zeros(0, int)
            if len(bad):
                remedy = "the others are taken as logarithms; correct it"
                raise where.fault(bad, values[int(bad[0])], "is not positive", remedy)
            scaled = (np.log10(number) if self.logarithm else number) - self.centre
            return np.nan_to_num(scaled / self.sd)[:, None]
        place = {name: k for k, name in enumerate(self.levels)} | {self.reference: -1}
        for name in dict.fromkeys(values.drop_nulls()):
            if name not in place:
                near = did_you_mean(name, place)
                raise BadInput(
                    f"{where.source}: {self.name} {short(name)} was not learned{near}; it is one "
                    f"of {listed(sorted(place))}"
                )
        code = np.array([place.get(name, -1) for name in values])
        return (code[:, None] == np.arange(len(self.levels))[None, :]).astype(float)


def learned(values: pl.Series, control: np.ndarray) -> Covariate:
    """What the samples say of a column; null where nothing is known."""
    number = numbers(values)
    if number is None:
        common = commonest(values.filter(pl.Series(control))) or commonest(values) or ""
        return Covariate(values.name, others(values, common), common, False, 0.0, 0.0)
    known = np.isfinite(number)
    asked = number[known & ~control]
    logarithm = bool(len(asked)) and bool((asked > 0).all())
    usable = known & (number > 0) if logarithm else known
    scaled = np.log10(np.where(usable, number, 1.0)) if logarithm else number
    own = usable & control
    there = pl.Series(scaled[own]) if own.any() else None
    sample = scaled[usable & ~control] if (usable & ~control).any() else scaled[usable]
    centre = float(commonest_number(there) if there is not None else sample.mean())
    return Covariate(values.name, (), "", logarithm, centre, float(sample.std()) or 1.0)


def numbers(values: pl.Series) -> np.ndarray | None:
    """A column of numbers, NaN where nothing is known; None where some are words."""
    cast = values.cast(pl.Float64, strict=False)
    if cast.null_count() > values.null_count() or values.null_count() == len(values):
        return None
    return cast.fill_null(float("nan")).to_numpy()


def cleaned(values: pl.Series) -> pl.Series:
    """Words trimmed, null where nobody knows; 10.0 and 10 are one."""
    word = values.cast(pl.String).str.strip_chars()
    word = pl.select(
        pl.when(word.str.to_lowercase().is_in(list(UNASSIGNED))).then(None).otherwise(word)
    ).to_series().alias(values.name)  # fmt: skip
    number = numbers(word)
    if number is None:
        return word
    told = [None if np.isnan(value) else f"{value:.6g}" for value in number]
    return pl.Series(values.name, told, pl.String)


def names(covariates: Sequence[pl.Series], perturbation: pl.Series) -> pl.Series:
    """Environments: `A`, or `A|A375|10` with covariates; `-` where there is none."""
    parts = [perturbation, *(values.fill_null("-") for values in covariates)]
    return pl.select(pl.concat_str(parts, separator="|")).to_series()


def commonest(values: pl.Series) -> str | None:
    """The word that most have, the first by code point of several."""
    count = values.drop_nulls().value_counts()
    if not count.height:
        return None
    return str(count.sort(["count", values.name], descending=[True, False])[values.name][0])


def commonest_number(values: pl.Series) -> float:
    """The number that most have, the smallest of several."""
    count = values.alias("x").value_counts().sort(["count", "x"], descending=[True, False])
    return float(count["x"][0])


def others(values: pl.Series, reference: str) -> tuple[str, ...]:
    """All levels but one, sorted."""
    return tuple(sorted(set(values.drop_nulls()) - {reference}))
