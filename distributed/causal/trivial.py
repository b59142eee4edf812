"""What any embedding must beat: profiles that know of no environment, and principal components."""

from collections.abc import Iterator, Set

import numpy as np

from epistax.distributed.causal.dividing import Division
from epistax.distributed.causal.encoding import by_environment
from epistax.engine.causal import principal

MEAN, CONTROL, PCA = "mean-profile", "control-profile", "pca"


def rows(
    division: Division, x: np.ndarray, widths: Set[int]
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name, error of each sample [n] and of each environment's mean profile [e]; nan: none is told.

    control-profile only where there is a reference.
    """
    of, e = division.table.environment, len(division.table.every.names)
    train = x[~division.validating]
    measured = by_environment(x.T.astype(np.float64), of, e).T
    fits = {name: principal.fitted(train, width) for width, name in names(widths).items()}
    mean = principal.fitted(train, 0).mean
    own = division.table.every.reference[of] & ~division.validating
    fixed = {MEAN: mean} | ({CONTROL: x[own].mean(0, dtype=np.float64)} if own.any() else {})
    for name, profile in fixed.items():
        square = ((x - profile[None, :]) ** 2).mean(1)
        yield name, square, ((measured - profile[None, :]) ** 2).mean(1)
    for name, fit in fits.items():
        square = ((x - principal.reconstructed(fit, x)) ** 2).mean(1)
        yield name, square, np.full(e, np.nan)


def names(widths: Set[int]) -> dict[int, str]:
    """What the components of each width are called."""
    return {width: PCA if len(widths) == 1 else f"{PCA} {width}" for width in sorted(widths)}
