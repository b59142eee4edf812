import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine.pairs import Pairs, upper
from epistax.engine.policy import catalogue
from epistax.engine.policy.catalogue import NAMES, Settings, policy
from epistax.engine.protocols import Posterior
from epistax.engine.screen import Candidates

P = 12
PAIRS = Pairs(*(jnp.asarray(x) for x in upper(P)))
Q = len(PAIRS.i)
MEAN = jnp.asarray(np.random.default_rng(0).normal(size=Q), jnp.float32)
SD = jnp.asarray(np.random.default_rng(1).uniform(0.1, 2, size=Q), jnp.float32)


def independent() -> Posterior:
    """A belief of independent normals, so that every policy's answer is known."""

    def sample(key, belief, pairs):
        return MEAN + SD * jax.random.normal(key, (Q,))

    told = MEAN, SD**2
    return Posterior(lambda *a: (None, {}), lambda *a: told, sample, lambda *a: told)


def candidates(closed=()):
    open = jnp.ones(Q, bool).at[jnp.asarray(closed, int)].set(False)
    return Candidates(PAIRS, open, jnp.int32(20))


@pytest.mark.parametrize("name", NAMES)
def test_every_policy_picks_distinct_open_pairs_the_same_way_twice(name):
    closed = np.arange(0, Q, 3)
    chosen = policy(name, Settings(batch=10, draws=64), p=P).choose
    index, value = chosen(jax.random.key(1), independent(), jnp.zeros(()), candidates(closed))
    again, _ = chosen(jax.random.key(1), independent(), jnp.zeros(()), candidates(closed))
    assert len(set(index.tolist())) == 10 and not set(index.tolist()) & set(closed.tolist())
    assert value.shape == (10,) and np.isfinite(value).all()
    np.testing.assert_array_equal(index, again)


@pytest.mark.parametrize("name", NAMES)
def test_jit_equals_eager(name):
    chosen = policy(name, Settings(batch=5, draws=32), p=P).choose
    post = independent()
    eager, _ = chosen(jax.random.key(2), post, jnp.zeros(()), candidates())
    jitted, _ = jax.jit(lambda k, c: chosen(k, post, jnp.zeros(()), c))(
        jax.random.key(2), candidates()
    )
    np.testing.assert_array_equal(eager, jitted)


def test_index_policies_by_hand():
    def chosen(name, **settings):
        rule = policy(name, Settings(batch=6, **settings), p=P)
        return rule.choose(jax.random.key(0), independent(), jnp.zeros(()), candidates())[0]

    np.testing.assert_array_equal(chosen("greedy"), np.argsort(-MEAN)[:6])
    np.testing.assert_array_equal(chosen("us"), np.argsort(-SD)[:6])
    np.testing.assert_array_equal(chosen("ucb", beta=2.0), np.argsort(-(MEAN + 2 * SD))[:6])


def test_thompson_slots_come_from_draws_of_their_own():
    rule = policy("ts-par", Settings(batch=4), p=P)
    index, value = rule.choose(jax.random.key(3), independent(), jnp.zeros(()), candidates())
    for n, (x, v) in enumerate(zip(index, value, strict=True)):
        draw = independent().sample(jax.random.fold_in(jax.random.key(3), n), None, PAIRS)
        draw = draw.at[index[:n]].set(-jnp.inf)
        assert int(draw.argmax()) == int(x) and float(draw.max()) == pytest.approx(float(v))


def test_directed_sampling_prefers_the_uncertain_of_two_equal_means():
    mean = jnp.zeros(Q)
    sd = jnp.full(Q, 0.1).at[7].set(2.0)
    post = Posterior(
        lambda *a: (None, {}),
        lambda b, pairs: (mean, sd**2),
        lambda key, belief, pairs: mean + sd * jax.random.normal(key, (Q,)),
        lambda *a: (mean, sd),
    )
    for name in ("ids", "ids-var", "ids-argmax", "ids-defl", "ids-clusters"):
        rule = policy(name, Settings(batch=1, draws=200), p=P)
        index, _ = rule.choose(jax.random.key(4), post, jnp.zeros(()), candidates())
        assert int(index[0]) == 7, name


def test_draws_depend_on_key_and_number_only():
    one = catalogue.draws(jax.random.key(5), independent(), None, candidates(), 16)
    more = catalogue.draws(jax.random.key(5), independent(), None, candidates(), 40)
    np.testing.assert_allclose(one, more[:16], rtol=1e-6)


def test_unknown_policy_is_named():
    with pytest.raises(ValueError, match="'nosuch' is not one of ids"):
        policy("nosuch", Settings(batch=1), p=P)
