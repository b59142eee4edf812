"""Worlds that causal embeddings are measured on, as methods are given them."""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from epistax.engine.causal import scaling
from epistax.engine.causal.records import Data, Samples
from epistax.engine.simulate import l1000, scm
from epistax.engine.simulate.l1000 import Size


class World(NamedTuple):
    """All samples with their truth, and what is learned from them."""

    data: Data
    x: Float[ndarray, "n g"]
    environment: Int[ndarray, "n"]
    c: Float[ndarray, "n d"]
    target: Int[ndarray, "e"]  # -1 of the reference
    held_out: Bool[ndarray, "e"]

    def shuffled(self, seed: int) -> "World":
        """Every training sample with the environment of another."""
        train = self.data.train
        order = np.random.default_rng(seed).permutation(len(train.x))
        mixed = Samples(train.x, np.asarray(train.environment)[order])
        return self._replace(data=self.data._replace(train=mixed))


def world(made: scm.Scm | l1000.L1000) -> World:
    """Of what was simulated; environments that are held out validate."""
    host = jax.tree.map(np.asarray, made)
    out = host.held_out[host.environment]
    train, validation = (Samples(host.x[rows], host.environment[rows]) for rows in (~out, out))
    data = Data(host.vectors, train, validation)
    return World(data, host.x, host.environment, host.c, host.target, host.held_out)


def scaled(w: World) -> World:
    """Features in spreads of the reference, or of all training samples without one."""
    train, vectors = w.data.train, np.asarray(w.data.vectors)
    reference = ~np.any(vectors[train.environment] != 0, axis=1)
    known = scaling.learned(np.asarray(train.x), reference)

    def one(x: Float[ndarray, "n g"]) -> Float[ndarray, "n g"]:
        return np.asarray(scaling.scaled(known, x), np.float32)

    parts = {k: getattr(w.data, k) for k in ("train", "validation")}
    data = w.data._replace(**{k: s._replace(x=one(np.asarray(s.x))) for k, s in parts.items()})
    return w._replace(data=data, x=one(w.x))


def of_growing(seed: int) -> World:
    """Section 6.4."""
    return world(scm.growing(jax.random.key(seed)))


def of_sparse(seed: int, *, mixing: str, network: bool) -> World:
    """Many environments a latent, half of which are held out; scaled."""
    return scaled(world(scm.sparse(jax.random.key(seed), mixing=mixing, network=network)))


def of_l1000(seed: int, size: Size) -> World:
    """The stand-in for section 6.5."""
    k_count, k_make = jax.random.split(jax.random.key(seed))
    count = l1000.counts(k_count, size)
    return world(l1000.simulate(k_make, np.repeat(np.arange(len(count)), count), size))
