"""A graph of regulation, refined by cells: edges that do nothing go, edges that are seen come.

The task of "Predicting Cellular Responses with Variational Causal Inference and Refined Relational
Information", section 3.3, whose own method is `masked`. Here the activities of regulators are
latent, read from all their targets at once, since an mRNA of few counts says little; an edge is
weighed by how much better it explains its target than none would, given all other edges, on top
of what the prior graph says, the trust in which is learned (`sparsefactors`). One more factor,
which no gene's mRNA shows, takes what moves all genes at once, as the depth of a cell does. Edges
from one regulator to another follow from who moves when a regulator is driven (`cascade`).
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from numpy import ndarray

from epistax.engine.nets.regulation import Edges
from epistax.engine.response.cascade import cascade
from epistax.engine.response.records import Cells, Design
from epistax.engine.response.sparsefactors import (
    Blocks,
    Fixed,
    Moments,
    Sparse,
    logit,
    step,
    weights,
)
from epistax.engine.types import Info

STEPS, BLOCK = 60, 128  # sweeps; cells that are multiplied at once
START_NOISE, START_OWN, START_KNOWN, START_UNKNOWN = 0.7, 0.6, 0.4, 0.02
START_SIZE = (0.1, 1e-3)  # variances of slab and spike


class Refined(NamedTuple):
    """g genes by r regulators; log odds of an edge, nan from a regulator to itself."""

    score: Float[ndarray, "g r"]
    weight: Float[ndarray, "g r"]  # log1p expression (of a regulator: its activity) per activity
    open: Float[ndarray, "c g r"]  # chance that an edge, if any, is open in a stratum
    activity: Float[ndarray, "a r"]  # mean of regulators under each arm; 1 is the sd over cells


def refine(
    cells: Cells,
    design: Design,
    prior: Edges,
    regulators: Int[ndarray, "r"],
    *,
    acts_on: Int[ndarray, "p"],
    steps: int = STEPS,
) -> tuple[Refined, Info]:
    """Log odds of every edge from a regulator to a gene. regulators are positions of genes.

    acts_on is the gene that each perturbation (column of the design's arms) acts on directly, -1
    where it is none that is measured: the control, a drug. Nothing here is random. Info: chances
    that an edge of the prior graph is right (known), that another exists (unknown), that an edge is
    open in a stratum (openness); of every step the sum of changed chances and the share of noise.
    """
    fit = fitted(cells, design, prior, regulators, acts_on=acts_on, steps=steps)
    state, fixed, sd, among, info = fit
    r = len(regulators)
    own = np.asarray(fixed.own)[:r].T
    score = np.array(state.log_odds)[:r].T
    mean = np.asarray(weights(state, fixed))[:, :r]
    weight = sd[:, None] * np.tensordot(np.asarray(fixed.cells) / len(cells.arm), mean, 1).T
    score[regulators], weight[regulators] = map(np.asarray, among)
    score[own], weight[own] = np.nan, np.nan
    names = ("known", "unknown", "openness")
    return Refined(
        score=score,
        weight=weight,
        open=np.asarray(state.open)[:, :r].transpose(0, 2, 1),
        activity=np.asarray(state.arm)[:, :r],
    ), {name: float(getattr(state, name)) for name in names} | jax.tree.map(np.asarray, info)


class Fit(NamedTuple):
    """The whole model, genes in units of their sds."""

    state: Sparse
    fixed: Fixed
    sd: Float[ndarray, "g"]
    among: tuple[Array, Array]  # log odds and weights of edges between regulators
    info: Info


def fitted(
    cells: Cells,
    design: Design,
    prior: Edges,
    regulators: Int[ndarray, "r"],
    *,
    acts_on: Int[ndarray, "p"],
    steps: int = STEPS,
) -> Fit:
    """What `refine` reads edges from."""
    x, sd = residual(cells, len(design.strata))
    fixed = known(cells, design, prior, np.asarray(regulators), np.asarray(acts_on), x, sd)
    blocks = arranged(x, cells, len(design.strata))
    begun = started(x, cells, fixed, np.asarray(regulators))
    (state, among), info = run(begun, blocks, fixed, jnp.asarray(regulators), steps)
    return Fit(state, fixed, sd, among, info)


@partial(jax.jit, static_argnames="steps")
def run(
    begun: Sparse, blocks: Blocks, fixed: Fixed, regulators: Int[Array, "r"], steps: int
) -> tuple[tuple[Sparse, tuple[Array, Array]], Info]:
    """So many sweeps; then edges among regulators, log odds and weights."""
    state, info = jax.lax.scan(lambda s, t: step(s, blocks, fixed, t), begun, jnp.arange(steps))
    among = cascade(
        state.arm[:, : len(regulators)],
        fixed.treated,
        fixed.hits[:, regulators],
        fixed.prior[: len(regulators), regulators],
        logit(jnp.stack([state.unknown, state.known])),
    )
    return (state, among), info


def residual(cells: Cells, strata: int) -> tuple[Float[ndarray, "n g"], Float[ndarray, "g"]]:
    """Expression less the mean of its stratum, of unit variance; the sd it had."""
    y, stratum = np.asarray(cells.y), np.asarray(cells.stratum)
    x = np.empty(y.shape, np.float32)
    for c in range(strata):
        here = stratum == c
        x[here] = y[here] - (y[here].mean(axis=0, dtype=np.float64) if here.any() else 0)
    sd = np.sqrt((x.astype(np.float64) ** 2).mean(axis=0))
    sd = np.where(sd > 0, sd, 1.0)
    return (x / sd).astype(np.float32), sd.astype(np.float32)


def known(
    cells: Cells,
    design: Design,
    prior: Edges,
    regulators: Int[ndarray, "r"],
    acts_on: Int[ndarray, "p"],
    x: Float[ndarray, "n g"],
    sd: Float[ndarray, "g"],
) -> Fixed:
    """What does not change while the graph is refined."""
    g, arms = x.shape[1], np.asarray(design.arms)
    none = np.zeros((1, g), bool)
    before = np.vstack([adjacency(prior, g)[:, regulators].T, none])
    own = np.vstack([regulators[:, None] == np.arange(g)[None, :], none])
    dense = np.arange(len(own)) >= len(regulators)
    hits = ((arms > 0) @ (acts_on[:, None] == np.arange(g)[None, :])) > 0
    # log1p of an expected count m moves by m / (1 + m) a unit of log expression
    count = np.expm1(np.asarray(cells.y)).mean(axis=0)
    scale = count / (1 + count) / sd
    arm = np.asarray(cells.arm)
    treated = np.bincount(arm, minlength=len(arms))
    shown = np.stack([x[arm == a].sum(axis=0) for a in range(len(arms))])
    return Fixed(
        prior=jnp.asarray(before),
        own=jnp.asarray(own),
        free=jnp.asarray(~own.any(axis=0)[None, :] | dense[:, None]),
        dense=jnp.asarray(dense),
        hits=jnp.asarray(hits),
        scale=jnp.asarray(scale / np.sqrt((scale**2).mean()), jnp.float32),
        cells=jnp.asarray(np.bincount(cells.stratum, minlength=len(design.strata)), jnp.float32),
        treated=jnp.asarray(treated, jnp.float32),
        shown=jnp.asarray(shown / np.maximum(treated, 1)[:, None], jnp.float32),
    )


def adjacency(edges: Edges, g: int) -> Bool[ndarray, "g g"]:
    """Target by source."""
    table = np.zeros((g, g), bool)
    table[np.asarray(edges.target), np.asarray(edges.source)] = True
    return table


def arranged(x: Float[ndarray, "n g"], cells: Cells, strata: int) -> Blocks:
    """Cells by stratum, each filled up to whole blocks."""
    arm, stratum = np.asarray(cells.arm), np.asarray(cells.stratum)
    rows, of = [], []
    for c in range(strata):
        here = np.flatnonzero(stratum == c)
        count = -(-len(here) // BLOCK)
        rows.append(np.pad(here, (0, count * BLOCK - len(here)), constant_values=-1))
        of.append(np.full(count, c))
    row = np.concatenate(rows).reshape(-1, BLOCK)
    weight = (row >= 0).astype(np.float32)
    return Blocks(
        *map(jnp.asarray, (x[row] * weight[:, :, None], arm[row], weight)),
        stratum=jnp.asarray(np.concatenate(of)),
    )


def started(
    x: Float[ndarray, "n g"], cells: Cells, fixed: Fixed, regulators: Int[ndarray, "r"]
) -> Sparse:
    """Activities as their own mRNA says, edges as the prior graph says."""
    arm, stratum = np.asarray(cells.arm), np.asarray(cells.stratum)
    (k,), (a,), (r, g) = fixed.cells.shape, fixed.treated.shape, fixed.prior.shape
    common = x @ np.asarray(fixed.scale)  # what moves all genes at once
    begin = np.hstack([x[:, regulators], (common / max(common.std(), 1e-6))[:, None]])
    zz, xz = np.zeros((k, r, r), np.float32), np.zeros((k, r, g), np.float32)
    for c in range(k):
        here, z = x[stratum == c], begin[stratum == c]
        zz[c], xz[c] = z.T @ z + 0.3 * len(z) * np.eye(r), z.T @ here
    z = np.stack([begin[arm == b].sum(axis=0) for b in range(a)])
    moments = Moments(*map(jnp.asarray, (zz, xz, (x**2).sum(axis=0), z)))
    chance = jnp.where(fixed.prior, START_KNOWN, START_UNKNOWN)
    none = jnp.zeros((2, r, g))
    return Sparse(
        chance=chance * fixed.free,
        log_odds=logit(chance),
        slab=none,
        spike=none,
        open=jnp.ones((k, r, g)),
        own=jnp.full(r, START_OWN),
        psi=jnp.full(g, START_NOISE),
        known=jnp.float32(START_KNOWN),
        unknown=jnp.float32(START_UNKNOWN),
        openness=jnp.float32(0.85),
        typical=jnp.float32(0),
        size=jnp.array(START_SIZE),
        spread=jnp.eye(r),
        arm=jnp.zeros((a, r)),
        offset=jnp.zeros((a, g)),
        moments=moments,
    )


def edge_list(
    score: Float[ndarray, "g r"],
    regulators: Int[ndarray, "r"],
    *,
    above: float = 0.0,
    published_orientation: bool = False,
) -> Edges:
    """The edges whose score exceeds a threshold; of log odds, 0 is even chances.

    published_orientation exchanges source and target, as the published code does by mistake.
    """
    target, column = np.nonzero(np.nan_to_num(score, nan=-np.inf) > above)
    source = np.asarray(regulators)[column]
    return Edges(target, source) if published_orientation else Edges(source, target)
