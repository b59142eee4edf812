"""The genes by which an arm differs most from the control of its stratum: its DE genes.

Welch's t of every gene, group against control, ranked by size; as the published evaluation selects
them (scanpy's t-test). `borrowed` selects without looking at held-out cells.
"""

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from epistax.engine.response.strata import Groups

STRONGEST = 50  # genes of a group
CONTROL = 0  # the arm


def welch(groups: Groups) -> Float[ndarray, "c a g"]:
    """Welch's t of each group against the control of its stratum.

    0 where a gene varies in neither; nan where a group, or the control, has less than two cells.
    """
    n = groups.count.astype(np.float64)[:, :, None]
    error = groups.variance / np.maximum(n, 1)
    squared = error + error[:, :1]
    difference = groups.mean - groups.mean[:, :1]
    t = np.where(squared > 0, difference / np.sqrt(np.where(squared > 0, squared, 1.0)), 0.0)
    enough = (n > 1) & (n[:, :1] > 1)
    return np.where(enough, t, np.nan)


def strongest(t: Float[ndarray, "c a g"], count: int = STRONGEST) -> Bool[ndarray, "c a g"]:
    """The genes of largest |t| in each group; none of the control and of groups without t."""
    size = np.nan_to_num(np.abs(t), nan=-1.0)
    order = np.argsort(-size, axis=2, kind="stable")[:, :, :count]
    chosen = np.zeros(t.shape, bool)
    np.put_along_axis(chosen, order, True, axis=2)
    chosen &= ~np.isnan(t)
    chosen[:, CONTROL] = False
    return chosen


def borrowed(t: Float[ndarray, "c a g"], held: Bool[ndarray, "c a"]) -> Float[ndarray, "c a g"]:
    """T with that of held-out groups taken from the other strata of their arm: sum / sqrt(number).

    The t of a held-out group itself is not used; nan where no other stratum has one.
    """
    known = np.where(held[:, :, None], np.nan, t)
    there = ~np.isnan(known)
    number = there.sum(0)
    pooled = np.where(there, known, 0.0).sum(0) / np.sqrt(np.maximum(number, 1))
    pooled = np.where(number > 0, pooled, np.nan)
    return np.where(held[:, :, None], pooled[None], known)
