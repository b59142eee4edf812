"""Epochs, looks, seeds side by side, the rates, and what may not reach the parameters."""

import functools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine.fit import fit
from epistax.engine.nets.graphconv import incoming
from epistax.engine.response import neural, training
from epistax.engine.response.autoencoder import Autoencoder, autoencoder
from epistax.engine.response.known import known
from epistax.engine.response.records import Cells
from epistax.engine.response.training import Family, Pace, State, Training, adam, at_pace

TRAINING = Training(epochs=6, batch=32, every=2, rate=3e-3, patience=None)
KEYS = jax.random.split(jax.random.key(3), 2)
N, G, A = 240, 16, 4
GRAPH = incoming(None, G)


def close(a, b, tolerance=1e-5):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=tolerance), a, b)


def model(state):
    return state.parts["model"].params


@pytest.fixture(scope="module")
def family(toy):
    return autoencoder(Autoencoder(toy.widths), toy.shape, TRAINING)


@pytest.fixture(scope="module")
def arrays(toy):
    return known(toy.data, GRAPH, least=5, controls=64)


@pytest.fixture(scope="module")
def run(family, arrays):
    """(steps, how) -> what fit gives, one look a chunk."""

    def fitted(steps=3, keys=KEYS, data=arrays, settings=TRAINING, **how):
        state = neural.begin(family)(keys, GRAPH)
        step = training.stepper(family, settings)
        return fit(keys, step, state, data, steps=steps, chunk=1, **how)

    return fitted


@pytest.fixture(scope="module")
def trained(run):
    seen = []

    def hook(done, state, info):
        seen.append(jax.tree.map(np.array, model(state)))

    return *run(hooks=(hook,)), seen


def test_an_epoch_takes_every_cell_once_in_the_turns_of_the_family(toy, arrays):
    def noted(name):
        def step(key, parts, taken):
            seen = parts["seen"].at[taken.arm].add(1)
            return {**parts, "seen": seen, name: parts[name] + len(taken.arm)}, {"loss": 0.0}

        return step

    parts = {"seen": jnp.zeros(N, int), "a": jnp.zeros((), int), "b": jnp.zeros((), int)}
    marked = arrays._replace(cells=arrays.cells._replace(arm=np.arange(N)))
    marked = jax.tree.map(jnp.asarray, marked._replace(arms=np.eye(N, A, dtype=np.float32)))
    family = Family(lambda key, graph: {}, (noted("a"), noted("b"), noted("b")), lambda *x: x)
    keys = jax.random.split(jax.random.key(0))
    made, _ = training.once(*keys, parts, marked, family, replace(TRAINING, batch=40))
    np.testing.assert_array_equal(made["seen"], 1)
    assert (made["a"], made["b"]) == (80, 160)
    # 240 cells are two rounds of three batches of 32; 48 cells wait
    made, _ = training.once(*keys, parts, marked, family, TRAINING)
    assert made["seen"].max() == 1 and made["seen"].sum() == 192


def test_seeds_side_by_side_are_each_alone_and_differ(run, trained):
    state, info, _ = trained
    for m in range(2):
        alone, own = run(keys=KEYS[m : m + 1])
        # not the biases that batch moments take away: of these Adam sees rounding errors alone
        one, both = (model(x)["readout"] for x in (alone, state))
        close(one, jax.tree.map(lambda x, m=m: x[m : m + 1], both), 1e-4)
        for name, near in (("loss", 1e-4), ("validation", 0.02)):
            np.testing.assert_allclose(own[name][:, 0], info[name][:, m], rtol=near)
    assert np.abs(info["loss"][:, 0] - info["loss"][:, 1]).min() > 1e-4
    assert (np.diff(info["loss"], axis=0) < 0).all()


def test_the_score_of_a_look_is_r2_of_means_predicted_from_all_controls(
    toy, family, arrays, trained
):
    state, info, _ = trained
    variables = jax.tree.map(lambda v: v[0], (model(state), state.parts["model"].stats))
    own, design = toy.data.validation, toy.data.design
    controls = jnp.asarray(own.y[own.arm == 0][:64])
    scores = []
    for c in range(2):
        for a in range(1, A):
            rows = own.y[(own.stratum == c) & (own.arm == a)]
            if len(rows) < 5:
                continue
            what = design.arms[0], design.strata[c], design.arms[a]
            each = [jnp.asarray(np.tile(v, (len(controls), 1))) for v in what]
            mean = np.asarray(family.predict(*variables, GRAPH, controls, *each)[0]).mean(0)
            for genes in (np.ones(G, bool), toy.data.strongest[c, a]):
                missed = ((rows.mean(0) - mean)[genes] ** 2).sum()
                scores.append(1 - missed / (rows.mean(0)[genes].var() * genes.sum()))
    assert len(scores) == 2 * len(arrays.look.arm) == 10
    assert np.mean(scores) == pytest.approx(float(info["validation"][-1, 0]), abs=1e-3)


def test_the_best_look_is_kept(family, arrays, trained):
    state, info, seen = trained
    for m in range(2):
        at = int(np.argmax(info["validation"][:, m]))
        pick = functools.partial(jax.tree.map, lambda x, m=m: x[m])
        close(pick(state.best[0]), pick(seen[at]), 0)
        assert state.top[m] == info["validation"][at, m] and state.since[m] == 2 - at
    # a best score that is out of reach stays
    begun = neural.begin(family)(KEYS, GRAPH)
    high = begun._replace(top=jnp.full(2, 2.0))
    kept, _ = fit(KEYS, training.stepper(family, TRAINING), high, arrays, steps=1)
    close(kept.best[0], begun.best[0], 0)
    assert (np.asarray(kept.since) == 1).all()


def test_nan_among_validation_cells_reaches_no_parameter(toy, run, trained):
    y = toy.data.validation.y.copy()
    y[:, 3] = np.nan
    bad = toy.data._replace(validation=toy.data.validation._replace(y=y))
    got, info = run(data=known(bad, GRAPH, least=5, controls=64))
    assert np.isnan(info["validation"]).all()
    close(model(got), model(trained[0]), 0)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(got.best))


def test_without_groups_to_look_at_the_last_is_kept(toy, run):
    got, info = run(data=known(toy.data, GRAPH, least=10**6, controls=64))
    assert np.isnan(info["validation"]).all()
    close(got.best[0], model(got), 0)


def test_decay_is_in_the_gradient_and_the_pace_scales_the_step():
    x, tx = jnp.asarray([2.0, -3.0]), adam(0.1, 1.0)
    state = tx.init(x)
    gradient = jnp.asarray([-2.0, 1.0])
    move, _ = tx.update(gradient, state, x)  # gradient + x: 0 and -2, of which Adam takes the sign
    np.testing.assert_allclose(move, [0.0, 0.1], atol=1e-6)
    slow = at_pace({"model": state}, jnp.float32(0.5))["model"]
    half, after = tx.update(gradient, slow, x)
    np.testing.assert_allclose(half, [0.0, 0.05], atol=1e-6)
    assert [s.factor for s in after if isinstance(s, Pace)] == [0.5]


def test_the_rate_falls_after_so_many_looks_and_the_last_is_kept_if_wanted(run):
    still = replace(TRAINING, slow=1, factor=0.0, keep="last")
    got, _ = run(settings=still)
    early, _ = run(steps=1, settings=still)
    close(model(got), model(early), 0)
    close(got.best[0], model(got), 0)


def test_patience_ends_the_training_when_no_fit_gets_better():
    hook = training.patient(replace(TRAINING, patience=4))
    state = State({}, (), None, None, jnp.asarray([5.0, 4.0]))
    assert not hook(9, state, {})
    assert hook(9, state._replace(since=jnp.asarray([9.0, 5.0])), {})
    assert not training.patient(TRAINING)(9, state._replace(since=jnp.asarray([99.0])), {})


def test_a_method_predicts_in_blocks_what_it_predicts_of_few(toy, family, trained):
    method = neural.neural(family, TRAINING, design=toy.data.design, graph=None, genes=G)
    many = Cells(*(np.concatenate([x] * 4) for x in toy.data.validation))
    arm = np.arange(len(many.arm)) % A
    told = method.predict(trained[0].best, many, arm)
    assert told.mean.shape == told.sd.shape == (2, 400, G)
    few = method.predict(trained[0].best, Cells(*(x[300:307] for x in many)), arm[300:307])
    np.testing.assert_allclose(told.mean[:, 300:307], few.mean, atol=1e-5)
    np.testing.assert_allclose(told.sd[:, 300:307], few.sd, atol=1e-5)


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="`rate` is 0.0; it must be above 0"):
        Training(rate=0.0)
    assert Training(epochs=3).every == 3 and Training(epochs=25).looks == 3
