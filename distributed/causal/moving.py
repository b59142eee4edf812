"""How environments move latents: encoded marginals, and the priors, beside the reference."""

from typing import Any, NamedTuple

import numpy as np

from epistax.distributed.causal.coding import nearest
from epistax.distributed.causal.dividing import Division
from epistax.engine.causal import disentanglement, outlook, targets
from epistax.engine.causal.disentanglement import Marginals
from epistax.engine.causal.records import Latents, Method

KEPT = 300  # samples of the base that a profile is predicted from


class Moves(NamedTuple):
    """Of one fit, a row an environment."""

    mean: np.ndarray  # [e, d], of the encoded samples
    sd: np.ndarray
    shift: np.ndarray  # of the mean, from its reference in sds of that
    divergence: np.ndarray  # of the marginal from that of the reference, nats
    prior_mean: np.ndarray
    prior_sd: np.ndarray


def moves(method: Method, fits: Any, latents: Latents, division: Division) -> list[Moves]:
    """Of every fit, all environments."""
    table = division.table
    every, e = table.every, len(table.every.names)
    prior = method.prior(fits, every.vectors)
    own = nearest(every.vectors, every.vectors[division.base], table.coding.table.shape[1])
    base = np.flatnonzero(division.base)
    found = []
    for k in range(len(latents.mean)):
        marginal = disentanglement.marginals(
            latents.mean[k], latents.log_sd[k], table.environment, environments=e
        )
        beside = pooled(marginal, table.count, [base[rows] for rows in own])
        found.append(
            Moves(
                np.asarray(marginal.mean),
                np.sqrt(np.asarray(marginal.variance)),
                np.asarray(disentanglement.shifts(marginal, beside)),
                np.asarray(disentanglement.divergences(marginal, beside)),
                np.asarray(prior.mean[k]),
                np.exp(np.asarray(prior.log_sd[k])),
            )
        )
    return found


def pooled(marginal: Marginals, count: np.ndarray, groups: list[np.ndarray]) -> Marginals:
    """The marginals of the samples of several environments together, a row a group."""
    mean, variance = (np.asarray(part, np.float64) for part in marginal)
    done: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}
    for rows in groups:
        if rows.tobytes() not in done:
            weight = (count[rows] / count[rows].sum())[:, None]
            centre = (weight * mean[rows]).sum(0)
            spread = (weight * (variance[rows] + (mean[rows] - centre[None, :]) ** 2)).sum(0)
            done[rows.tobytes()] = centre, spread
    both = [done[rows.tobytes()] for rows in groups]
    return Marginals(*(np.stack(part).astype(np.float32) for part in zip(*both, strict=True)))


class Told(NamedTuple):
    """Of environments: profiles of m fits [m, k, g], and sds over the samples."""

    mean: np.ndarray
    sd: np.ndarray


def profiles(
    method: Method,
    fits: Any,
    vectors: np.ndarray,
    base: list[np.ndarray],
    base_vectors: np.ndarray,
    width: int,
) -> Told:
    """Predicted profiles of environments of these vectors; base: scaled samples of each row."""
    found = []
    for vector, rows in zip(vectors, nearest(vectors, base_vectors, width), strict=True):
        one = int(rows[0])
        seen = outlook.predicted(method, fits, base[one], base_vectors[one], vector)
        found.append([np.asarray(part) for part in seen])
    return Told(*(np.stack(part, axis=1) for part in zip(*found, strict=True)))


def bases(division: Division) -> list[np.ndarray]:
    """Samples of every base environment: as many of each, evenly chosen or repeated."""
    of = division.table.environment
    rows = [np.flatnonzero(of == e) for e in np.flatnonzero(division.base)]
    size = min(KEPT, max(map(len, rows)))  # of one length, so that programs compile once
    return [one[(np.arange(size) * len(one)) // size] for one in rows]


class Named(NamedTuple):
    """How well the latents of a fit are the true ones; none where nobody knows."""

    disentanglement: float | None  # 1: every environment moves one latent
    mcc: float | None
    f1: float | None
    target_accuracy: float | None


def named(
    one: Moves, mean: np.ndarray, c: np.ndarray | None, target: np.ndarray | None,
    base: np.ndarray, judged: np.ndarray,
) -> Named:  # fmt: skip
    """Of one fit: latents matched on samples of the base, targets of the environments judged.

    mean [n, d]: encoded means; base: bool [n]; judged: bool [e].
    """
    score = None
    if judged.any() and np.isfinite(one.divergence[judged]).all():
        score = float(np.asarray(disentanglement.score(one.divergence[judged])).mean())
    if c is None or target is None or not np.isfinite(mean).all():
        return Named(score, None, None, None)
    match = targets.matched(mean[base], c[base])
    rows = judged & (target >= 0)
    if not rows.any():
        return Named(score, match.mcc, None, None)
    said = targets.scores(targets.named(one.shift[rows], match), target[rows])
    return Named(score, match.mcc, said.f1, said.accuracy)
