"""How well group means and single cells are predicted.

"Predicting Cellular Responses with Variational Causal Inference and Refined Relational
Information", the evaluation: R2 across genes between the mean of a group (a stratum and an arm)
and the mean of what is predicted for it, averaged over the groups with enough cells; for all
genes, and for the DE genes of the group. A control mean scores high there, so R2 and Pearson of
the change from the control are told too.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from numpy import ndarray

from epistax.engine.types import Scalar


class Targets(NamedTuple):
    """k groups to be predicted, and what their cells measured."""

    stratum: Int[ndarray, "k"]
    arm: Int[ndarray, "k"]
    count: Int[ndarray, "k"]
    mean: Float[ndarray, "k g"]
    control: Float[ndarray, "k g"]  # mean control of the stratum
    strongest: Bool[ndarray, "k g"]  # DE genes


class Scores(NamedTuple):
    """Means over groups; nan where there is none."""

    r2_all: Float[Array, "m"]
    r2_de: Float[Array, "m"]
    r2_change_all: Float[Array, "m"]
    r2_change_de: Float[Array, "m"]
    pearson_change_de: Float[Array, "m"]


def r2(
    measured: Float[Array | ndarray, "g"],
    predicted: Float[Array | ndarray, "g"],
    genes: Bool[Array | ndarray, "g"],
) -> Scalar:
    """1 - squared error over squared departure from the mean, of these genes; nan without any."""
    n = jnp.sum(genes)
    mean = jnp.sum(jnp.where(genes, measured, 0)) / n
    error = jnp.sum(jnp.where(genes, (measured - predicted) ** 2, 0))
    total = jnp.sum(jnp.where(genes, (measured - mean) ** 2, 0))
    return jnp.where(total > 0, 1 - error / jnp.where(total > 0, total, 1), jnp.nan)


def pearson(
    measured: Float[Array | ndarray, "g"],
    predicted: Float[Array | ndarray, "g"],
    genes: Bool[Array | ndarray, "g"],
) -> Scalar:
    """Correlation over these genes; nan where one of the two is constant."""
    n = jnp.sum(genes)
    x, y = (
        jnp.where(genes, v - jnp.sum(jnp.where(genes, v, 0)) / n, 0) for v in (measured, predicted)
    )
    # a rounding of the mean is no variation
    floor = 1e-12 * n * (1 + jnp.max(jnp.abs(jnp.where(genes, predicted, 0)))) ** 2
    size = jnp.sum(x**2) * jnp.sum(y**2)
    there = (jnp.sum(y**2) > floor) & (size > 0)
    return jnp.where(there, jnp.sum(x * y) / jnp.sqrt(jnp.where(there, size, 1)), jnp.nan)


def scored(targets: Targets, predicted: Float[Array | ndarray, "m k g"]) -> Scores:
    """The figures of m predictions of the groups."""
    found = figures(
        *(jnp.asarray(x, jnp.float32) for x in (targets.mean, targets.control)),
        jnp.asarray(targets.strongest),
        jnp.asarray(predicted, jnp.float32),
    )
    return Scores(*(mean_of(np.asarray(x, np.float64)) for x in found))


@jax.jit
def figures(
    mean: Float[Array, "k g"],
    control: Float[Array, "k g"],
    strongest: Bool[Array, "k g"],
    predicted: Float[Array, "m k g"],
) -> tuple[Float[Array, "m k"], ...]:
    """Every figure of every group, in the order of `Scores`."""
    every = jnp.ones_like(strongest)

    def each(name, one, base, genes):  # type: ignore[no-untyped-def]
        return jax.vmap(jax.vmap(name, (0, 0, 0)), (None, 0, None))(one, base, genes)

    change, told = mean - control, predicted - control[None]
    return (
        each(r2, mean, predicted, every),
        each(r2, mean, predicted, strongest),
        each(r2, change, told, every),
        each(r2, change, told, strongest),
        each(pearson, change, told, strongest),
    )


def mean_of(values: Float[ndarray, "m k"]) -> Float[ndarray, "m"]:
    """Mean over the groups that have a figure."""
    there = np.isfinite(values)
    total = np.where(there, values, 0).sum(1)
    return np.where(there.any(1), total / np.maximum(there.sum(1), 1), np.nan)


def reachable(targets: Targets, variance: Float[ndarray, "k g"]) -> Scores:
    """The figures that the true means would have, expected: what sampling noise leaves.

    The noise of a group's mean is its cells' variance over their number. With D its sum over
    genes, R2 is 1 - D / SS, and a correlation its root.
    """
    noise = variance / np.maximum(targets.count, 1)[:, None]
    every = np.ones_like(targets.strongest)
    change = targets.mean - targets.control

    def each(values: Float[ndarray, "k g"], genes: Bool[ndarray, "k g"]) -> Float[ndarray, "k"]:
        n = np.maximum(genes.sum(1), 1)[:, None]
        centred = values - np.where(genes, values, 0).sum(1, keepdims=True) / n
        total = np.where(genes, centred**2, 0).sum(1)
        left = np.where(genes, noise, 0).sum(1)
        return np.where(total > 0, 1 - left / np.where(total > 0, total, 1), np.nan)

    of_change = each(change, targets.strongest)
    found = (
        each(targets.mean, every),
        each(targets.mean, targets.strongest),
        each(change, every),
        of_change,
        np.sqrt(np.maximum(of_change, 0)),
    )
    return Scores(*(mean_of(x[None]) for x in found))
