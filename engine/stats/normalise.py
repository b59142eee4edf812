"""Make observations comparable: subtract each batch's control, whiten by the noise.

Statistics in float64 on the host; results in the type of the data.
"""

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

FLOOR = 1e-3  # of the largest eigenvalue: less is taken as this much
ROUNDING = 1e-9  # of a feature's size: a mean is off by less, and less than this is no variation


def subtract_control(
    x: Float[ndarray, "n d"], control: Bool[ndarray, "n"], batch: Int[ndarray, "n"]
) -> Float[ndarray, "n d"]:
    """Subtract the mean of the controls of its batch from x; every batch must have one."""
    size = int(batch.max()) + 1
    count = np.bincount(batch[control], minlength=size)
    if (count[np.unique(batch)] == 0).any():
        bare = int(np.flatnonzero((count == 0) & np.isin(np.arange(size), batch))[0])
        raise ValueError(f"batch {bare} has no control; centre on something else")
    sums = np.zeros((size, x.shape[1]))
    np.add.at(sums, batch[control], x[control].astype(np.float64))
    mean = sums / np.maximum(count, 1)[:, None]
    return x - mean.astype(x.dtype)[batch]


def whitening(x: Float[ndarray, "n d"], group: Int[ndarray, "n"]) -> Float[ndarray, "d d"]:
    """The W with x @ W of unit covariance within groups.

    Every feature is first given unit variance; eigenvalues below FLOOR of the largest are then
    raised to it. ValueError for a feature that varies within no group.
    """
    within, dof = departures(x, group)
    sd = np.sqrt((within**2).sum(axis=0) / dof)
    if not (sd > 0).all():
        flat = int(np.flatnonzero(sd == 0)[0])
        raise ValueError(f"feature {flat} does not vary within groups; leave it out")
    scaled = within / sd
    values, vectors = np.linalg.eigh(scaled.T @ scaled / dof)
    values = np.maximum(values, FLOOR * values[-1])
    return (vectors / np.sqrt(values)) @ vectors.T / sd[:, None]


def constant(x: Float[ndarray, "n d"], group: Int[ndarray, "n"]) -> Bool[ndarray, "d"]:
    """Which features do not vary within any group, and so cannot be whitened."""
    return (departures(x, group)[0] == 0).all(axis=0)


def departures(
    x: Float[ndarray, "n d"], group: Int[ndarray, "n"]
) -> tuple[Float[ndarray, "n d"], int]:
    """Departures from group means, 0 where but rounding, and their degrees of freedom."""
    _, number, count = np.unique(group, return_inverse=True, return_counts=True)
    sums = np.zeros((len(count), x.shape[1]))
    np.add.at(sums, number, x.astype(np.float64))
    within = x - (sums / count[:, None])[number]
    within[np.abs(within) <= ROUNDING * np.abs(x).max(axis=0)] = 0
    return within, max(len(x) - len(count), 1)
