"""The graph of correlations, against a plain loop."""

import jax.numpy as jnp
import numpy as np

from epistax.engine.effects.graphs import FEWEST, SHRINK, correlated, unconnected
from epistax.engine.effects.records import Combos
from epistax.engine.nets.graph import Graph

P = 9
RNG = np.random.default_rng(0)
GENES = np.stack(np.triu_indices(P, 0), axis=1).astype(np.int32)
EFFECT = RNG.normal(size=P).astype(np.float32)
COMBOS = Combos(jnp.asarray(GENES), jnp.asarray(EFFECT[GENES]))
VALUE = (EFFECT[GENES].sum(1) + RNG.normal(size=len(GENES))).astype(np.float32)
KEEP = RNG.random(len(GENES)) < 0.8


def similarity():
    """Shrunken correlations of residual profiles over shared partners, one pair at a time."""
    beyond = np.full((P, P), np.nan)
    for (i, j), v, keep in zip(GENES, VALUE, KEEP, strict=True):
        if keep:
            beyond[i, j] = beyond[j, i] = v - EFFECT[i] - EFFECT[j]
    r = np.zeros((P, P))
    for i in range(P):
        for j in range(P):
            both = ~np.isnan(beyond[i]) & ~np.isnan(beyond[j])
            n = both.sum()
            if i != j and n >= FEWEST:
                c = np.corrcoef(beyond[i, both], beyond[j, both])[0, 1]
                r[i, j] = max(c, 0) * n / (n + SHRINK)
    return r


def test_each_gene_is_joined_to_those_most_alike():
    r = similarity()
    value = jnp.where(KEEP, jnp.asarray(VALUE), jnp.nan)
    graph = correlated(COMBOS, value, jnp.asarray(KEEP), genes=P, k=2)
    want = np.zeros((P, P))
    for i in range(P):
        for j in np.argsort(-r[i])[:2]:
            want[i, j] = want[j, i] = r[i, j]
    got = np.zeros((P, P))
    for (i, j), w in zip(np.asarray(graph.edges), np.asarray(graph.weights), strict=True):
        got[i, j] += w
        got[j, i] += w
    np.testing.assert_allclose(got, want, atol=1e-4)
    assert (got > 0).sum() > P


def test_genes_in_another_order_have_the_same_graph():
    order = RNG.permutation(P).astype(np.int32)
    moved = Combos(jnp.asarray(order[GENES]), COMBOS.singles)
    matrices = []
    for combos, name in ((COMBOS, np.arange(P)), (moved, np.argsort(order))):
        graph = correlated(combos, jnp.asarray(VALUE), jnp.asarray(KEEP), genes=P, k=3)
        own = np.zeros((P, P))
        ends = name[np.asarray(graph.edges)]
        np.add.at(own, (ends.min(1), ends.max(1)), np.asarray(graph.weights))
        matrices.append(own)
    np.testing.assert_allclose(*matrices, atol=1e-5)


def test_too_few_shared_partners_join_nothing():
    graph = correlated(COMBOS, jnp.asarray(VALUE), jnp.arange(45) < 5, genes=P, k=2)
    assert (np.asarray(graph.weights) == 0).all()
    assert int(unconnected(graph, P)) == P


def test_genes_without_an_edge_are_counted():
    graph = Graph(jnp.array([[0, 3], [3, 5], [1, 2]]), jnp.array([1.0, 0.2, 0.0]))
    assert int(unconnected(graph, 7)) == 4
