"""Two latents: errors in environments far from those trained in, and the rotation that matches.

"Towards Learning Cell Causal-Embeddings", figures 5 to 8 and 11 to 14.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jaxtyping import Float
from numpy import ndarray

from epistax.benchmarks.environmentdata import world
from epistax.engine.causal import anchors, curves, principal, rotation
from epistax.engine.causal.records import Method
from epistax.engine.simulate import scm

OFFSETS = np.linspace(-20.0, 20.0, 41)
SAMPLES = 10_000  # of each environment that is trained on,
FAR = 1000  # and of each that is not
# by default, but with the decoder of the paper: it begins at the components
LINEAR = {"decoder": "linear", "epochs": 100, "batch": 256}
THIN = 8  # angles between two that are written
MODELS = {  # what the figures show, by case
    "independent": ("vae",),
    "dependent": ("vae",),
    "two-environments": ("vae", "environment", "conditional"),
}


def two(seed: int, trained: Callable[..., Any]) -> Iterator[dict[str, Any]]:
    """A line a case, model and direction, with the anchors; and one a case of a linear one."""
    for case, models in MODELS.items():
        made = scm.two(jax.random.key(seed), case, SAMPLES)
        w = world(made)
        mixing, edges = (np.asarray(x, float) for x in (made.world.mixing, made.world.edges))
        move = anchors.moves(mixing, edges)
        law = learned_law(made, move)
        far = [outside(made, seed, k) for k in range(2)]
        exact = {
            "linear": anchors.projection(law, 2),
            "variational": anchors.shrinkage(law, 2),
        }
        parts = principal.fitted(np.asarray(w.data.train.x, float), 2)
        shown = [
            curves.outside(lambda x, _: principal.reconstructed(parts, x)[None], *far[k])[0]  # noqa: B023
            for k in range(2)
        ]
        about = {"case": case, "offsets": OFFSETS.tolist()}
        kept = [
            {
                f"anchor_{name}": digits(anchors.error(keep, law, move[:, k], OFFSETS))
                for name, keep in exact.items()
            }
            for k in range(2)
        ]
        for k in range(2):
            errors = {"direction": k, "error": digits(shown[k])}
            yield {**about, "model": "linear", **errors, **kept[k]}
        for name, preset in itertools.product(models, ("published", "default")):
            how = LINEAR if preset == "default" else {}
            method, _, fits, _ = trained(w, name, seed, preset=preset, **how)
            for k in range(2):
                errors = curves.outside(reconstructing(method, fits), *far[k])[0]
                told = {"preset": preset, "direction": k, "error": digits(errors)}
                yield {**about, "model": name, **told, **kept[k]}
            yield {**about, "model": name, "preset": preset, **matched(method, fits, mixing)}


def learned_law(made: scm.Scm, move: Float[ndarray, "g d"]) -> anchors.Law:
    """Of the training environments."""
    shift = scm.shifts(made.target, made.offset, move.shape[1])
    return anchors.law(move, np.asarray(made.world.sd, float), np.asarray(shift, float), noise=0.0)


def outside(made: scm.Scm, seed: int, direction: int) -> tuple[ndarray, ndarray]:
    """Samples of every offset in a direction, and their vectors: the offsets themselves."""
    axis = np.eye(2, dtype=np.float32)[direction]
    vectors = OFFSETS.astype(np.float32)[:, None] * axis[None, :]
    keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), direction), len(OFFSETS))
    x = []
    for key, vector in zip(keys, vectors, strict=True):
        own, _, _ = scm.drawn(key, made.world, np.tile(vector, (FAR, 1)))
        x.append(np.asarray(own))
    return np.stack(x), vectors


def reconstructing(method: Method, fits: Any) -> Callable[..., Any]:
    """From the means of posteriors."""
    return lambda x, e: method.decode(fits, method.encode(fits, x, e).mean, e)


def matched(method: Method, fits: Any, mixing: Float[ndarray, "g d"]) -> dict[str, Any]:
    """How the linear decoder's rows and those of M meet, with and without a flipped column.

    A decoder that is linear shows its matrix by what it makes of unit vectors.
    """
    unit = np.concatenate([np.zeros((1, 2)), np.eye(2)])[None].astype(np.float32)
    shown = np.asarray(method.decode(fits, unit, np.zeros((3, 2), np.float32)), float)[0]
    found = (shown[1:] - shown[:1]).T
    told: dict[str, Any] = {"entangled": float(rotation.decomposed(mixing, found).entangled)}
    told["least_squares"] = float(rotation.scaled(mixing, found).residual)
    for flip in (False, True):
        turned = rotation.turned(mixing, found, flip=flip)
        told["flipped" if flip else "plain"] = {
            "distance": [digits(row) for row in turned.distance[::THIN].T],
            "row_angle": digits(turned.row_angle),
            "angle": float(turned.angle),
            "mean_distance": float(turned.mean_distance),
            "spread": float(turned.spread),
        }
    return told


def digits(values: Any) -> list[float]:
    """Five digits each."""
    return [float(f"{float(x):.5g}") for x in np.asarray(values)]
