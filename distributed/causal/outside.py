"""Where samples leave the range of training, and what a linear decoder looks like.

"Towards Learning Cell Causal-Embeddings", section 6 and figures 5 to 14: known linear worlds,
environments that add T to the noise of one latent, T from -20 to 20. Only where the vectors of a
file are these offsets is the vector of any other environment known.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import polars as pl

from epistax.distributed.causal.dividing import Division
from epistax.distributed.causal.encoding import drawn, put
from epistax.distributed.causal.tables import OOD, ROTATION, TURNED, Fit
from epistax.distributed.causal.truth import Linear, Truth
from epistax.engine.causal import anchors, curves, rotation
from epistax.engine.causal.anchors import Law
from epistax.engine.causal.records import Method
from epistax.engine.causal.scaling import Scaling
from epistax.engine.types import Keys

SAMPLES = 1000
STRAIGHT = 1e-3  # how far a decoder may be from linear, as a share of what it adds
DRAWN = 3  # every so many of the angles of a curve is kept


class World(NamedTuple):
    """A linear world as a method sees it: features on their scale."""

    division: Division
    linear: Linear
    added: np.ndarray  # [e, d], what environments add to the noises: the vectors
    scale: Scaling | None

    @property
    def spread(self) -> np.ndarray:
        """What features are divided by."""
        one = np.ones(len(self.linear.mixing))
        return one if self.scale is None else self.scale.spread.astype(np.float64)

    @property
    def moves(self) -> np.ndarray:
        """What one unit of each noise adds to the features, [g, d]; not scaled."""
        return anchors.moves(self.linear.mixing, self.linear.edges)


def world(division: Division, truth: Truth | None, scale: Scaling | None) -> World | None:
    """The world of the samples, where it is linear and the vectors are offsets."""
    if truth is None or truth.linear is None:
        return None
    d, vectors = len(truth.linear.sd), division.table.every.vectors
    added = (truth.target[:, None] == np.arange(d)[None, :]) * truth.offset[:, None]
    if vectors.shape != added.shape or not np.allclose(added, vectors, atol=1e-4):
        return None
    return World(division, truth.linear, added, scale)


def curve(
    each: Sequence[Fit], keys: Keys, method: Method, fits: Any, world: World, latents: int
) -> list[pl.DataFrame]:
    """Errors outside by direction and offset, beside those of the best linear models."""

    def mean(own: Any, told: Any) -> Any:
        return method.decode(fits, method.encode(fits, own, told).mean, told)

    def sampled(own: Any, told: Any) -> Any:
        z = method.encode(fits, own, told)
        draws = z.mean + jnp.exp(z.log_sd) * drawn(keys, z.mean.shape[1:])
        return method.decode(fits, draws, told)

    table, offsets, frames = world.division.table, curves.OFFSETS, []
    rows = np.flatnonzero(world.division.base[table.environment])[:SAMPLES]
    for k, move in enumerate(world.moves.T):
        vectors = np.zeros((len(offsets), len(world.linear.sd)), np.float32)
        vectors[:, k] = offsets
        moved = [table.x[rows] + t * move[None, :] for t in offsets]
        x = np.stack([put(world.scale, one, clip=False) for one in moved]).astype(np.float32)
        errors, others = (curves.outside(one, x, vectors) for one in (mean, sampled))
        exact = anchored(world, move, latents)
        for place, fit in enumerate(each):
            columns = {
                "model": [fit.label] * len(offsets),
                "seed": [fit.seed] * len(offsets),
                "direction": [k] * len(offsets),
                "offset": offsets,
                "error": errors[place].astype(np.float64),
                "sampled": others[place].astype(np.float64),
                "anchor": exact[0],
                "anchor_vae": exact[1],
            }
            frames.append(pl.DataFrame(columns, schema=OOD))
    return frames


def anchored(world: World, move: np.ndarray, latents: int) -> list[np.ndarray]:
    """Exact errors of a linear autoencoder, and of a linear variational one."""
    added = world.added[~world.division.held]
    law = anchors.law(world.moves, world.linear.sd, added, noise=world.linear.noise)
    spread = world.spread
    square = spread[:, None] * spread[None, :]
    law = Law(law.mean / spread, law.covariance / square, law.within / square)
    keeps = anchors.projection(law, latents), anchors.shrinkage(law, latents)
    return [anchors.error(keep, law, move / spread, curves.OFFSETS) for keep in keeps]


def columns(method: Method, fits: Any, m: int, d: int, width: int) -> np.ndarray | None:
    """M~ of m linear decoders, [m, g, d]; none where what is added is not in a straight line."""
    points = np.concatenate([np.zeros((1, d)), np.eye(d), 2 * np.eye(d), -np.eye(d)])
    z = np.broadcast_to(points.astype(np.float32)[None], (m, len(points), d))
    told = np.asarray(method.decode(fits, z, np.zeros((len(points), width), np.float32)))
    found = told[:, 1 : d + 1] - told[:, :1]
    for first, times in ((d + 1, 2.0), (2 * d + 1, -1.0)):
        gap = told[:, first : first + d] - told[:, :1] - times * found
        if not np.abs(gap).max() <= STRAIGHT * max(np.abs(found).max(), 1e-12):
            return None
    return found.transpose(0, 2, 1).astype(np.float64)


def turned(
    each: Sequence[Fit], found: np.ndarray, world: World
) -> tuple[list[pl.DataFrame], list[pl.DataFrame]]:
    """How the rows of M~ meet those of M, turned: the common angle, and the whole curves."""
    true, features = world.linear.mixing / world.spread[:, None], world.division.table.genes
    rows, frames = [], []
    for fit, own in zip(each, found, strict=True):
        fitted, entangled = rotation.scaled(true, own), rotation.decomposed(true, own).entangled
        for flip in (False, True):
            one = rotation.turned(true, own, flip=flip)
            angle, distance = rotation.ANGLES[::DRAWN], one.distance[::DRAWN]
            rows.append((fit.label, fit.seed, flip, one.angle, one.mean_distance, one.spread,
                         fitted.angle, fitted.residual, entangled))  # fmt: skip
            columns = {
                "model": [fit.label] * distance.size,
                "seed": [fit.seed] * distance.size,
                "flip": [flip] * distance.size,
                "feature": list(features) * len(angle),
                "angle": np.repeat(angle, len(features)),
                "distance": distance.ravel(),
            }
            frames.append(pl.DataFrame(columns, schema=TURNED))
    return [pl.DataFrame(rows, schema=ROTATION, orient="row")], frames
