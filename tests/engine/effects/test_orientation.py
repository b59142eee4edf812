"""The order in which genes are read: drawn for training, decided by the genes for prediction."""

import jax
import jax.numpy as jnp
import numpy as np

from epistax.engine.effects.orientation import by_genes, drawn
from epistax.engine.effects.records import Combos

GENES = np.stack(np.triu_indices(60, 1), axis=1).astype(np.int32)
EFFECT = np.random.default_rng(0).normal(size=60).astype(np.float32)
PAIRS = Combos(jnp.asarray(GENES), jnp.asarray(EFFECT[GENES]))


def test_a_combination_is_read_in_one_order_however_it_is_given():
    genes = np.concatenate([GENES[:500], np.full((500, 1), 7, np.int32)], axis=1)
    genes[::3, 1] = -1
    singles = np.where(genes < 0, 0, EFFECT[genes])
    want = by_genes(Combos(jnp.asarray(genes), jnp.asarray(singles)))
    for order in ([1, 0, 2], [2, 0, 1]):
        got = by_genes(Combos(jnp.asarray(genes[:, order]), jnp.asarray(singles[:, order])))
        np.testing.assert_array_equal(got.genes, want.genes)
        np.testing.assert_array_equal(got.singles, want.singles)
    np.testing.assert_array_equal(np.sort(want.genes, axis=1), np.sort(genes, axis=1))
    np.testing.assert_array_equal(want.genes[::3, 2], -1)


def test_either_order_is_as_frequent_and_no_gene_is_always_first():
    told = by_genes(PAIRS)
    first = np.asarray(told.genes[:, 0] == PAIRS.genes[:, 0])
    assert abs(first.mean() - 0.5) < 4 * 0.5 / np.sqrt(len(first))
    share = np.bincount(told.genes[:, 0], minlength=60) / 59
    assert 0.2 < share.min() and share.max() < 0.8
    np.testing.assert_array_equal(told.singles, EFFECT[told.genes])


def test_what_is_drawn_depends_on_the_key_and_not_on_rows_behind():
    one = drawn(jax.random.key(0), PAIRS)
    first = np.asarray(one.genes[:, 0] == PAIRS.genes[:, 0])
    assert abs(first.mean() - 0.5) < 4 * 0.5 / np.sqrt(len(first))
    other = drawn(jax.random.key(1), PAIRS)
    assert 0.4 < np.mean(one.genes == other.genes) < 0.6
    part = drawn(jax.random.key(0), Combos(PAIRS.genes[:33], PAIRS.singles[:33]))
    np.testing.assert_array_equal(part.genes, one.genes[:33])
