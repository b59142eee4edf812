"""Predictions that any model must beat: means of training cells, with no model at all."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from epistax.engine.response.differential import CONTROL
from epistax.engine.response.strata import Groups


def control_mean(train: Groups) -> Float[ndarray, "c a g"]:
    """The mean control of the stratum, whatever the arm; nan without controls."""
    known = train.count[:, CONTROL] > 0
    mean = np.where(known[:, None], train.mean[:, CONTROL], np.nan)
    return np.broadcast_to(mean[:, None], train.mean.shape).copy()


def stratum_mean(train: Groups) -> Float[ndarray, "c a g"]:
    """The mean of the group's own training cells; nan where it has none, as held out."""
    return np.where((train.count > 0)[:, :, None], train.mean, np.nan)


def control_shift(train: Groups) -> Float[ndarray, "c a g"]:
    """The mean control, plus what the arm changes in the other strata, weighted by its cells.

    nan where no other stratum has cells of the arm and controls.
    """
    control = control_mean(train)
    shift = train.mean - control
    weight = np.where(train.count[:, CONTROL] > 0, train.count.T, 0).T.astype(float)[:, :, None]
    each = weight * np.nan_to_num(shift)
    others, number = each.sum(0)[None] - each, weight.sum(0)[None] - weight
    change = np.where(number > 0, others / np.maximum(number, 1), np.nan)
    change[:, CONTROL] = 0.0
    return control + change
