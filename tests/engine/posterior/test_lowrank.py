import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine.pairs import Pairs, upper
from epistax.engine.posterior import lowrank as module
from epistax.engine.posterior import moments
from epistax.engine.posterior.gibbs import Gibbs, gibbs
from epistax.engine.posterior.lowrank import LowRank, lowrank
from epistax.engine.screen import gather

P = 30
PAIRS = upper(P)


def planted(seed=0, rank=3, p=P):
    rng = np.random.default_rng(seed)
    u, s = rng.normal(size=(p, rank)), np.array([1.2, -1.0, 0.8])[:rank]
    pairs = upper(p)
    return ((u * s) @ u.T)[pairs.i, pairs.j].astype(np.float32)


def observed(y, n=200, seed=1, noise=0.1):
    rng = np.random.default_rng(seed)
    noisy = (y + noise * rng.normal(size=len(y))).astype(np.float32)
    chosen = rng.choice(len(y), n, replace=False)
    return gather(PAIRS, noisy, np.zeros_like(noisy), chosen, length=n + 20), chosen


@pytest.mark.slow
def test_variational_mean_agrees_with_the_gibbs_reference():
    # spec, section 8: correlation of the means over unmeasured pairs at least .9
    y = planted()
    measured, chosen = observed(y)
    rest = np.setdiff1d(np.arange(len(y)), chosen)
    svi = lowrank(LowRank(rank=3, gene_effects=False), p=P, reward="score")
    reference = gibbs(Gibbs(rank=3, chains=100, sweeps=150), p=P, reward="score")
    found, info = svi.fit(jax.random.key(0), None, measured)
    exact, _ = reference.fit(jax.random.key(0), None, measured)
    mean, var = svi.moments(found, PAIRS)
    mean_ref, var_ref = reference.moments(exact, PAIRS)
    assert bool(info["finite"])
    assert np.corrcoef(mean[rest], mean_ref[rest])[0, 1] >= 0.9
    assert np.corrcoef(mean[rest], y[rest])[0, 1] >= 0.9
    # mean field sits in one mode and is known to be too sure of it
    ratio = float(np.median(np.sqrt(var[rest] / var_ref[rest])))
    assert 0.2 < ratio < 1.2


def test_closed_form_moments_are_those_of_draws():
    measured, _ = observed(planted(seed=3))
    svi = lowrank(LowRank(rank=3, steps=600, restarts=1), p=P, reward="score")
    belief, _ = svi.fit(jax.random.key(0), None, measured)
    s = jax.vmap(lambda k: svi.sample(k, belief, PAIRS))(jax.random.split(jax.random.key(1), 8000))
    mean, var = svi.moments(belief, PAIRS)
    np.testing.assert_allclose(s.mean(0), mean, atol=5 * np.sqrt(var.max() / 8000))
    np.testing.assert_allclose(s.var(0) / var, 1.0, atol=0.15)


@pytest.mark.slow
def test_low_rank_guide_learns_and_draws():
    y = planted(seed=4)
    measured, chosen = observed(y)
    rest = np.setdiff1d(np.arange(len(y)), chosen)
    config = LowRank(rank=3, guide="lowrank", gene_effects=False, steps=3000)
    svi = lowrank(config, p=P, reward="score")
    belief, _ = svi.fit(jax.random.key(0), None, measured)
    mean, var = svi.moments(belief, PAIRS)
    assert np.corrcoef(mean[rest], y[rest])[0, 1] >= 0.8
    assert (var > 0).all()


@pytest.mark.slow
def test_warm_start_leaves_the_collapsed_belief_of_a_tiny_first_batch():
    y = planted(seed=5)
    few, _ = observed(y, n=6)
    many, chosen = observed(y)
    rest = np.setdiff1d(np.arange(len(y)), chosen)
    svi = lowrank(LowRank(rank=3, gene_effects=False, warm_steps=3000), p=P, reward="score")
    belief, _ = svi.fit(jax.random.key(0), None, few)
    belief, _ = svi.fit(jax.random.key(1), belief, many)
    mean, _ = svi.moments(belief, PAIRS)
    assert np.corrcoef(mean[rest], y[rest])[0, 1] >= 0.85


@pytest.mark.slow
def test_grid_and_list_layouts_give_the_same_posterior(monkeypatch):
    measured, _ = observed(planted(seed=6))
    posterior = lowrank(LowRank(rank=2, steps=300, restarts=2), p=P, reward="score")
    grid, _ = posterior.fit(jax.random.key(0), None, measured)
    monkeypatch.setattr(module, "CELLS", 0)
    listed, _ = posterior.fit(jax.random.key(0), None, measured)
    for name, value in grid.params.items():
        np.testing.assert_allclose(value, listed.params[name], rtol=2e-3, atol=2e-3)


def test_unmeasured_scores_are_out_of_reach():
    y = planted(seed=7)
    chosen = np.arange(0, len(y), 3)
    poisoned = np.full_like(y, np.nan)
    poisoned[chosen] = y[chosen]
    zero = np.zeros_like(y)
    svi = lowrank(LowRank(rank=2, steps=100, restarts=1), p=P, reward="score")
    one, _ = svi.fit(jax.random.key(0), None, gather(PAIRS, y, zero, chosen, length=200))
    two, _ = svi.fit(jax.random.key(0), None, gather(PAIRS, poisoned, zero, chosen, length=200))
    for x, z in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        np.testing.assert_array_equal(x, z)


def test_padding_changes_nothing():
    y = planted(seed=8)
    chosen, zero = np.arange(150), np.zeros_like(y)
    svi = lowrank(LowRank(rank=2, steps=100, restarts=1), p=P, reward="score")
    fits = [
        svi.fit(jax.random.key(0), None, gather(PAIRS, y, zero, chosen, length=n))[0]
        for n in (150, 300)
    ]
    for x, z in zip(jax.tree.leaves(fits[0]), jax.tree.leaves(fits[1]), strict=True):
        np.testing.assert_allclose(x, z, rtol=1e-4, atol=1e-5)


def random_factors(p=40, r=4, seed=0):
    rng = np.random.default_rng(seed)
    x = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)  # noqa: E731
    return moments.Factors(
        x(), jnp.abs(x()), x(p), jnp.abs(x(p)), x(r), jnp.abs(x(r)), x(p, r), jnp.abs(x(p, r))
    )


def test_tile_moments_equal_pair_moments():
    f = random_factors()
    pairs = upper(40)
    mean, var = moments.of_pairs(f, Pairs(jnp.asarray(pairs.i), jnp.asarray(pairs.j)))
    every = jnp.arange(40)
    tile_mean, tile_var = moments.of_tile(f, every, every)
    np.testing.assert_allclose(tile_mean[pairs.i, pairs.j], mean, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(tile_var[pairs.i, pairs.j], var, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(tile_mean, tile_mean.T, rtol=1e-5, atol=1e-4)


def test_moments_of_a_single_product_by_hand():
    # R = s u_0 u_1 with all three N(m, v): E R^2 is the product of the second moments
    one = jnp.ones(1)
    f = moments.Factors(
        jnp.zeros(()), jnp.zeros(()), jnp.zeros(2), jnp.zeros(2),
        2 * one, 0.5 * one, jnp.array([[1.5], [-1.0]]), jnp.array([[0.3], [0.7]]),
    )  # fmt: skip
    mean, var = moments.of_pairs(f, upper(2))
    np.testing.assert_allclose(mean, 2 * 1.5 * -1.0)
    second = (4 + 0.25) * (2.25 + 0.09) * (1 + 0.49)
    np.testing.assert_allclose(var, second - 9.0, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["abs", "interaction"])
def test_belief_follows_the_reward_it_is_given(kind):
    y = planted(seed=9)
    singles = np.random.default_rng(2).normal(size=P).astype(np.float32)
    additive = 0.8 * (singles[PAIRS.i] + singles[PAIRS.j]) if kind == "interaction" else 0.0
    score = (y + additive).astype(np.float32)
    svi = lowrank(LowRank(rank=4), p=P, reward=kind, singles=jnp.asarray(singles))
    chosen = np.random.default_rng(3).choice(len(y), 300, replace=False)
    measured = gather(PAIRS, score, np.zeros_like(score), chosen, length=300)
    belief, _ = svi.fit(jax.random.key(0), None, measured)
    mean, _ = svi.moments(belief, PAIRS)
    rest = np.setdiff1d(np.arange(len(y)), chosen)
    assert np.corrcoef(mean[rest], np.abs(y[rest]))[0, 1] > 0.35
