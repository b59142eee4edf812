"""Every policy over the implicit pair space chooses as over a list of all pairs (A26)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine import shortlist, streamed
from epistax.engine.mesh import mesh
from epistax.engine.pairs import Pairs, rank, upper
from epistax.engine.policy import batch, ids
from epistax.engine.policy.catalogue import NAMES, Settings, policy
from epistax.engine.posterior import moments
from epistax.engine.posterior.draws import rewards, sampled
from epistax.engine.protocols import Posterior
from epistax.engine.screen import Candidates

P, R, MEASURED = 500, 5, 3000
PAIRS = upper(P)
KEY = jax.random.key(7)
SAME = Settings(batch=24, draws=32)  # the settings of every case below
CLOSED = Posterior(
    lambda *_: (None, {}),
    moments.of_pairs,
    lambda key, factors, pairs: rewards(sampled(key, factors), pairs),
    lambda factors, measured, pairs: moments.of_pairs(factors, pairs),
)


def factors(seed=0, p=P):
    rng = np.random.default_rng(seed)
    x = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)  # noqa: E731
    sd = lambda *shape: 0.2 + 0.2 * jnp.abs(x(*shape))  # noqa: E731
    return moments.Factors(x(), sd(), 0.5 * x(p), sd(p), x(R), sd(R), x(p, R), sd(p, R))


@pytest.fixture(scope="module")
def case():
    """A belief, what is measured, and the list of all pairs."""
    done = np.sort(np.random.default_rng(1).choice(len(PAIRS.i), MEASURED, replace=False))
    open = np.ones(len(PAIRS.i), bool)
    open[done] = False
    measured = Pairs(PAIRS.i[done], PAIRS.j[done])
    listed = Candidates(Pairs(*map(jnp.asarray, PAIRS)), jnp.asarray(open), jnp.int32(24))
    return factors(), measured, listed


@pytest.fixture(scope="module")
def s(case):
    """Every draw of every pair, [32, 124750]."""
    belief, _, listed = case
    return shortlist.of_numbers(jnp.arange(32), KEY, belief, listed.pairs)


def places(chosen):
    return rank(chosen.pairs, P).tolist()


@pytest.mark.parametrize(
    "name",
    [
        "ucb",
        "ids-ts",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("us", "greedy", "ts-par")),
    ],
)
def test_policies_with_a_dense_twin_choose_the_same_batch(case, name):
    belief, measured, listed = case
    dense = policy(name, SAME, p=P).choose(KEY, CLOSED, belief, listed)
    chosen = streamed.choose(name, SAME, KEY, belief, measured)
    assert places(chosen) == dense[0].tolist()
    np.testing.assert_allclose(chosen.value, dense[1], rtol=2e-4, atol=1e-4)
    mean, var = moments.of_pairs(belief, chosen.pairs)
    np.testing.assert_allclose(chosen.mean, mean, rtol=1e-5)
    np.testing.assert_allclose(chosen.sd, np.sqrt(var), rtol=1e-5)


def test_one_draw_gives_its_best_pairs(case, s):
    belief, measured, listed = case
    chosen = streamed.choose("ts-one", SAME, KEY, belief, measured)
    assert places(chosen) == lowest(-s[0], listed).tolist()


def parts(case, s):
    """E max R by the draws; regret and variance in closed form; of all pairs."""
    belief, _, listed = case
    mean, var = moments.of_pairs(belief, listed.pairs)
    expected = jnp.where(listed.open[None, :], s, -jnp.inf).max(1).mean()
    return np.maximum(expected - mean, 0), np.asarray(mean), np.asarray(var)


def lowest(psi, listed, size=24):
    return np.argsort(np.where(listed.open, psi, np.inf), kind="stable")[:size]


def test_directed_sampling_by_variance_chooses_the_least_ratio_of_all_pairs(case, s):
    belief, measured, listed = case
    delta, _, var = parts(case, s)
    psi = delta**4 / var
    chosen = streamed.choose("ids-var", SAME, KEY, belief, measured)
    assert places(chosen) == lowest(psi, listed).tolist()
    np.testing.assert_allclose(-chosen.value, psi[lowest(psi, listed)], rtol=1e-3)


@pytest.mark.parametrize(
    "name",
    [
        "ids-self",
        "ids-argmax",
        "ids-clusters",
    ],
)
@pytest.mark.slow
def test_a_short_list_proves_itself_complete(case, name, monkeypatch):
    belief, measured, listed = case
    k_draw, _ = jax.random.split(KEY)
    s = shortlist.of_numbers(jnp.arange(32), k_draw, belief, listed.pairs)
    delta, _, var = parts(case, s)
    monkeypatch.setattr(shortlist, "SHORT", 64)
    chosen = streamed.choose(name, SAME, KEY, belief, measured)
    assert chosen.info["complete"] and 64 < chosen.info["shortlist"] < len(PAIRS.i) / 2
    if name == "ids-self":
        theta = ids.threshold(s, listed.open, jnp.int32(24))
        # rounding puts the pair that is a draw's threshold on either side of it
        below, psi, above = (
            ids.ratio(
                jnp.asarray(delta),
                ids.explained(s, s >= (theta + side)[:, None]) / s.var(0) * var,
                jnp.asarray(var),
                4.0,
            )
            for side in (-1e-4, 0.0, 1e-4)
        )
        best = lowest(psi, listed)
        assert places(chosen) == best.tolist()
        sides = [np.isclose(-chosen.value, of[best], rtol=1e-3) for of in (below, psi, above)]
        assert np.any(sides, axis=0).all()
    monkeypatch.setattr(shortlist, "SHORT", len(PAIRS.i))
    every = streamed.choose(name, SAME, KEY, belief, measured)
    assert every.info["shortlist"] == len(PAIRS.i) - MEASURED
    assert places(every) == places(chosen)


def test_deflation_needs_no_more_than_its_short_list(case):
    belief, measured, listed = case
    k_draw, _ = jax.random.split(KEY)
    s = shortlist.of_numbers(jnp.arange(32), k_draw, belief, listed.pairs)
    delta, mean, var = parts(case, s)
    stretched = shortlist.onto(s, jnp.asarray(mean), jnp.asarray(var))
    dense = batch.deflate(stretched, jnp.asarray(delta), listed.open, SAME.noise, 16.0, 24)
    chosen = streamed.choose("ids", SAME, KEY, belief, measured)
    assert chosen.info["shortlist"] == 24 + 1024
    assert places(chosen) == dense[0].tolist()
    np.testing.assert_allclose(-chosen.value, dense[1], rtol=2e-2)


def test_stretched_draws_have_the_moments_in_closed_form(case, s):
    belief, _, listed = case
    mean, var = moments.of_pairs(belief, listed.pairs)
    stretched = shortlist.onto(s, mean, var)
    np.testing.assert_allclose(stretched.mean(0), mean, atol=1e-4)
    np.testing.assert_allclose(stretched.var(0), var, rtol=1e-3)


QUICKLY = ("ids", "random", "ucb")


@pytest.mark.parametrize(
    "name", [n if n in QUICKLY else pytest.param(n, marks=pytest.mark.slow) for n in NAMES]
)
def test_measured_and_barred_pairs_are_never_chosen_and_none_is_chosen_twice(name):
    p = 40
    pairs = upper(p)
    done = np.random.default_rng(3).random(len(pairs.i)) < 0.6
    allowed = np.arange(p) % 4 > 0
    free = ~done & allowed[pairs.i] & allowed[pairs.j]
    settings = Settings(batch=int(free.sum()) + 5, draws=16)
    chosen = streamed.choose(
        name,
        settings,
        KEY,
        factors(p=p),
        Pairs(pairs.i[done], pairs.j[done]),
        allowed=allowed,
        size=16,
    )
    assert sorted(rank(chosen.pairs, p)) == np.flatnonzero(free).tolist()


@pytest.mark.parametrize("name", ["ids", pytest.param("ids-self", marks=pytest.mark.slow), "ts"])
def test_tiles_and_devices_change_no_batch(case, name):
    belief, measured, _ = case
    one = streamed.choose(name, SAME, KEY, belief, measured)
    for how in ({"size": 200}, {"mesh": mesh(8)}):
        other = streamed.choose(name, SAME, KEY, belief, measured, **how)
        assert places(other) == places(one)
        np.testing.assert_allclose(other.value, one.value, rtol=1e-3)


def test_random_pairs_are_uniform():
    none = Pairs(np.zeros(0, np.int32), np.zeros(0, np.int32))
    belief, settings = factors(p=12), Settings(batch=6)
    count = np.zeros(66)
    for n in range(400):
        key = jax.random.key(n)
        chosen = streamed.choose("random", settings, key, belief, none)
        count[rank(chosen.pairs, 12)] += 1
    expected = 400 * 6 / 66
    assert ((count - expected) ** 2 / expected).sum() < 66 + 4 * np.sqrt(2 * 66)


def test_unknown_policy_is_named(case):
    belief, measured, _ = case
    with pytest.raises(ValueError, match="'nosuch' is not one of ids"):
        streamed.choose("nosuch", SAME, KEY, belief, measured)
