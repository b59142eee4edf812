"""Arms that were never measured, from those that were: between doses, and by adding up parts."""

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray


def composed(arms: Float[ndarray, "a r"], cells: Int[ndarray, "a"]) -> Float[ndarray, "a a"]:
    """How much of every measured arm's effect goes into each arm's.

    A measured arm is itself. Else each of its perturbations is taken at its dose, on a line between
    the nearest measured doses, no effect at dose 0 and that of the largest beyond it; the effects
    of several are added. A row of 0 is the control, or has a perturbation never measured alone.
    """
    weights = np.zeros((len(arms), len(arms)))
    treated = arms[:, 1:] > 0
    alone = (treated.sum(1) == 1) & (cells > 0)
    for arm in range(1, len(arms)):
        if cells[arm] > 0:
            weights[arm, arm] = 1.0
            continue
        for part in np.flatnonzero(treated[arm]):
            known = np.flatnonzero(alone & treated[:, part])
            if not len(known):
                weights[arm] = 0.0
                break
            known = known[np.argsort(arms[known, 1 + part])]
            doses = np.concatenate([[0.0], arms[known, 1 + part]])
            for place, one in enumerate(known, 1):
                unit = np.eye(len(doses))[place]
                weights[arm, one] += np.interp(arms[arm, 1 + part], doses, unit)
    return weights
