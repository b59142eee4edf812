"""The genes behind simulated cells: who regulates whom, and what differs between cell types.

A stand-in of known truth for the screens of "Predicting Cellular Responses with Variational Causal
Inference and Refined Relational Information", section 4. The first genes are regulators, whose
graph among themselves has no cycle; any other gene has 1 to 5 of them. An edge is open or closed
in a cell type. A perturbation drives one regulator up or down.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from epistax.engine.types import Key

MOST_PARENTS, PROGRAMS = 5, 3  # regulators of a gene; axes along which cells of a stratum vary
OPEN, DRIVE = 0.85, 2.5  # chance that an edge is open in a cell type; |push| on a regulator


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much of everything; depth is the median count of a cell, before the genes' own noise."""

    genes: int = 400
    regulators: int = 30
    perturbations: int = 16
    types: int = 3
    donors: int = 2
    cells: int = 6000
    doses: tuple[float, ...] = (1.0,)
    depth: float = 1500.0
    confounded: float = 0.0  # how strongly the state of a cell decides its perturbation


SMALL = Size()
REFERENCE = Size(genes=2000, regulators=40, perturbations=24, cells=5000, depth=4000.0)


class World(NamedTuple):
    """g genes of which the first r are regulators, k cell types, d donors, p perturbations."""

    weight: Float[Array, "g r"]  # 0 where there is no edge
    open: Bool[Array, "k g r"]
    type_activity: Float[Array, "k r"]
    donor_activity: Float[Array, "d r"]
    base: Float[Array, "g"]  # log expression
    type_shift: Float[Array, "k g"]
    donor_shift: Float[Array, "d g"]
    loading: Float[Array, "r f"]
    dispersion: Float[Array, "g"]  # the size of the negative binomial
    hit: Int[Array, "p"]  # which regulator
    push: Float[Array, "p"]
    preference: Float[Array, "c p"]  # of strata for perturbations, logits
    leaning: Float[Array, "p f"]  # of cells in a state for perturbations, where confounded

    @property
    def edges(self) -> Bool[Array, "g r"]:
        """True edges: open in some cell type."""
        return (self.weight != 0) & self.open.any(axis=0)


def world(key: Key, size: Size) -> World:
    """One draw of the genes. The key is used up; ValueError where the sizes make no sense."""
    refuse(size)
    g, r, p = size.genes, size.regulators, size.perturbations
    k_edges, k_open, k_shift, k_load, k_size, k_hit, k_push, k_arm = jax.random.split(key, 8)
    k_type, k_donor, k_base, k_types, k_donors = jax.random.split(k_shift, 5)
    k_prefer, k_lean = jax.random.split(k_arm)
    normal = jax.random.normal
    return World(
        weight=weights(k_edges, g, r),
        open=jax.random.bernoulli(k_open, OPEN, (size.types, g, r)),
        type_activity=0.4 * normal(k_type, (size.types, r)),
        donor_activity=0.15 * normal(k_donor, (size.donors, r)),
        base=1.2 * normal(k_base, (g,)),
        type_shift=0.35 * normal(k_types, (size.types, g)),
        donor_shift=0.1 * normal(k_donors, (size.donors, g)),
        loading=0.35 * normal(k_load, (r, PROGRAMS)),
        dispersion=3 * jnp.exp(0.5 * normal(k_size, (g,))),
        hit=jax.random.permutation(k_hit, r)[:p],
        push=DRIVE * jax.random.rademacher(k_push, (p,), float),
        preference=0.5 * normal(k_prefer, (size.types * size.donors, p)),
        leaning=normal(k_lean, (p, PROGRAMS)),
    )


def refuse(size: Size) -> None:
    """Sizes of which no world can be made."""
    if not 2 <= size.regulators <= size.genes:
        raise ValueError(f"`regulators` is {size.regulators}; give 2 to {size.genes}, the genes")
    if not 1 <= size.perturbations <= size.regulators:
        raise ValueError(
            f"`perturbations` is {size.perturbations}; each hits a regulator of its own: give 1 to "
            f"{size.regulators}"
        )


def weights(key: Key, g: int, r: int) -> Float[Array, "g r"]:
    """|w| ~ U(.4, 1.2), of regulators on regulators U(.4, 1); 70 % of them activate."""
    k_among, k_count, k_fame, k_choice, k_size, k_sign = jax.random.split(key, 6)
    target, source = jnp.arange(g)[:, None], jnp.arange(r)[None, :]
    chance = jnp.minimum(1.0, 1.2 / jnp.maximum(target[:r], 1))
    among = (jax.random.uniform(k_among, (r, r)) < chance) & (source < target[:r])
    # so many parents without replacement, by fame: the largest of log fame + Gumbel noise
    count = jnp.minimum(1 + jax.random.poisson(k_count, 1.0, (g,)), MOST_PARENTS)
    fame = jax.random.pareto(k_fame, 1.5, (r,))
    value = jnp.log(fame)[None, :] + jax.random.gumbel(k_choice, (g, r))
    place = jnp.argsort(jnp.argsort(-value, axis=1), axis=1)
    has = (place < count[:, None]).at[:r].set(among)
    top = jnp.where(target < r, 1.0, 1.2)
    size = 0.4 + (top - 0.4) * jax.random.uniform(k_size, (g, r))
    sign = jnp.where(jax.random.bernoulli(k_sign, 0.7, (g, r)), 1.0, -1.0)
    return jnp.where(has, sign * size, 0.0)


def prior(key: Key, true: Bool[Array, "g r"], *, kept: float = 0.7) -> Bool[Array, "g r"]:
    """A graph as one has it beforehand: true edges kept at random, as many false ones as true."""
    k_keep, k_false = jax.random.split(key)
    g, r = true.shape
    own = jnp.arange(g)[:, None] == jnp.arange(r)[None, :]
    # regulators on themselves are nobody's edge
    place = jax.random.uniform(k_false, (g, r)) + (true | own)
    rank = jnp.argsort(jnp.argsort(place.ravel())).reshape(g, r)
    false = (rank < true.sum()) & ~true & ~own
    return (true & jax.random.bernoulli(k_keep, kept, (g, r))) | false
