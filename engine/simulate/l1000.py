"""Expression profiles shaped as those of L1000, of known targets.

Stands in for the data of "Towards Learning Cell Causal-Embeddings", section 6.5: 978 landmark
genes, 682 compounds to learn from (14,631 samples) and 335 for validation, each known by the bits
of its fingerprint, beside untreated samples (DMSO). Sample i, of compound e on a plate p,

    x_i = M C_i + a_line(p) + plate_p + s_i noise_i,    C_i ~ N(o_e r(dose_i) 1{target of e}, I),

noise ~ t_4 / 2 and s_i = 5 for one sample in a hundred, else 1. A compound's target is the largest
of 50 fixed linear functions of its bits and its offset is o_e = 3 tanh of another; compounds share
scaffolds, so that their bits tell of both. r(dose) = dose / (dose + 1 um). A gene has three latents
on average, each of sd 1/2 there: of a gene's variance on one plate .75 is of latents and .62 of
noise; plates add .25 and cell lines 1. A compound moves about 60 genes, by less than one sd each.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from numpy import ndarray
from scipy.stats import nbinom

from epistax.engine.simulate.scm_world import wired
from epistax.engine.types import Key

COUNT = 21.4  # samples a compound, on average
DISPERSION = 2.0  # their variance is COUNT + COUNT^2 / DISPERSION
CONTROLS = 0.05  # share of samples without a compound
HELD_OUT = 335 / 1017  # share of compounds
SHARED, OWN = 0.9, 0.05  # chance of a bit of the scaffold to be kept; of any bit to be on
PARENTS = 3.0  # latents of a gene, on average
LOADING = 0.5  # sd of a latent's weight in a gene
FACTORS, PLATE = 5, 0.5  # of plates: rank, and sd in a gene
LINE = 1.0  # sd of a cell line's offset in a gene
NOISE, OUTLIERS, WILD = 0.5, 0.01, 5.0
LARGEST = 3.0  # offset, in sds of a latent
DOSES = (0.04, 0.12, 0.37, 1.11, 3.33, 10.0)  # um
TIMES = (3.0, 6.0, 24.0)  # hours; they change nothing


@dataclass(frozen=True)
class Size:
    """How much of everything; the reference comes beside the environments."""

    environments: int = 1017
    genes: int = 978
    latents: int = 50
    bits: int = 1024
    scaffolds: int = 60
    lines: int = 10
    plates: int = 60


class L1000(NamedTuple):
    """n samples of the reference (environment 0) and e - 1 compounds, and what they were made of.

    target is -1, offset and fingerprint are 0 of the reference; its samples have a dose of 0.
    """

    x: Float[Array, "n g"]
    environment: Int[Array, "n"]
    plate: Int[Array, "n"]
    line: Int[Array, "n"]  # cell line; each plate has one, and one time
    dose: Float[Array, "n"]  # um
    time: Float[Array, "n"]  # hours
    outlier: Bool[Array, "n"]
    vectors: Float[Array, "e v"]  # fingerprints, 0 or 1
    target: Int[Array, "e"]
    offset: Float[Array, "e"]  # at the largest doses, in sds of the target
    held_out: Bool[Array, "e"]
    c: Float[Array, "n d"]
    mixing: Float[Array, "g d"]  # M


class Compounds(NamedTuple):
    """The reference and the compounds after it."""

    vectors: Float[Array, "e v"]
    target: Int[Array, "e"]
    offset: Float[Array, "e"]
    held_out: Bool[Array, "e"]


def counts(key: Key, size: Size) -> Int[ndarray, "e"]:
    """Samples of the reference and of every compound: negative binomial, but at least 1."""
    share = np.asarray(jax.random.uniform(key, (size.environments,)), np.float64)
    each = nbinom.ppf(share, DISPERSION, DISPERSION / (DISPERSION + COUNT))
    each = np.maximum(each, 1).astype(np.int64)
    controls = max(1, round(CONTROLS / (1 - CONTROLS) * int(each.sum())))
    return np.concatenate([[controls], each])


@partial(jax.jit, static_argnames="size")
def simulate(key: Key, environment: Int[Array | ndarray, "n"], size: Size) -> L1000:
    """Samples of these environments, 0 ..= size.environments. The key is used up."""
    k_compounds, k_mixing, k_place, k_state, k_effects, k_noise = jax.random.split(key, 6)
    k_dose, k_plate, k_line, k_time = jax.random.split(k_place, 4)
    n, rows = len(environment), jnp.asarray(environment)
    known = compounds(k_compounds, size)
    mixing = loadings(k_mixing, size.genes, size.latents)
    drawn = jnp.asarray(DOSES)[jax.random.randint(k_dose, (n,), 0, len(DOSES))]
    dose = jnp.where(rows == 0, 0.0, drawn)
    # every line and time on some plates, in an order of chance
    lines = jax.random.permutation(k_line, jnp.arange(size.plates) % size.lines)
    times = jnp.asarray(TIMES)[jax.random.randint(k_time, (size.plates,), 0, len(TIMES))]
    plate = jax.random.randint(k_plate, (n,), 0, size.plates)
    moved = known.offset[rows] * dose / (dose + 1)
    c = jax.nn.one_hot(known.target[rows], size.latents) * moved[:, None]
    c += jax.random.normal(k_state, c.shape)
    error, outlier = noise(k_noise, n, size.genes)
    shown = c @ mixing.T + places(k_effects, lines, size)[plate] + error
    return L1000(
        x=shown,
        environment=rows,
        plate=plate,
        line=lines[plate],
        dose=dose,
        time=times[plate],
        outlier=outlier,
        vectors=known.vectors,
        target=known.target,
        offset=known.offset,
        held_out=known.held_out,
        c=c,
        mixing=mixing,
    )


def compounds(key: Key, size: Size) -> Compounds:
    """Fingerprints by scaffold, and what follows from them. The key is used up."""
    k_scaffold, k_which, k_keep, k_own, k_target, k_offset, k_held = jax.random.split(key, 7)
    e, shape = size.environments, (size.environments, size.bits)
    scaffolds = jax.random.bernoulli(k_scaffold, OWN, (size.scaffolds, size.bits))
    shared = scaffolds[jax.random.randint(k_which, (e,), 0, size.scaffolds)]
    kept = shared & jax.random.bernoulli(k_keep, SHARED, shape)
    bits = (kept | jax.random.bernoulli(k_own, OWN, shape)).astype(float)
    # in units in which a random linear function of a compound's bits has mean 0 and sd 1
    usual = 1 - (1 - OWN * SHARED) * (1 - OWN)
    unit = (bits - usual) / (size.bits * usual * (1 - usual)) ** 0.5
    target = jnp.argmax(unit @ jax.random.normal(k_target, (size.bits, size.latents)), axis=1)
    offset = LARGEST * jnp.tanh(unit @ jax.random.normal(k_offset, (size.bits,)))
    order = jax.random.permutation(k_held, e)
    return Compounds(
        vectors=jnp.concatenate([jnp.zeros((1, size.bits)), bits]),
        target=jnp.concatenate([jnp.full(1, -1), target]),
        offset=jnp.concatenate([jnp.zeros(1), offset]),
        held_out=jnp.concatenate([jnp.zeros(1, bool), order < round(HELD_OUT * e)]),
    )


def loadings(key: Key, g: int, d: int) -> Float[Array, "g d"]:
    """M: N(0, LOADING^2) where a gene depends on a latent, on PARENTS of them and at least one."""
    k_edge, k_weight = jax.random.split(key)
    edge = wired(k_edge, g, d, min(1.0, PARENTS / d))
    return LOADING * edge * jax.random.normal(k_weight, (g, d))


def places(key: Key, lines: Int[Array, "p"], size: Size) -> Float[Array, "p g"]:
    """What each plate adds to every gene: its cell line's offset, and its own of few factors."""
    k_line, k_factor, k_loading = jax.random.split(key, 3)
    own = jax.random.normal(k_factor, (size.plates, FACTORS))
    loading = jax.random.normal(k_loading, (FACTORS, size.genes)) / FACTORS**0.5
    return LINE * jax.random.normal(k_line, (size.lines, size.genes))[lines] + PLATE * own @ loading


def noise(key: Key, n: int, g: int) -> tuple[Float[Array, "n g"], Bool[Array, "n"]]:
    """NOISE t_4, WILD times as large in outlying samples; and which these are."""
    k_normal, k_tail, k_outlier = jax.random.split(key, 3)
    # half of a chi-square of 4 is the sum of two exponentials: no rejection, which is slow
    halves = jax.random.exponential(k_tail, (2, n, g)).sum(axis=0)
    t = jax.random.normal(k_normal, (n, g)) * jnp.sqrt(2 / halves)
    outlier = jax.random.bernoulli(k_outlier, OUTLIERS, (n,))
    return NOISE * t * jnp.where(outlier, WILD, 1.0)[:, None], outlier
