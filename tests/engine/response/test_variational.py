"""VCI and graphVCI: what each term of the loss moves, and what it may not."""

import functools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine.mesh import mesh
from epistax.engine.nets.graphconv import incoming
from epistax.engine.nets.inference import INFERS, Inferring, Relations, network
from epistax.engine.nets.regulation import Edges
from epistax.engine.response.known import batch, known
from epistax.engine.response.training import Training
from epistax.engine.response.variational import Variational, frozen, states, variational

G = 16
TRAINING = Training(rate=1e-3, decay=0.0)
RELATIONS = Relations(features=6, width=6)


@functools.lru_cache
def family(shape, **changes):
    config = Variational(RELATIONS, shape.widths, mc=2, **changes)
    return variational(config, shape, TRAINING)


@pytest.fixture(scope="module")
def taken(toy):
    arrays = known(toy.data, incoming(toy.edges, G), least=5, controls=8)
    arrays = jax.tree.map(jnp.asarray, arrays)
    return lambda draws=0, seed=0: batch(jax.random.key(seed), arrays, jnp.arange(32), draws=draws)


@functools.lru_cache
def started(shape, edges, **changes):
    graph = incoming(Edges(*map(np.asarray, edges)), G)
    return jax.jit(family(shape, **changes).begin)(jax.random.key(1), graph)


def begun(toy, **changes):
    """Parts before any step: they depend on few of the settings."""
    some = {name: changes[name] for name in ("head", "like") if name in changes}
    return started(toy.shape, tuple(map(tuple, toy.edges)), **some)


def moved(toy, some, turn=0, parts=None, **changes):
    """Parts before and after one step, and what it told."""
    before = begun(toy, **changes) if parts is None else parts
    step = jax.jit(family(toy.shape, **changes).turns[turn])
    after, info = step(jax.random.key(2), before, some)
    return before, after, info


def same(a, b):
    return all(jax.tree.leaves(jax.tree.map(lambda x, y: bool((x == y).all()), a, b)))


def test_draws_of_a_state_have_its_mean_and_sd():
    belief = jnp.asarray([[1.0, -2.0]]), jnp.asarray([[0.5, 2.0]])
    z = np.asarray(states(jax.random.key(0), belief, 4000))
    np.testing.assert_allclose(z.mean(0), belief[0][0], atol=0.15)
    np.testing.assert_allclose(z.std(0), belief[1][0], rtol=0.05)


def test_the_terms_add_up_by_their_weights(toy, taken):
    some = taken()
    _, _, info = moved(toy, some)
    want = info["reconstruction"] + 50 * info["distribution"] + 0.1 * info["divergence"]
    assert info["loss"] == pytest.approx(float(want), rel=1e-6)


def test_the_frozen_encoder_stays_while_the_live_one_moves_until_the_next_epoch(toy, taken):
    before, after, _ = moved(toy, taken())
    assert set(after["frozen"]) == set(INFERS)
    assert same(after["frozen"], before["frozen"])
    live = frozen(after["model"].params)
    assert not same(live, after["frozen"])
    assert same(family(toy.shape).epoch(after)["frozen"], live)


def test_only_the_reading_of_counterfactuals_is_frozen(toy, taken):
    some = taken()
    before, one, told = moved(toy, some)
    # an encoder that is not frozen reads the same at first, and learns by it
    _, other, same_told = moved(toy, some, freeze_encoder="none")
    assert told["divergence"] == pytest.approx(float(same_told["divergence"]), rel=1e-5)
    assert not same(frozen(one["model"].params), frozen(other["model"].params))
    # another frozen copy is read by the loss
    parts = {**before, "frozen": jax.tree.map(lambda x: 2 * x, before["frozen"])}
    _, _, changed = moved(toy, some, parts=parts)
    assert abs(changed["divergence"] - told["divergence"]) > 1e-3
    # genes' own vectors and edges learn
    first, then = (x["model"].params["own"] for x in (before, one))
    apart = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), first, then)
    assert min(apart.values()) > 0


def test_a_group_without_cells_has_a_divergence_but_no_distribution(toy, taken):
    some = taken()
    assert not some.known.all() and some.known.any()
    none = some._replace(known=jnp.zeros(32, bool))
    _, _, info = moved(toy, none)
    assert info["distribution"] == 0 and info["divergence"] > 0.01
    # what lies in the means of such groups is not read
    odd = some._replace(mean=jnp.where(some.known[:, None], some.mean, 1e6))
    assert moved(toy, odd)[2]["distribution"] == moved(toy, some)[2]["distribution"]


@pytest.mark.parametrize(
    "changes", [{"like": "kernel", "cf_outcome": "sample"}, {"head": "zinb", "draws": 20}], ids=str
)
def test_other_forms_of_the_terms_step_and_stay_finite(toy, taken, changes):
    assert family(toy.shape, **changes).draws == 20
    some = taken(draws=20)
    before, after, info = moved(toy, some, **changes)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves((after["model"].params, info)))
    assert not same(before["model"].params, after["model"].params)


def test_one_minibatch_is_for_the_model_and_two_for_the_discriminator(toy, taken):
    how = {"like": "discriminator"}
    turns = family(toy.shape, **how).turns
    assert len(turns) == 3 and turns[1] is turns[2]
    before, after, info = moved(toy, taken(), **how)
    assert same(before["judge"], after["judge"])
    assert not same(before["model"].params, after["model"].params)
    _, judged, first = moved(toy, taken(), turn=1, parts=after, **how)
    assert same(after["model"], judged["model"])
    assert not same(after["judge"].params, judged["judge"].params)
    parts = judged
    for _ in range(60):
        _, parts, last = moved(toy, taken(), turn=1, parts=parts, **how)
    assert last["judge"] < 0.8 * first["judge"]


def test_predictions_are_of_the_mean_state(toy, taken):
    made, parts = family(toy.shape), begun(toy)
    graph, own, some = incoming(toy.edges, G), parts["model"], taken()
    told, sd = made.predict(own.params, own.stats, graph, some.y, some.t, some.x, some.wanted)
    net = network(Inferring(toy.shape, relations=RELATIONS))
    z_g = net.graph(own.params, net.nodes(own.params, graph), graph)
    (mean, _), _ = net.encode(own.params, own.stats, some.y, some.t, some.x, z_g, train=False)
    out, _ = net.decode(own.params, own.stats, mean, some.wanted, z_g, train=False)
    np.testing.assert_allclose(told, out[0], atol=1e-6)
    np.testing.assert_allclose(sd, np.log1p(np.exp(out[1])) + 1e-3, rtol=1e-5)


def test_genes_over_eight_devices_as_on_one(toy, taken):
    _, one, info = moved(toy, taken())
    config = Variational(RELATIONS, toy.widths, mc=2)
    turn = variational(config, toy.shape, TRAINING, mesh(8)).turns[0]
    other, told = jax.jit(turn)(jax.random.key(2), begun(toy), taken())
    for name in info:
        assert told[name] == pytest.approx(float(info[name]), rel=1e-5)
    # first moments are a tenth of the gradient
    for a, b in zip(*(jax.tree.leaves(x["model"].opt[1].mu) for x in (one, other)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="a draw of nb has no slopes"):
        Variational(head="nb", cf_outcome="sample")
    with pytest.raises(ValueError, match="`mc` 0"):
        replace(Variational(), mc=0)
