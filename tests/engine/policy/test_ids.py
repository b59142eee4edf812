import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine.pairs import upper
from epistax.engine.policy import ids


def draws(s=64, q=200, seed=0, rank=4):
    rng = np.random.default_rng(seed)
    low = rng.normal(size=(s, rank)) @ rng.normal(size=(rank, q)) + rng.normal(size=q)
    return jnp.asarray(low + 0.3 * rng.normal(size=(s, q)), jnp.float32)


EVERY = jnp.ones(200, bool)


@pytest.mark.parametrize(("groups", "claimed"), [(8, 0.109), (32, 0.484), (60, 0.922)])
def test_groups_that_mean_nothing_explain_nothing_once_corrected(groups, claimed):
    # A22: naively G groups of k draws claim (G - 1) / k of the variance
    rng = np.random.default_rng(1)
    s = jnp.asarray(rng.normal(size=(64, 4000)), jnp.float32)
    label = jnp.asarray(rng.permutation(np.arange(64) % groups))
    naive = ids.information_groups(s, label, corrected=False)
    assert float((naive / s.var(0)).mean()) == pytest.approx(claimed, abs=0.02)
    # the floor at 0 is for use; the estimate itself is unbiased, so look at it without the floor
    fair = ids.between_less_null(s, label)
    assert float((fair / s.var(0)).mean()) == pytest.approx(0.0, abs=0.04)


def test_information_is_at_most_the_variance():
    # A23: each estimator is the variance explained by some function of the best pairs
    s, key, remaining = draws(), jax.random.key(0), jnp.int32(20)
    pairs = upper(21)
    variance = s.var(0) * (1 + 1e-5)
    table = jax.tree.map(lambda x: jnp.asarray(x)[:200], pairs)
    for v in (
        ids.information_self(s, EVERY, remaining),
        ids.information_clusters(key, s, EVERY, remaining, table, 21),
        ids.information_argmax(s, EVERY, remaining),
    ):
        assert (v >= 0).all() and (v <= variance).all() and (v > 0).any()


def test_argmax_groups_of_one_draw_each_claim_the_whole_variance():
    # A23: uncorrected, with all argmaxes distinct; hence the fallback in information_argmax
    with jax.enable_x64(True):
        s = jnp.asarray(np.random.default_rng(2).normal(size=(50, 300)))
        v = ids.information_groups(s, jnp.arange(50), corrected=False)
        np.testing.assert_allclose(v, s.var(0), atol=1e-10)
        every = jnp.ones(300, bool)
        fallback = ids.information_argmax(s, every, jnp.asarray(10))
        np.testing.assert_allclose(fallback, ids.information_self(s, every, jnp.asarray(10)))


def test_regret_is_not_negative_and_least_for_the_best_mean():
    # A24
    s = draws(seed=3)
    open = EVERY.at[:50].set(False)
    delta = ids.regret(s, open)
    assert (delta[50:] >= 0).all()
    assert int(delta[50:].argmin()) == int(s.mean(0)[50:].argmax())


@pytest.mark.parametrize("rank", [1, 7, 150])
def test_threshold_is_the_ranks_value_among_open_pairs(rank):
    s = draws(seed=4)
    open = EVERY.at[::4].set(False)
    wanted = np.sort(np.where(open, s, -np.inf), axis=1)[:, -rank]
    np.testing.assert_allclose(ids.threshold(s, open, jnp.int32(rank)), wanted, rtol=1e-6)


def test_self_information_by_hand():
    # alpha = 1/2, mean inside 3, mean outside 1: v = 1/4 * 2^2
    s = jnp.array([[4.0, 0.0], [2.0, 0.0], [1.0, 3.0], [1.0, 3.0]])
    v = ids.information_self(s, jnp.ones(2, bool), jnp.int32(1))
    np.testing.assert_allclose(v[0], 0.25 * 4)


def test_information_does_not_mind_the_order_of_draws_or_pairs():
    s, remaining = draws(seed=5), jnp.int32(15)
    v = ids.information_self(s, EVERY, remaining)
    order = np.random.default_rng(0).permutation(200)
    np.testing.assert_allclose(
        ids.information_self(s[::-1][:, order], EVERY, remaining), v[order], rtol=1e-4, atol=1e-6
    )


def test_kmeans_finds_separated_clusters():
    rng = np.random.default_rng(6)
    label = np.arange(90) % 3
    x = jnp.asarray(10 * np.eye(3)[label] + rng.normal(size=(90, 3)), jnp.float32)
    for seed in range(20):  # a start with two centres in one cluster may stay: some must not
        found = np.asarray(ids.kmeans(jax.random.key(seed), x, groups=3))
        if len({(a, b) for a, b in zip(label, found, strict=True)}) == 3:
            return
    pytest.fail("no start separated three clusters ten standard deviations apart")
