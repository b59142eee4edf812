"""The default model of effects: what it recovers, must not mind, and what its intervals hold."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine.effects import mixed as module
from epistax.engine.effects import mixed_sampler as sampler
from epistax.engine.effects.mixed import Mixed, busiest, members, mixed
from epistax.engine.effects.records import Combos, Jobs, Table

P = 24
QUICK = Mixed(rank=2, burn=60, draws=120, waves=(4, 3))


def world(seed, *, noise=0.1, extra=0, q=None):
    """Pairs of P genes: a curved function of singles, gene effects, one factor of either sign."""
    rng = np.random.default_rng(seed)
    p = P + extra
    s, a, u = rng.uniform(-1, 0.2, p), 0.3 * rng.normal(size=p), 0.6 * rng.normal(size=(p, 2))
    i, j = np.triu_indices(p, 1)
    order = rng.permutation(len(i))[:q]
    i, j = i[order], j[order]
    true = 0.8 * (s[i] + s[j]) + 0.5 * s[i] * s[j] + a[i] + a[j]
    true = true + (u[i] * u[j]) @ np.array([1.0, -1.0])
    y = true + noise * rng.normal(size=len(i))
    genes = np.stack([i, j], 1).astype(np.int32)
    return Combos(genes, s[genes].astype(np.float32)), true, y.astype(np.float32), s


def keys(*seeds):
    return jnp.stack([jax.random.key(seed) for seed in seeds])


def job(*rows):
    longest = max(map(len, rows))
    train = np.stack([np.pad(row, (0, longest - len(row)), constant_values=-1) for row in rows])
    return Jobs(train.astype(np.int32), np.full((len(rows), 1), -1, np.int32))


@pytest.fixture(scope="module")
def fitted():
    combos, true, y, s = world(0)
    method = mixed(QUICK, singles=s)
    fits = method.fit(keys(3), Table(combos, y), job(np.arange(180)))
    return method, fits, combos, true, y


def test_unmeasured_pairs_are_predicted_to_nearly_their_noise(fitted):
    method, fits, combos, true, y = fitted
    told = method.predict(fits, combos)
    error = np.asarray(told.mean[0])[180:] - true[180:]
    linear = np.polynomial.Polynomial.fit(combos.singles[:180].sum(1), y[:180], 1)
    beside = linear(combos.singles[180:].sum(1)) - true[180:]
    assert np.sqrt((error**2).mean()) < 0.35 * np.sqrt((beside**2).mean())
    inside = np.abs(np.asarray(told.mean[0]) - y)[180:] < 1.645 * np.asarray(told.sd[0])[180:]
    assert 0.8 < inside.mean() < 0.99


def test_the_order_of_the_genes_does_not_matter(fitted):
    method, fits, combos, _, _ = fitted
    turned = Combos(combos.genes[:, ::-1], combos.singles[:, ::-1])
    one, two = method.predict(fits, combos), method.predict(fits, turned)
    np.testing.assert_allclose(one.mean, two.mean, rtol=0, atol=2e-5)
    np.testing.assert_allclose(one.sd, two.sd, rtol=1e-4)


def test_a_place_without_a_gene_changes_nothing(fitted):
    method, fits, combos, _, _ = fitted
    none = np.full((len(combos.genes), 1), -1, np.int32)
    wider = Combos(np.hstack([combos.genes, none]), np.hstack([combos.singles, 0 * none]))
    wider = wider._replace(singles=wider.singles.astype(np.float32))
    one, two = method.predict(fits, combos), method.predict(fits, wider)
    np.testing.assert_allclose(one.mean, two.mean, rtol=0, atol=2e-5)


def test_blocks_of_rows_are_predicted_as_all_at_once(fitted, monkeypatch):
    method, fits, combos, _, _ = fitted
    whole = method.predict(fits, combos)
    monkeypatch.setattr(module, "BLOCK", 64)
    for one, two in zip(whole, method.predict(fits, combos), strict=True):
        assert one.shape == two.shape
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_jobs_side_by_side_are_jobs_one_by_one_and_see_their_own_rows_only():
    combos, _, y, s = world(1)
    method, rows = mixed(QUICK, singles=s), [np.arange(100), np.arange(100, 160)]
    both = method.predict(method.fit(keys(1, 2), Table(combos, y), job(*rows)), combos)
    for n, seed in enumerate((1, 2)):
        seen = np.where(np.isin(np.arange(len(y)), rows[n]), y, np.nan).astype(np.float32)
        padded = job(*rows)._replace(train=job(*rows).train[n : n + 1])
        alone = method.fit(keys(seed), Table(combos, seen), padded)
        told = method.predict(alone, combos)
        assert np.isfinite(told.mean).all()
        np.testing.assert_allclose(told.mean[0], both.mean[n], rtol=0, atol=0.05)


def test_a_shift_and_a_scale_of_the_effects_come_back():
    combos, _, y, s = world(2)
    method = mixed(QUICK, singles=s)
    plain = method.predict(method.fit(keys(0), Table(combos, y), job(np.arange(150))), combos)
    far = Table(combos, 7 * y - 3)
    moved = method.predict(method.fit(keys(0), far, job(np.arange(150))), combos)
    np.testing.assert_allclose(moved.mean, 7 * plain.mean - 3, rtol=0, atol=0.15)


def test_noisy_genes_are_known_by_their_wide_intervals():
    combos, true, y, s = world(3, noise=0.02)
    rng = np.random.default_rng(0)
    loud = (combos.genes < 4).any(1)
    y = np.where(loud, true + 0.6 * rng.normal(size=len(y)), y).astype(np.float32)
    method = mixed(dataclasses.replace(QUICK, rank=1), singles=s)
    told = method.predict(method.fit(keys(0), Table(combos, y), job(np.arange(220))), combos)
    sd = np.asarray(told.sd[0])[220:]
    assert sd[loud[220:]].mean() > 1.5 * sd[~loud[220:]].mean()


def test_side_information_tells_of_genes_without_a_pair():
    rng = np.random.default_rng(4)
    h = rng.normal(size=P)
    i, j = np.triu_indices(P, 1)
    genes = np.stack([i, j], 1).astype(np.int32)
    s = 0.1 * rng.normal(size=P)
    combos = Combos(genes, s[genes].astype(np.float32))
    y = (h[i] + h[j] + 0.05 * rng.normal(size=len(i))).astype(np.float32)
    unseen = (genes >= P - 5).any(1)
    rows = job(np.flatnonzero(~unseen))
    error = {}
    for name, side in (("with", h[:, None]), ("without", None)):
        method = mixed(QUICK, singles=s, side=side)
        told = method.predict(method.fit(keys(0), Table(combos, y), rows), combos)
        error[name] = np.sqrt(((np.asarray(told.mean[0]) - y)[unseen] ** 2).mean())
        inside = np.abs(np.asarray(told.mean[0]) - y) < 1.645 * np.asarray(told.sd[0])
        assert inside[unseen].mean() > 0.75
    assert error["with"] < 0.3 * error["without"]


def test_a_gene_never_heard_of_is_like_an_average_gene_of_its_single_effect(fitted):
    method, fits, combos, _, _ = fitted
    near = Combos(np.array([[0, P], [0, P + 7]], np.int32), np.float32([[-0.4, -0.2]] * 2))
    told = method.predict(fits, near)
    known = method.predict(fits, combos)
    assert np.isfinite(told.mean).all()
    assert abs(told.mean[0, 0] - told.mean[0, 1]) < 0.5 * float(told.sd[0, 0])
    assert float(told.sd[0].mean()) > 2 * float(np.median(known.sd[0]))


def test_three_genes_and_a_gene_with_itself_are_rows_like_others():
    combos, _, y, s = world(5)
    rng = np.random.default_rng(1)
    three = np.array([rng.choice(P, 3, replace=False) for _ in range(120)], np.int32)
    pairs = np.hstack([combos.genes, np.full((len(y), 1), -1, np.int32)])
    same = np.stack([np.arange(P), np.arange(P), np.full(P, -1)], 1).astype(np.int32)
    genes = np.vstack([pairs, three, same])
    singles = np.where(genes >= 0, s[genes], 0).astype(np.float32)
    effect = np.r_[y, 0.8 * s[three].sum(1), 1.6 * s + 0.5].astype(np.float32)
    held = np.r_[np.arange(0, len(y), 4), len(y) + np.arange(0, 120, 4)]
    train = np.setdiff1d(np.arange(len(effect)), held)
    method = mixed(QUICK, singles=s)
    combos = Combos(genes, singles)
    told = method.predict(method.fit(keys(0), Table(combos, effect), job(train)), combos)
    error = np.asarray(told.mean[0]) - effect
    of_three = held[held >= len(y)]
    assert np.sqrt((error[of_three] ** 2).mean()) < 0.6 * effect[of_three].std()
    assert np.abs(error[-P:]).mean() < 0.25
    turned = Combos(genes[:, [2, 0, 1]], singles[:, [2, 0, 1]])
    again = method.predict(method.fit(keys(0), Table(turned, effect), job(train)), turned)
    np.testing.assert_allclose(told.mean[0], again.mean[0], rtol=0, atol=0.2)


def test_members_are_the_rows_of_each_gene():
    genes = np.array([[0, 1], [1, 2], [2, 2], [3, 0]], np.int32)
    found = members(genes, np.array([0, 2, 1, -1]), 4, busiest(genes, 4))
    rows = [sorted(r[t].tolist()) for r, t in zip(found.rows, found.there, strict=True)]
    assert rows == [[0], [0, 2], [1, 2], []]


def test_a_sum_over_pairs_is_what_a_loop_over_pairs_gives():
    rng = np.random.default_rng(0)
    effect = rng.normal(size=(7, 5, 4)).astype(np.float32)
    a, u, d = effect[..., 0], effect[..., 1:], np.array([1.0, -1.0, 1.0])
    loop = a.sum(1)
    for i in range(5):
        for j in range(i + 1, 5):
            loop = loop + (u[:, i] * u[:, j]) @ d
    np.testing.assert_allclose(sampler.together(jnp.asarray(effect)), loop, rtol=1e-4, atol=1e-4)


def test_effects_of_one_sweep_have_their_conditional_distribution():
    """With one gene free, a_i given all else is a ridge regression in closed form."""
    genes = np.array([[0, 1], [0, 2], [0, 3]], np.int32)
    y, p = jnp.array([1.0, 2.0, 0.5]), 4
    rows = sampler.Rows(
        y, jnp.ones(3), jnp.asarray(genes), jnp.ones((3, 2), bool), jnp.zeros(3, int),
        jnp.zeros((3, 2)),
    )  # fmt: skip
    chain = sampler.start(jax.random.key(0), p=p, m=2, f=3, r=1)
    chain = chain._replace(effect=jnp.zeros((p, 2)), precision=jnp.array([4.0, 1e8]))
    at = jax.tree.map(jnp.asarray, members(genes, np.arange(3), p, 3))
    z = jnp.zeros((p, 3)).at[:, 0].set(1.0)
    draw = jax.jit(jax.vmap(lambda k: sampler.effects(k, chain, rows, at, z)[0, 0]))
    drawn = np.asarray(draw(jax.random.split(jax.random.key(1), 4000)))
    precision = 3 / 0.3 + 4.0
    mean = float(y.sum()) / 0.3 / precision
    assert abs(drawn.mean() - mean) < 4 * drawn.std() / np.sqrt(4000)
    assert drawn.std() == pytest.approx(precision**-0.5, rel=0.05)


def test_side_of_another_length_is_refused():
    with pytest.raises(ValueError, match="side has 3 rows for 5 genes"):
        mixed(Mixed(), singles=np.zeros(5), side=np.zeros((3, 2)))
