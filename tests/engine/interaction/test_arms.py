import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine.interaction import arms
from epistax.engine.pairs import Pairs
from epistax.engine.screen import Screen, screen


def small(seed=0, n=150, p=5):
    rng = np.random.default_rng(seed)
    i, j = np.triu_indices(p, 1)
    kinds = np.concatenate([
        [(-1, -1)] * 5, [(-1, k) for k in range(p)], np.stack([i, j], axis=1)
    ]).astype(np.int32)  # fmt: skip
    codes = kinds[rng.integers(0, len(kinds), n)]
    return screen(rng.normal(size=(n, 2)).astype(np.float32), codes, p=p, well=None)


def sized(count, p):
    """A screen of given class sizes, without its observations."""
    count = np.asarray(count)
    q = len(count) - 1 - p
    rng = np.random.default_rng(0)
    i = rng.integers(0, p - 1, q)
    pairs = Pairs(i.astype(np.int32), (i + 1).astype(np.int32))
    first = np.r_[0, np.cumsum(count)[:-1]]
    none = np.zeros(0, np.int32)
    return Screen(np.zeros((0, 1), np.float32), none, none, first, count, count, pairs)


def test_padded_lengths_are_few_and_not_much_too_long():
    lengths = np.array([arms.padded(n) for n in range(1, 5000)])
    asked = np.arange(1, 5000)
    assert (lengths >= asked).all() and (lengths % 8 == 0).all()
    assert (np.diff(lengths) >= 0).all()
    assert (lengths < np.maximum(1.25 * asked + 16, 9)).all()
    assert len(np.unique(lengths)) < 35
    assert arms.padded(0) == arms.padded(8) == 8
    # a length is its own padding, or padding twice would compile twice
    assert [arms.padded(int(n)) for n in np.unique(lengths)] == np.unique(lengths).tolist()


@pytest.mark.parametrize("multiple", [1, 8])
@pytest.mark.parametrize("budget", [1, 2000, 2**25])
def test_batches_hold_every_pair_once(budget, multiple):
    rng = np.random.default_rng(1)
    p, q = 30, 700
    made = sized(rng.integers(1, 90, 1 + p + q), p)
    asked = rng.choice(q, 500, replace=False)
    seen = []
    for batch in arms.pair_batches(made, asked, budget=budget, multiple=multiple):
        double, single = batch.lengths
        at = batch.index
        assert 1 <= batch.real <= len(at) and len(at) % multiple == 0
        assert (np.isin(at[batch.real :], at)).all()
        assert len(at) <= max(arms.MOST, multiple)
        cost = double * (double + made.count[0] + 2 * single) + single**2
        assert len(at) * cost <= max(budget, cost * multiple)
        assert (made.count[1 + p + at] <= double).all()
        members = made.count[1 + np.stack([made.pairs.i[at], made.pairs.j[at]])]
        assert (members <= single).all()
        seen.append(at[: batch.real])
    assert sorted(np.concatenate(seen)) == sorted(asked)


@pytest.mark.parametrize("multiple", [1, 8])
def test_batches_hold_every_class_once(multiple):
    rng = np.random.default_rng(2)
    made = sized(rng.integers(0, 300, 400), 399)
    asked = np.arange(100, 400)
    batches = list(arms.class_batches(made, asked, budget=2**20, multiple=multiple))
    for batch in batches:
        assert (made.count[batch.index] <= batch.lengths[0]).all()
        assert (made.count[batch.index] > batch.lengths[0] / 1.25 - 16).all()
    assert sorted(np.concatenate([b.index[: b.real] for b in batches])) == asked.tolist()
    # a compile for each shape: sizes are powers of two, so that these are few
    assert len({(len(b.index), b.lengths) for b in batches}) <= 2 * len(
        {b.lengths for b in batches}
    )


def test_no_pairs_are_no_batches():
    made = sized([10, 5, 5, 3], 2)
    assert list(arms.pair_batches(made, np.zeros(0, int), budget=100)) == []


def test_an_arm_is_its_class_and_nothing_of_the_next():
    made = small()
    data = arms.on_device(made)
    for which in range(len(made.count)):
        n, first = int(made.count[which]), int(made.first[which])
        mine = arms.arm(data, which, 40)
        np.testing.assert_array_equal(np.asarray(mine.mask), np.arange(40) < n)
        np.testing.assert_array_equal(mine.x[:n], made.x[first : first + n])
        np.testing.assert_array_equal(mine.unit[:n], made.unit[first : first + n])
        assert float(mine.weight.sum()) == pytest.approx(1.0 if n else 0.0)
        np.testing.assert_allclose(mine.weight[:n], 1 / max(n, 1))
        np.testing.assert_array_equal(mine.weight[n:], 0)
        np.testing.assert_allclose(
            mine.weight @ mine.x,
            made.x[first : first + n].mean(axis=0) if n else [0, 0],
            atol=1e-6,
        )


def test_an_arm_of_the_last_class_may_be_padded_beyond_the_end():
    made = small()
    last = len(made.count) - 1
    mine = arms.arm(arms.on_device(made), last, 1000)
    n = int(made.count[last])
    np.testing.assert_array_equal(mine.x[:n], made.x[-n:])
    assert np.isfinite(np.asarray(mine.x)).all() and float(mine.weight[n:].sum()) == 0


def test_weights_without_another_class():
    made = small()
    data = arms.on_device(
        made._replace(owner=np.tile([7, 8], len(made.x))[: len(made.x)].astype(np.int32))
    )
    mine = arms.arm(data, 0, 56)
    weight = np.asarray(arms.without(mine, jnp.asarray(7)))
    kept = np.asarray(mine.mask & (mine.owner == 8))
    np.testing.assert_allclose(weight, kept / kept.sum(), rtol=1e-6)
    np.testing.assert_allclose(arms.without(mine, jnp.asarray(99)), mine.weight, rtol=1e-6)
    nobody = mine._replace(owner=jnp.full_like(mine.owner, 7))
    np.testing.assert_array_equal(arms.without(nobody, jnp.asarray(7)), 0)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 8, 9, 1023, 1024])
def test_powers_of_two(n):
    assert arms.power_of_two(n) <= n < 2 * arms.power_of_two(n)
    assert arms.power_of_two(0) == arms.power_of_two(-5) == 1
