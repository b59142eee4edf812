"""Exact errors of linear autoencoders in environments that they were not trained in.

x = M C + noise with linear latents C = (I - B)^-1 Z ("Towards Learning Cell Causal-Embeddings",
sections 6.1 to 6.3). Adding T to the noise of latent k moves the mean of x by T M (I - B)^-1 e_k;
what an autoencoder K loses of it is T^2 |(I - K) M (I - B)^-1 e_k|^2 / g per feature. A linear
autoencoder keeps the projection on the leading axes of its training samples; a linear variational
one shrinks along them (probabilistic principal components; Tipping and Bishop 1999). In 6.2 latent
1 is latent 0 plus T_1: the training samples lie on w = M_0 + M_1, and in direction 1 the loss is
T^2 |(I - ww'/|w|^2) M_1|^2 / g.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.linalg import eigh, solve_triangular

ZERO = 1e-9  # share of the largest variance below which there is none


class Law(NamedTuple):
    """Mean and covariance of training samples; the covariance within each environment."""

    mean: Float[ndarray, "g"]
    covariance: Float[ndarray, "g g"]
    within: Float[ndarray, "g g"]


def moves(mixing: Float[ndarray, "g d"], edges: Float[ndarray, "d d"]) -> Float[ndarray, "g d"]:
    """M (I - B)^-1: what one more unit of each noise adds to the features, downstream included."""
    return solve_triangular(np.eye(len(edges)) - edges, mixing.T, trans="T", lower=True).T


def law(
    moves: Float[ndarray, "g d"],
    sd: Float[ndarray, "d"],
    shift: Float[ndarray, "e d"],
    *,
    noise: float,
) -> Law:
    """Of environments with as many samples each, whose noises have means `shift` and sds `sd`."""
    centred = shift - shift.mean(axis=0)[None, :]
    within = (moves * sd[None, :] ** 2) @ moves.T + noise**2 * np.eye(len(moves))
    between = moves @ (centred.T @ centred / len(shift)) @ moves.T
    return Law(moves @ shift.mean(axis=0), within + between, within)


def projection(law: Law, width: int) -> Float[ndarray, "g g"]:
    """K of a linear autoencoder: onto the `width` leading axes that have any variance."""
    variance, axes = leading(law, width)
    axes = axes[:, variance > ZERO * variance.max()]
    return axes @ axes.T


def shrinkage(law: Law, width: int, *, variance: float = 1.0) -> Float[ndarray, "g g"]:
    """K of a linear variational autoencoder whose decoder has this variance: 1 - s^2 / lambda."""
    eigenvalues, axes = leading(law, width)
    kept = np.maximum(1 - variance / np.maximum(eigenvalues, variance), 0)
    return (axes * kept[None, :]) @ axes.T


def leading(law: Law, width: int) -> tuple[Float[ndarray, "r"], Float[ndarray, "g r"]]:
    """The largest eigenvalues of the covariance and their axes."""
    g = len(law.mean)
    return eigh(law.covariance, subset_by_index=[g - min(width, g), g - 1])


def error(
    keep: Float[ndarray, "g g"],
    law: Law,
    move: Float[ndarray, "g"],
    offsets: Float[ndarray, "t"],
) -> Float[ndarray, "t"]:
    """Mean square per feature in environments moved by each offset along `move`, on average."""
    lost = np.eye(len(keep)) - keep
    mean = (offsets[:, None] * move[None, :] - law.mean[None, :]) @ lost.T
    spread = np.trace(lost @ law.within @ lost.T)
    return ((mean**2).sum(axis=1) + spread) / len(keep)
