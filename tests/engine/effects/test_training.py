"""Training of many jobs: the rates, the batches, the best epoch, and what must not matter."""

import functools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from epistax.engine.effects import neural as methods
from epistax.engine.effects import training
from epistax.engine.effects.neural import Neural, neural
from epistax.engine.effects.records import Combos, Jobs, Table
from epistax.engine.effects.training import Training, factor
from epistax.engine.fit import fit
from epistax.engine.nets.combos import Combining, network

P = 6
RNG = np.random.default_rng(0)
GENES = np.stack(np.triu_indices(P, 0), axis=1).astype(np.int32)
EFFECT = RNG.normal(size=P).astype(np.float32)
VALUE = (EFFECT[GENES].sum(1) + 0.3 * RNG.normal(size=len(GENES))).astype(np.float32)
TABLE = Table(Combos(GENES, EFFECT[GENES]), VALUE)
CONFIG = Neural(Combining(P, 2, 4), Training(epochs=12, batch=4, every=3))
KEYS = jax.random.split(jax.random.key(5), 2)


def indices(*lists):
    longest = max(map(len, lists))
    return np.array([[*one, *[-1] * (longest - len(one))] for one in lists], np.int32)


JOBS = Jobs(
    indices([3, 0, 7, 9, 11, 2], [8, 1, 4, 5, 6, 10, 12, 13, 15]), indices([14, 16], [17, 18, 19])
)


def close(a, b, tolerance=2e-6):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=tolerance), a, b)


@functools.lru_cache
def trained(config=CONFIG):
    return neural(config).fit(KEYS, TABLE, JOBS)


def begun(config=CONFIG, table=TABLE, jobs=JOBS, keys=KEYS):
    return methods.begin(config)(keys, table, jobs, None, None)[0]


def history(config=CONFIG, jobs=JOBS):
    step = training.stepper(config.net, config.training)
    looks = -(-config.training.epochs // config.training.every)
    return fit(KEYS, step, begun(config, jobs=jobs), None, steps=looks)


def test_the_rate_rises_over_a_tenth_of_the_steps_and_falls_to_a_tenth_of_itself():
    total, warm = 500, 50
    s = np.arange(total)
    want = np.where(s < warm, (s + 1) / warm, 0.1 + 0.9 * (total - s) / (total - warm))
    got = jax.vmap(lambda t: factor(t, jnp.int32(total), Training()))(jnp.arange(total))
    np.testing.assert_allclose(got, want, rtol=1e-5)
    assert got[49] == got[50] == 1 and got[-1] == pytest.approx(0.1 + 0.9 / 450)
    # fewer than ten steps: no warm-up
    few = jax.vmap(lambda t: factor(t, jnp.int32(5), Training()))(jnp.arange(5))
    np.testing.assert_allclose(few, 0.1 + 0.9 * (5 - np.arange(5)) / 5, rtol=1e-6)


def test_each_job_takes_the_steps_of_its_own_batches():
    state, _ = history()
    # 6 rows are 2 batches of 4, 9 rows are 3; 12 epochs
    np.testing.assert_array_equal(state.total, [24, 36])
    np.testing.assert_array_equal(state.done, [24, 36])
    uneven = replace(CONFIG, training=replace(CONFIG.training, epochs=10))
    np.testing.assert_array_equal(history(uneven)[0].done, [20, 30])


def test_a_step_is_adams_on_the_sum_of_squares():
    config = Neural(
        Combining(P, 2, 4, dropout=0.0), Training(epochs=20, batch=8, every=1, rate=0.05)
    )
    jobs = Jobs(indices([3, 0, 7]), indices([1]))
    state = begun(config, jobs=jobs, keys=KEYS[:1])
    step = training.stepper(config.net, config.training)
    after, _ = fit(KEYS[:1], step, state, None, steps=1)
    rows = training.inputs(
        Combos(*(jnp.asarray(x)[jobs.train[0]] for x in TABLE.combos)), None, None
    )
    before = jax.tree.map(lambda x: x[0], state.params)
    net = network(config.net)
    slope = jax.grad(lambda p: jnp.sum((net.apply(p, rows) - VALUE[jobs.train[0]]) ** 2))(before)
    # Adam's first direction is g / (|g| + eps), and the first of 20 // 10 = 2 warm-up steps half
    want = jax.tree.map(lambda p, g: p - 0.025 * g / (jnp.abs(g) + 1e-8), before, slope)
    close(jax.tree.map(lambda x: x[0], after.params), want, 1e-5)


def test_the_best_epoch_has_the_least_validation_loss():
    state, info = history()
    seen = info["validation"]
    assert seen.shape == (4, 2)
    np.testing.assert_array_equal(state.least, seen.min(axis=0))
    made = network(CONFIG.net)
    for job in range(2):
        index = JOBS.validation[job][JOBS.validation[job] >= 0]
        rows = Combos(*(jnp.asarray(x)[index] for x in TABLE.combos))
        own = jax.tree.map(lambda x, job=job: x[job], state)
        params = training.finished(own.best, own.seen, False, CONFIG.training)
        told = made.apply(params, training.inputs(rows, None, None))
        assert float(jnp.mean((told - VALUE[index]) ** 2)) == pytest.approx(
            float(own.least), rel=1e-4
        )


def test_the_best_is_kept_when_later_epochs_are_worse():
    # validation rows are the contrary of the training rows: every step makes them worse
    twice = Table(Combos(*(np.tile(x, (2, 1)) for x in TABLE.combos)), np.r_[VALUE, -VALUE - 3])
    jobs = Jobs(indices([0, 1, 2, 3], [4, 5, 6]), indices([21, 22, 23, 24], [25, 26, 27]))
    config = Neural(Combining(P, 2, 4, dropout=0.0), Training(epochs=60, every=2, rate=0.03))
    step = training.stepper(config.net, config.training)
    state, info = fit(KEYS, step, begun(config, twice, jobs), None, steps=30)
    assert (state.least < info["validation"][-1]).all()
    np.testing.assert_array_equal(state.least, info["validation"].min(axis=0))
    assert np.abs(state.best["table"]["free"] - state.params["table"]["free"]).max() > 1e-3


def test_without_validation_rows_the_last_epoch_is_kept():
    state, _ = history(jobs=Jobs(JOBS.train, np.full_like(JOBS.validation, -1)))
    close(state.best, state.params, 0)
    assert np.isinf(state.least).all()


def test_the_last_epoch_is_kept_if_asked_for():
    config = replace(CONFIG, training=replace(CONFIG.training, keep="last"))
    state, info = history(config)
    close(state.best, state.params, 0)
    np.testing.assert_array_equal(state.least, info["validation"][-1])


def test_jobs_side_by_side_are_the_jobs_one_by_one():
    both = trained()
    for job in range(2):
        one = neural(CONFIG).fit(
            KEYS[job : job + 1], TABLE, jax.tree.map(lambda x, job=job: x[job : job + 1], JOBS)
        )
        close(one, jax.tree.map(lambda x, job=job: x[job : job + 1], both), 1e-5)


@pytest.mark.slow
def test_padding_does_not_matter():
    longer = Jobs(*(np.pad(x, ((0, 0), (0, 7)), constant_values=-1) for x in JOBS))
    close(neural(CONFIG).fit(KEYS, TABLE, longer), trained(), 1e-5)
    # nor a batch that has room for more rows than there are
    whole = replace(CONFIG, training=replace(CONFIG.training, batch=9))
    roomy = replace(CONFIG, training=replace(CONFIG.training, batch=16))
    close(neural(roomy).fit(KEYS, TABLE, longer), trained(whole), 1e-5)


def test_rows_of_no_job_reach_nothing():
    used = np.unique(np.concatenate([JOBS.train.ravel(), JOBS.validation.ravel()]))
    poisoned, singles = np.full_like(VALUE, np.nan), np.full_like(TABLE.combos.singles, np.nan)
    poisoned[used[used >= 0]] = VALUE[used[used >= 0]]
    singles[used[used >= 0]] = TABLE.combos.singles[used[used >= 0]]
    poisoned[-1], singles[-1] = np.nan, np.nan  # what index -1 would read
    for config in (CONFIG, replace(CONFIG, net=replace(CONFIG.net, symmetric=False))):
        got = neural(config).fit(KEYS, Table(Combos(GENES, singles), poisoned), JOBS)
        close(got, trained(config), 0)


def test_compiled_is_eager():
    config = Neural(Combining(P, 2, 0, dropout=0.0), Training(epochs=1, batch=16, every=1))
    step = training.stepper(config.net, config.training)
    state = jax.tree.map(lambda x: x[0], begun(config))
    compiled, _ = fit(KEYS[0], step, state, None, steps=1)
    with jax.disable_jit():
        eager, _ = step(jax.random.fold_in(KEYS[0], 0), state, None)
    close(compiled.params, eager.params, 1e-5)


def test_only_vectors_of_genes_that_are_seen_are_moved():
    jobs = Jobs(indices([0, 1, 2, 6, 7]), indices([20]))  # genes 0, 1 and 2 of six
    start = begun(jobs=jobs, keys=KEYS[:1])
    np.testing.assert_array_equal(start.seen, [[True, True, True, False, False, False]])
    state, _ = fit(KEYS[:1], training.stepper(CONFIG.net, CONFIG.training), start, None, steps=4)
    moved = np.abs(state.params["table"]["free"] - start.params["table"]["free"]).max(axis=2)[0]
    assert (moved[:3] > 1e-3).all() and (moved[3:] == 0).all()


@pytest.mark.parametrize("change", [{"epochs": 0}, {"every": 0}, {"rate": 0.0}, {"warm": 1.0}])
def test_settings_that_cannot_be_are_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        Training(**change)


def test_a_row_whose_noise_is_told_misses_by_its_negative_log_density():
    rng = np.random.default_rng(3)
    told = jnp.asarray(rng.normal(size=(9, 2)), jnp.float32)
    value = jnp.asarray(rng.normal(size=9), jnp.float32)
    density = stats.norm(told[:, 0], np.exp(told[:, 1])).logpdf(value)
    expected = -density - 0.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(training.missed(told, value), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(training.missed(told[:, 0], value), (told[:, 0] - value) ** 2)
