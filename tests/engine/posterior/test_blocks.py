"""The structured mean field: sums over partners, its equations, its moments, its minibatches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine.pairs import Pairs, upper
from epistax.engine.posterior import blocks, informed, spectral
from epistax.engine.posterior.partners import WIDTH, layout, total
from epistax.engine.screen import Measured

P, RANK, D, Q = 40, 3, 4, 300


def some(q, p=P, seed=0):
    pairs = upper(p)
    chosen = np.random.default_rng(seed).choice(len(pairs.i), q, replace=False)
    return Pairs(*(jnp.asarray(x[chosen]) for x in pairs))


def seen(mask=None, se=0.3, side=True, q=Q, seed=1):
    """What a fit reads, of a low-rank world with a few genes that side information knows."""
    rng = np.random.default_rng(seed)
    pairs, h = some(q), rng.normal(size=(P, D)).astype("f4")
    u = h @ rng.normal(size=(D, 2)) / 2
    truth = (u[pairs.i] * u[pairs.j] * np.array([1, -1])).sum(1)
    score = jnp.asarray(truth + 0.3 * rng.normal(size=q), jnp.float32)
    mask = jnp.ones(q, bool) if mask is None else mask
    table = Measured(pairs, score, jnp.full(q, se, jnp.float32), mask)
    return informed.observed(table, "score", None, informed.known(h if side else None, P))


@pytest.fixture(scope="module")
def case():
    data = seen()
    state = spectral.start(jax.random.key(0), data, rank=RANK)
    move = jax.jit(lambda s: blocks.run(jax.random.key(1), s, data, learn=0, steps=5,
                                        minibatch=10**6))  # fmt: skip
    return move(state), data


@pytest.mark.parametrize("q", [5, 300, 780])
def test_sums_over_partners_are_those_of_a_loop(q):
    rng = np.random.default_rng(q)
    pairs, mask = some(q), rng.random(q) < 0.8
    weight, table = rng.normal(size=q).astype("f4"), rng.normal(size=(P, 3)).astype("f4")
    made, rows = layout(pairs, mask, P)
    w = jnp.where(made.filled, jnp.asarray(weight)[made.entry], 0.0)
    expected, degree = np.zeros((P, 3)), np.zeros(P, int)
    for i, j, value, counts in zip(*map(np.asarray, pairs), weight, mask, strict=True):
        if counts:
            expected[i] += value * table[j]
            expected[j] += value * table[i]
            degree[[i, j]] += 1
    np.testing.assert_allclose(total(made, w, jnp.asarray(table)), expected, atol=1e-5)
    assert int(rows) == (-(-degree // WIDTH)).sum()
    assert (np.asarray(made.one[: int(rows)]) < P).all() and made.filled.sum() == 2 * mask.sum()


def test_information_and_shift_are_those_of_the_equations(case):
    state, data = case
    cov = np.asarray(blocks.covariance(state), np.float64)
    weight = np.random.default_rng(0).random(Q)
    found = blocks.regression(
        state, data.partners, jnp.asarray(weight, jnp.float32), data.value, jnp.asarray(cov, "f4")
    )
    m, d = np.asarray(state.mean, np.float64), np.r_[1, np.asarray(state.sign)]
    information, shift = np.zeros((P, RANK + 1, RANK + 1)), np.zeros((P, RANK + 1))
    rng = np.random.default_rng(1)
    draws = {}
    for g in range(P):  # E f f' and E a f by many draws, moments matched
        x = rng.multivariate_normal(m[g], cov[g], 4000)
        x = (x - x.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T, bias=True))).T
        x = m[g] + x @ np.linalg.cholesky(cov[g]).T
        f = np.c_[np.ones(len(x)), x[:, 1:] * d[1:]]
        draws[g] = f.T @ f / len(x), f.mean(0), f.T @ x[:, 0] / len(x)
    for i, j, y, w in zip(*map(np.asarray, data.pairs), np.asarray(data.value), weight,
                          strict=True):  # fmt: skip
        for one, other in ((i, j), (j, i)):
            second, first, with_a = draws[other]
            information[one] += w * second
            shift[one] += w * (y * first - with_a)
    np.testing.assert_allclose(found[0], information, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found[1], shift, rtol=1e-3, atol=1e-3)


def test_moments_are_those_of_draws(case):
    state, data = case
    cov = blocks.covariance(state)
    pairs = Pairs(data.pairs.i[:20], data.pairs.j[:20])
    mean, var = blocks.of_pairs(state, cov, pairs)
    noise = jax.random.normal(jax.random.key(0), (40_000, P, RANK + 1))
    x = state.mean[None] + jnp.einsum("pkl,spl->spk", jnp.linalg.cholesky(cov), noise)
    i, j = pairs
    product = (x[:, i, 1:] * x[:, j, 1:]) @ state.sign
    reward = x[:, i, 0] + x[:, j, 0] + product
    error = np.sqrt(np.asarray(var) / len(x))
    assert (np.abs(np.asarray(reward.mean(0) - mean)) < 5 * error).all()
    np.testing.assert_allclose(reward.var(0), var, rtol=0.06)


def test_minibatches_estimate_the_whole_without_bias(case):
    state, data = case
    weight = jnp.ones(Q)
    cov = blocks.covariance(state)

    def part(key):
        few, scale = blocks.drawn(key, data, 64)
        return scale * blocks.regression(state, few, weight, data.value, cov)[1]

    each = jax.lax.map(part, jax.random.split(jax.random.key(0), 3000))
    whole = blocks.regression(state, data.partners, weight, data.value, cov)[1]
    z = (each.mean(0) - whole) / jnp.maximum(each.std(0) / np.sqrt(len(each)), 1e-6)
    assert float(jnp.sqrt((z**2).mean())) < 1.3
    assert blocks.drawn(jax.random.key(0), data, len(data.partners.one))[1] == 1


def test_what_does_not_count_changes_nothing():
    mask = jnp.arange(Q) % 3 > 0
    one = seen(mask)
    two = one._replace(value=jnp.where(mask, one.value, 99.0))
    ends = [
        blocks.step(jax.random.key(1), spectral.start(jax.random.key(0), data, rank=RANK), data,
                    10**6)
        for data in (one, two)
    ]  # fmt: skip
    for a, b in zip(*map(jax.tree.leaves, ends), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_fit_ends_where_its_equations_hold():
    data = seen(side=False, q=700)
    state = spectral.start(jax.random.key(0), data, rank=RANK)
    run = jax.jit(blocks.run, static_argnames=("steps", "minibatch"))
    more = {"learn": 10**6, "minibatch": 10**6}  # precisions as they are
    state = run(jax.random.key(1), state, data, steps=200, **more)
    again = run(jax.random.key(2), state, data, steps=1, **more)
    np.testing.assert_allclose(again.mean, state.mean, atol=2e-3)
    cov = blocks.covariance(state)
    mean, var = blocks.of_pairs(state, cov, data.pairs)
    left = float(((data.value - mean) ** 2 + var).mean()) - float(blocks.errors(state, data).mean())
    assert abs(left - float(state.variance)) < 0.01 or float(state.variance) == blocks.LEAST


def test_known_errors_weigh_pairs():
    """A pair of ten times the error counts a hundredth where nothing else is noise."""
    data = seen(se=0.3)
    state = spectral.start(jax.random.key(0), data, rank=RANK)._replace(variance=jnp.float32(0))
    cov = blocks.covariance(state)
    wide = data._replace(se=10 * data.se)
    one, two = (
        blocks.regression(state, d.partners, 1 / blocks.errors(state, d), d.value, cov)[0]
        for d in (data, wide)
    )
    np.testing.assert_allclose(one, 100 * two, rtol=1e-4)


def test_compiled_and_eager_steps_are_one(case):
    """Compiled and step by step are one program."""
    state, data = case
    step = lambda s: blocks.step(jax.random.key(3), s, data, 10**6)  # noqa: E731
    with jax.disable_jit():
        eager = step(state)
    for a, b in zip(*map(jax.tree.leaves, (eager, jax.jit(step)(state))), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4)
