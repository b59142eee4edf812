"""Dropout and its hash: as independent as a draw, quicker to compile."""

import jax
import jax.numpy as jnp
import numpy as np

from epistax.engine.nets.hashing import mixed
from epistax.engine.nets.layers import Drop, picked


def dropped(key, shape, rate=0.1):
    return Drop(rate).apply({}, jnp.ones(shape), True, rngs={"dropout": key})


def test_bits_are_mixed_as_murmurhash_does():
    # fmix32 of 1 and of 0xdeadbeef, from its definition in 64-bit Python integers
    def plain(x):
        for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
            x = ((x ^ (x >> shift)) * factor) % 2**32
        return x ^ (x >> 16)

    numbers = [1, 0xDEADBEEF, 2**32 - 1]
    got = mixed(jnp.array(numbers, jnp.uint32))
    assert [int(x) for x in got] == [plain(x) for x in numbers]


def test_as_many_are_dropped_as_asked_for_and_the_mean_stays():
    for rate in (0.1, 0.5):
        got = np.asarray(dropped(jax.random.key(0), (400, 500), rate))
        share, sd = (got == 0).mean(), np.sqrt(rate * (1 - rate) / got.size)
        assert abs(share - rate) < 4 * sd
        np.testing.assert_allclose(np.unique(got), [0, 1 / (1 - rate)], rtol=1e-6)


def test_places_rows_and_keys_are_dropped_independently():
    keys = jax.random.split(jax.random.key(1), 2)
    one, other = (np.asarray(dropped(key, (300, 400))) == 0 for key in keys)
    sd = 1 / np.sqrt(one.size)
    for a, b in (
        (one, other),
        (one[:-1], one[1:]),
        (one[:, :-1], one[:, 1:]),
        (one[:, ::2], one[:, 1::2]),
        (one[:-64], one[64:]),
    ):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 5 * sd
    for axis in (0, 1):  # sums over rows and columns spread as binomials do
        spread = one.sum(axis).var() / (0.09 * one.shape[axis])
        assert abs(spread - 1) < 5 * np.sqrt(2 / one.shape[1 - axis])


def test_rows_behind_do_not_change_who_is_dropped():
    key = jax.random.key(2)
    np.testing.assert_array_equal(dropped(key, (9, 7))[:5], dropped(key, (5, 7)))


def test_nothing_is_dropped_outside_training():
    x = jnp.ones((3, 4))
    np.testing.assert_array_equal(Drop(0.5).apply({}, x, False), x)


def test_genes_are_picked_and_none_is_nothing():
    table = np.random.default_rng(5).normal(size=(6, 3)).astype(np.float32)
    genes = np.array([[0, 5], [-1, 2], [5, -1]])
    want = np.where((genes >= 0)[..., None], table[genes], 0)
    np.testing.assert_array_equal(picked(jnp.asarray(table), jnp.asarray(genes)), want)
    # the last gene, which index -1 reads, is not moved by a place without one
    slope = jax.grad(lambda t: jnp.sum(picked(t, jnp.array([[0, -1]]))))(jnp.asarray(table))
    np.testing.assert_array_equal(slope, [[1] * 3] + [[0] * 3] * 5)
