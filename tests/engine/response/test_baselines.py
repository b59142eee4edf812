"""CEVAE, GANITE and CPA: who learns in which turn, and that they learn."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine.nets.baselines import Doses
from epistax.engine.nets.graphconv import incoming
from epistax.engine.response.cevae import Cevae, cevae, given
from epistax.engine.response.cpa import Cpa, cpa
from epistax.engine.response.ganite import Ganite, ganite
from epistax.engine.response.known import batch, known
from epistax.engine.response.training import Training

G, A, RATE = 16, 4, 3e-3
BUILD = {Cevae: cevae, Ganite: ganite, Cpa: cpa}
GRAPH = incoming(None, G)


@pytest.fixture(scope="module")
def drawn(toy):
    arrays = jax.tree.map(jnp.asarray, known(toy.data, GRAPH, least=5, controls=8))
    return jax.jit(lambda key: batch(key, arrays, jax.random.choice(key, 240, (48,)), draws=0))


@pytest.fixture(scope="module")
def taken(drawn):
    return drawn(jax.random.key(0))


def same(a, b):
    return all(jax.tree.leaves(jax.tree.map(lambda x, y: bool((x == y).all()), a, b)))


def test_a_dose_of_0_adds_nothing_and_more_of_it_more():
    rng = np.random.default_rng(0)
    params = {"embedding": jnp.asarray(rng.normal(size=(2, 3)), jnp.float32),
              "slope": jnp.asarray([1.0, 2.0]), "shift": jnp.asarray([0.0, 0.5])}  # fmt: skip
    t = jnp.asarray([[0.0, 0.0], [1.0, 0.0], [0.3, 0.6]])
    got = Doses(3).apply({"params": params}, t)

    def much(x, slope, shift):
        return 1 / (1 + np.exp(-slope * x - shift)) - 1 / (1 + np.exp(-shift))

    each = [[much(a, 1, 0), much(b, 2, 0.5)] for a, b in np.asarray(t)]
    np.testing.assert_allclose(got, np.array(each) @ params["embedding"], atol=1e-6)
    np.testing.assert_array_equal(got[0], 0)


def test_what_was_given_is_weighed_by_its_dose():
    logits = jnp.asarray([[1.0, 2.0, 0.0]])
    log = np.log(np.exp([1, 2, 0]) / np.exp([1, 2, 0]).sum())
    assert given(logits, jnp.asarray([[0.0, 0.3, 0.0]])) == pytest.approx(-log[1], rel=1e-5)
    both = given(logits, jnp.asarray([[0.1, 0.3, 0.0]]))
    assert both == pytest.approx(-(log[0] + 3 * log[1]) / 4, rel=1e-5)


@functools.lru_cache
def made(config, shape):
    """The family, parts before any step, and the turns, compiled."""
    family = BUILD[type(config)](config, shape, Training(rate=RATE))
    begun = jax.jit(family.begin)(jax.random.key(1), GRAPH)
    compiled = {turn: jax.jit(turn) for turn in family.turns}
    return family, begun, *(compiled[turn] for turn in family.turns)


@pytest.mark.parametrize("config", [Ganite(), Cpa()], ids=["ganite", "cpa"])
def test_the_model_and_its_adversary_take_turns(config, toy, taken):
    _, begun, first, judged, again = made(config, toy.shape)
    assert judged is again
    one, _ = first(jax.random.key(2), begun, taken)
    assert same(one["judge"], begun["judge"])
    assert not same(one["model"].params, begun["model"].params)
    other, before = judged(jax.random.key(3), begun, taken)
    assert same(other["model"], begun["model"])
    assert not same(other["judge"].params, begun["judge"].params)
    for step in range(150):
        other, after = judged(jax.random.key(step), other, taken)
    assert after["judge"] < before["judge"] - 0.05


def test_cpas_model_hides_from_its_adversary(toy, taken):
    _, parts, hide, judged, _ = made(Cpa(), toy.shape)
    for step in range(150):
        parts, seen = judged(jax.random.key(step), parts, taken)
    for step in range(20):
        parts, _ = hide(jax.random.key(step), parts, taken)
    _, hidden = judged(jax.random.key(99), parts, taken)
    assert hidden["judge"] > seen["judge"] + 0.05


def test_curves_of_doses_have_a_rate_of_their_own(toy, taken):
    _, begun, first, *_ = made(Cpa(), toy.shape)
    after, _ = first(jax.random.key(2), begun, taken)
    one, other = (x["model"].params["doses"] for x in (begun, after))
    # the first step of Adam is as long as its rate
    moved = {name: np.abs(other[name] - one[name]).max() for name in one}
    assert moved["slope"] == pytest.approx(4e-3, rel=1e-2)
    assert moved["embedding"] == pytest.approx(RATE, rel=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize(
    "config, rounds, most",
    [(Cevae(), 300, 0.6), (Ganite(alpha=20.0), 1000, 1.3), (Cpa(), 300, 1.2)],
    ids=["cevae", "ganite", "cpa"],
)
def test_shifts_are_learned_better_than_by_the_control_mean(config, rounds, most, toy, drawn):
    family, parts, *turns = made(config, toy.shape)
    told = []
    for step in range(1, rounds + 1):
        for place, turn in enumerate(turns):
            key = jax.random.fold_in(jax.random.key(step), place)
            parts, _ = turn(key, parts, drawn(key))
        # a generator circles around what it learns: the mean over the last fifth
        if step > 0.8 * rounds and not step % 20:
            told.append(means(family, parts["model"], toy.data))
    error = toy.error(np.mean(told, 0))
    assert error[0] < most  # of the control means: 1.5


def means(family, model, data):
    """Predicted mean of every stratum and arm, [c, a, 1, g], from the controls of the stratum."""
    own, design = data.validation, data.design
    controls = own.arm == 0
    y, stratum = jnp.asarray(own.y[controls]), own.stratum[controls]
    told = []
    for arm in range(A):
        wanted = np.broadcast_to(design.arms[arm], (len(y), A))
        each = np.broadcast_to(design.arms[0], wanted.shape), design.strata[stratum], wanted
        mean, _ = family.predict(model.params, model.stats, GRAPH, y, *map(jnp.asarray, each))
        told.append([np.asarray(mean)[None, stratum == c].mean(1) for c in (0, 1)])
    return np.swapaxes(told, 0, 1)
