"""Networks as methods: genes that were never seen, side information, graphs, order."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine.effects import training
from epistax.engine.effects.neural import Neural, neural
from epistax.engine.effects.records import Combos, Jobs, Table
from epistax.engine.effects.training import Training
from epistax.engine.nets.combos import Combining, network
from epistax.engine.nets.graph import Graph

P = 8
RNG = np.random.default_rng(1)
GENES = np.stack(np.triu_indices(P, 1), axis=1).astype(np.int32)
EFFECT = RNG.normal(size=P).astype(np.float32)
TABLE = Table(Combos(GENES, EFFECT[GENES]), EFFECT[GENES].sum(1).astype(np.float32))
KNOWN = np.flatnonzero((GENES < 6).all(axis=1)).astype(np.int32)  # genes 6 and 7 are unseen
JOBS = Jobs(KNOWN[None, :12], KNOWN[None, 12:])
KEY = jax.random.split(jax.random.key(2), 1)
EMBED = Neural(Combining(P, 3, 0, dropout=0.0), Training(epochs=6, every=2))
NAIAD = Neural(
    Combining(P, 2, 5, symmetric=False, dropout=0.0), Training(epochs=6, every=2, unseen="own")
)


def told(config, combos=TABLE.combos, **known):
    method = neural(config, **known)
    fits = method.fit(KEY, TABLE, JOBS)
    return method.predict(fits, combos), fits


def of_pair(i, j):
    return int(np.flatnonzero((GENES == (i, j)).all(axis=1))[0])


def test_an_unseen_gene_has_the_mean_of_the_vectors_of_those_that_were():
    predicted, fits = told(EMBED)
    free = np.asarray(fits.params["table"]["free"])[0]
    np.testing.assert_allclose(free[6], free[:6].mean(axis=0), rtol=1e-5)
    mean = predicted.mean[0]
    assert mean[of_pair(0, 6)] == mean[of_pair(0, 7)] != mean[of_pair(1, 6)]
    assert (predicted.sd == 0).all()


def test_or_its_own_that_was_drawn():
    own = replace(EMBED, training=replace(EMBED.training, unseen="own"))
    predicted, fits = told(own)
    free = np.asarray(fits.params["table"]["free"])[0]
    assert not np.allclose(free[6], free[7])
    assert predicted.mean[0, of_pair(0, 6)] != predicted.mean[0, of_pair(0, 7)]


def test_side_information_tells_unseen_genes_apart():
    side = RNG.normal(size=(P, 2))
    side[7] = side[3]
    predicted, fits = told(EMBED, side=side)
    free = np.asarray(fits.params["table"]["free"])[0]
    np.testing.assert_array_equal(free[6:], 0)
    assert predicted.mean[0, of_pair(0, 6)] != predicted.mean[0, of_pair(0, 7)]
    # gene 7 is known as gene 3 is, but for what 3 has of its own
    layer = fits.params["table"]["Dense_0"]
    both = side[[3, 7]] @ np.asarray(layer["kernel"])[0]
    np.testing.assert_allclose(both[0], both[1])
    assert predicted.mean[0, of_pair(0, 3)] != predicted.mean[0, of_pair(0, 7)]


def test_one_pair_has_one_prediction_wherever_it_stands():
    predicted, fits = told(NAIAD)
    order = RNG.permutation(len(GENES))
    other = Combos(GENES[order][:, ::-1], TABLE.combos.singles[order][:, ::-1])
    again = neural(NAIAD).predict(fits, other)
    np.testing.assert_allclose(again.mean[0], predicted.mean[0, order], atol=1e-6)


def test_a_graph_that_is_given_is_used():
    config = replace(EMBED, net=Combining(P, 4, 0, "graph", dropout=0.0))
    alone, _ = told(config)
    none, _ = told(config, graph=Graph(jnp.zeros((2, 2), jnp.int32), jnp.zeros(2)))
    np.testing.assert_allclose(alone.mean, none.mean, atol=1e-5)
    # an unseen gene differs from another once it has neighbours
    joined, fits = told(config, graph=Graph(jnp.array([[6, 0]]), jnp.ones(1)))
    assert alone.mean[0, of_pair(1, 6)] == alone.mean[0, of_pair(1, 7)]
    assert joined.mean[0, of_pair(1, 6)] != joined.mean[0, of_pair(1, 7)]
    assert fits.graph.edges.shape == (1, 1, 2)


def test_a_graph_of_correlations_is_each_jobs_own():
    config = replace(EMBED, net=Combining(P, 4, 0, "graph", dropout=0.0), nearest=3)
    jobs = Jobs(
        np.stack([np.arange(0, 20), np.arange(8, 28)]).astype(np.int32), np.zeros((2, 0), np.int32)
    )
    value = TABLE.value + RNG.normal(size=28).astype(np.float32)
    fits = neural(config).fit(jax.random.split(KEY[0]), Table(TABLE.combos, value), jobs)
    assert fits.graph.weights.shape == (2, 3 * P)
    assert (np.asarray(fits.graph.weights) > 0).any(axis=1).all()
    assert not np.array_equal(fits.graph.weights[0], fits.graph.weights[1])


@pytest.mark.parametrize("q", [1, 7, 28])
def test_predictions_in_blocks_are_predictions_at_once(q, monkeypatch):
    predicted, fits = told(EMBED)
    rows = Combos(*(jnp.asarray(x)[:q] for x in TABLE.combos))
    monkeypatch.setattr(training, "BLOCK", 3)
    one = jax.tree.map(lambda x: x[0], fits.params)
    got = training.predicted(network(EMBED.net), EMBED.net, one, rows, None, None)
    np.testing.assert_allclose(got, predicted.mean[0, :q], atol=1e-6)


def test_what_is_learned_is_better_than_the_mean():
    config = Neural(Combining(P, 4, 16, None, dropout=0.0), Training(epochs=200, every=50))
    predicted, _ = told(config)
    error = np.asarray(predicted.mean[0]) - TABLE.value
    assert np.mean(error**2) < 0.2 * np.var(TABLE.value)


def test_a_network_that_tells_its_noise_knows_which_genes_are_loud():
    rng = np.random.default_rng(0)
    i, j = np.triu_indices(20, 1)
    genes = np.stack([i, j], 1).astype(np.int32)
    s = rng.normal(size=20).astype(np.float32)
    loud = (genes < 8).any(1)
    value = s[genes].sum(1) + np.where(loud, 1.0, 0.05) * rng.normal(size=len(genes))
    table = Table(Combos(genes, s[genes]), value.astype(np.float32))
    net = Combining(20, 4, 8, spread=True, dropout=0.0)
    method = neural(Neural(net, Training(epochs=400, every=100, keep="last"), standard=True))
    rows = Jobs(np.arange(150, dtype=np.int32)[None], np.full((1, 1), -1, np.int32))
    told = method.predict(method.fit(KEY, table, rows), table.combos)
    sd = np.asarray(told.sd[0])[:150]
    assert (sd > 0).all()
    assert sd[loud[:150]].mean() > 3 * sd[~loud[:150]].mean()
    turned = method.predict(method.fit(KEY, table, rows), Combos(genes[:, ::-1], s[genes][:, ::-1]))
    np.testing.assert_allclose(turned.mean, told.mean, atol=1e-4)
    np.testing.assert_allclose(turned.sd, told.sd, rtol=1e-3)


def test_both_of_its_parts_give_an_unseen_gene_the_mean_vector():
    config = replace(EMBED, net=replace(EMBED.net, spread=True))
    predicted, fits = told(config)
    for part in fits.params.values():
        free = np.asarray(part["table"]["free"])[0]
        np.testing.assert_allclose(free[6], free[:6].mean(axis=0), rtol=1e-5)
    assert predicted.sd[0, of_pair(0, 6)] == predicted.sd[0, of_pair(0, 7)]
