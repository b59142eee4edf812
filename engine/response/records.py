"""Cells under treatments, and what a method of predicting their response is.

A treatment is an arm: a row of doses, of which arm 0 is the control. What is known of a cell
beside it, its covariates (cell type, donor), is its stratum: one joint level of all of them.
"Predicting Cellular Responses with Variational Causal Inference and Refined Relational
Information" (graphVCI) writes T for the doses and X for the covariates.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from jaxtyping import Array, Bool, Float, Int
from numpy import ndarray

from epistax.engine.fit import Hook
from epistax.engine.types import Info, Keys


class Design(NamedTuple):
    """Which arms and strata there are; r perturbations, the control the first of them."""

    arms: Float[Array | ndarray, "a r"]  # doses; arm 0 is (1, 0, ...)
    strata: Int[Array | ndarray, "c m"]  # level of each covariate


class Cells(NamedTuple):
    """n cells: expression, log1p of counts in units of a common library, arm and stratum."""

    y: Float[Array | ndarray, "n g"]
    arm: Int[Array | ndarray, "n"]
    stratum: Int[Array | ndarray, "n"]


class Data(NamedTuple):
    """What a method learns from; cells of a held-out arm and stratum are not among them.

    validation decides when to stop and what to keep, nothing else. strongest marks the genes by
    which an arm differs most from the control of a stratum (its DE genes).
    """

    design: Design
    train: Cells
    validation: Cells
    strongest: Bool[Array | ndarray, "c a g"]


class Predicted(NamedTuple):
    """Mean and sd of what would be measured of each cell under another arm, of each of m fits."""

    mean: Float[Array | ndarray, "m n g"]
    sd: Float[Array | ndarray, "m n g"]


class Method(NamedTuple):
    """How responses are predicted: fit trains one model a key, side by side, on the same data.

    Fitted is a pytree of arrays, with the fits along the leading axis of every leaf. predict takes
    cells as they were measured, and the arm wanted of each. Hooks are those of `engine.fit`.
    """

    fit: Callable[[Keys, Data, Sequence[Hook]], tuple[Any, Info]]
    predict: Callable[[Any, Cells, Int[Array | ndarray, "n"]], Predicted]


def rows(cells: Cells, index: Int[Array | ndarray, "n"]) -> Cells:
    """These cells."""
    return Cells(*(x[index] for x in cells))
