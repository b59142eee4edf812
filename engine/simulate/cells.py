"""Single cells under perturbations of regulators, with everything each would have been otherwise.

    a_ir(t) = b_kr + b_dr + u_ir + sum_{q<r} B_k[r, q] tanh(a_iq(t)) + dose s_t e_i 1{r = tau(t)}
    log lambda_ig(t) = m_g + c_kg + h_dg + sum_r B_k[g, r] tanh(a_ir(t)) + log of the library

and the mRNA of a regulator follows its own activity a_ir. A cell's own noise (u_i, its efficiency
e_i, its depth, and a uniform number for every gene) is shared by all its potential outcomes, so
that individual counterfactual counts are defined. Stands in for the data of "Predicting Cellular
Responses with Variational Causal Inference and Refined Relational Information", section 4.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from epistax.engine.simulate.cells_counts import normalised, quantile
from epistax.engine.simulate.cells_world import PROGRAMS, Size, World, prior, world
from epistax.engine.types import Key

CONTROL = 0.2  # share of control cells


class Noise(NamedTuple):
    """What is a cell's own, whatever is done to it."""

    state: Float[Array, "n f"]
    drive: Float[Array, "n r"]
    efficiency: Float[Array, "n"]
    depth: Float[Array, "n"]
    quantile: Float[Array, "n g"]


class Simulated(NamedTuple):
    """n cells as measured, and what they were made of; arm 0 is the control."""

    arms: Float[Array, "a t"]  # doses; the first column is the control's
    strata: Int[Array, "c 2"]  # cell type, donor
    counts: Int[Array, "n g"]
    y: Float[Array, "n g"]  # log1p of counts in units of the common library
    arm: Int[Array, "n"]
    stratum: Int[Array, "n"]
    library: Float[Array, ""]  # the median count of a cell
    noise: Noise
    world: World
    prior: Bool[Array, "g r"]  # the graph as one has it beforehand


@partial(jax.jit, static_argnames="size")
def simulate(key: Key, size: Size) -> Simulated:
    """A world, its prior graph and its cells. The key is used up."""
    k_world, k_prior, k_noise, k_place = jax.random.split(key, 4)
    genes = world(k_world, size)
    own = noise(k_noise, genes, size.cells, size.depth)
    arm, stratum = assigned(k_place, genes, own.state, size)
    counts = quantile(own.quantile, rates(genes, own, arm, stratum, size), genes.dispersion)
    library = jnp.median(counts.sum(axis=1).astype(float))
    return Simulated(
        arms=arms(size),
        strata=strata(size),
        counts=counts,
        y=normalised(counts.astype(float), library),
        arm=arm,
        stratum=stratum,
        library=library,
        noise=own,
        world=genes,
        prior=prior(k_prior, genes.edges),
    )


def arms(size: Size) -> Float[Array, "a t"]:
    """Control, then every perturbation at every dose."""
    p, doses = size.perturbations, jnp.asarray(size.doses)
    dosed = jnp.eye(p)[:, None, :] * doses[None, :, None]
    dosed = dosed.reshape(p * len(size.doses), p)
    rest = jnp.concatenate([jnp.zeros((len(dosed), 1)), dosed], axis=1)
    return jnp.concatenate([jnp.eye(1, p + 1), rest])


def strata(size: Size) -> Int[Array, "c 2"]:
    """Every donor within every cell type."""
    at = jnp.arange(size.types * size.donors)
    return jnp.stack([at // size.donors, at % size.donors], axis=1)


def noise(key: Key, genes: World, n: int, depth: float) -> Noise:
    """The own part of n cells."""
    k_state, k_drive, k_efficiency, k_depth, k_quantile = jax.random.split(key, 5)
    g, r = genes.weight.shape
    state = jax.random.normal(k_state, (n, PROGRAMS))
    return Noise(
        state=state,
        drive=state @ genes.loading.T + 0.5 * jax.random.normal(k_drive, (n, r)),
        # Beta(8, 2) is the second largest of nine uniform numbers
        efficiency=jax.lax.top_k(jax.random.uniform(k_efficiency, (n, 9)), 2)[0][:, 1],
        depth=depth * jnp.exp(0.25 * jax.random.normal(k_depth, (n,))),
        quantile=jax.random.uniform(k_quantile, (n, g)),
    )


def assigned(
    key: Key, genes: World, state: Float[Array, "n f"], size: Size
) -> tuple[Int[Array, "n"], Int[Array, "n"]]:
    """Arm and stratum of each cell: by chance, or by its state too where confounded."""
    k_stratum, k_control, k_which, k_dose = jax.random.split(key, 4)
    n = len(state)
    stratum = jax.random.randint(k_stratum, (n,), 0, len(genes.preference))
    logit = genes.preference[stratum] + size.confounded * state @ genes.leaning.T
    which = jax.random.categorical(k_which, logit)
    dose = jax.random.randint(k_dose, (n,), 0, len(size.doses))
    treated = 1 + which * len(size.doses) + dose
    return jnp.where(jax.random.uniform(k_control, (n,)) < CONTROL, 0, treated), stratum


def rates(
    genes: World, own: Noise, arm: Int[Array, "n"], stratum: Int[Array, "n"], size: Size
) -> Float[Array, "n g"]:
    """Expected counts, lambda, of cells under the given arms."""
    r = genes.weight.shape[1]
    kind, donor = stratum // size.donors, stratum % size.donors
    dose = arms(size)[arm, 1:] * genes.push[None, :]
    pushed = jnp.zeros((len(arm), r)).at[:, genes.hit].set(dose) * own.efficiency[:, None]
    start = genes.type_activity[kind] + genes.donor_activity[donor] + own.drive + pushed
    acting = genes.weight[None] * genes.open  # [k g r]

    def regulator(done: Float[Array, "n r"], q: Int[Array, ""]) -> tuple[Array, Array]:
        activity = start[:, q] + (acting[:, q][kind] * done).sum(axis=1)
        return done.at[:, q].set(jnp.tanh(activity)), activity

    done, activity = jax.lax.scan(regulator, jnp.zeros_like(start), jnp.arange(r))
    # every cell meets the weights of its own type only: one product over type and regulator
    apart = jax.nn.one_hot(kind, len(acting))[:, :, None] * done[:, None, :]
    regulated = apart.reshape(len(arm), -1) @ acting.transpose(0, 2, 1).reshape(-1, len(genes.base))
    log = genes.base[None, :] + genes.type_shift[kind]
    log += (genes.donor_shift[donor] + regulated).at[:, :r].set(activity.T)
    return own.depth[:, None] * jax.nn.softmax(log, axis=1)


@partial(jax.jit, static_argnames="size")
def outcomes(
    made: Simulated, rows: Int[Array, "m"], size: Size
) -> tuple[Float[Array, "m a g"], Float[Array, "m a g"]]:
    """Expression of these cells under every arm: without the noise of counting, and with it."""
    own, stratum = jax.tree.map(lambda x: x[rows], (made.noise, made.stratum))

    def under(arm: Int[Array, ""]) -> tuple[Float[Array, "m g"], Float[Array, "m g"]]:
        rate = rates(made.world, own, jnp.full(len(rows), arm), stratum, size)
        count = quantile(own.quantile, rate, made.world.dispersion).astype(float)
        return normalised(rate, made.library), normalised(count, made.library)

    clean, noisy = jax.lax.map(under, jnp.arange(len(made.arms)))
    return clean.transpose(1, 0, 2), noisy.transpose(1, 0, 2)


@partial(jax.jit, static_argnames=("size", "cells"))
def marginal(
    key: Key, made: Simulated, size: Size, cells: int = 20_000
) -> tuple[Float[Array, "a c g"], Float[Array, "a c g"]]:
    """E[Y(a) | stratum c] by so many new cells of each, as they would be measured; standard errors.

    The same cells go through every arm. The key is used up.
    """
    block = min(cells, 1000)
    count = -(-cells // block)

    def one(pair: Int[Array, "2"]) -> tuple[Float[Array, "g"], Float[Array, "g"]]:
        arm, stratum = pair

        def part(k: Int[Array, ""]) -> tuple[Float[Array, "g"], Float[Array, "g"]]:
            own = noise(jax.random.fold_in(key, k), made.world, block, size.depth)
            rate = rates(made.world, own, jnp.full(block, arm), jnp.full(block, stratum), size)
            counts = quantile(own.quantile, rate, made.world.dispersion).astype(float)
            y = normalised(counts, made.library)
            return y.mean(axis=0), (y**2).mean(axis=0)

        mean, square = (x.mean(axis=0) for x in jax.lax.map(part, jnp.arange(count)))
        return mean, jnp.sqrt(jnp.maximum(square - mean**2, 0) / (count * block))

    a, c = len(made.arms), len(made.strata)
    pairs = jnp.stack([jnp.repeat(jnp.arange(a), c), jnp.tile(jnp.arange(c), a)], axis=1)
    mean, se = jax.lax.map(one, pairs)
    return mean.reshape(a, c, -1), se.reshape(a, c, -1)
