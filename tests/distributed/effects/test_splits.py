"""Splits: those of the paper to the row, disjoint, nested, and harder ones that hold their word."""

import numpy as np
import pytest

from epistax.distributed.effects import splits

PAIRS = np.stack(np.triu_indices(60), axis=1).astype(np.int32)
TRIPLES = np.array([(a, a + 2, a + 9) for a in range(50)], np.int32)
ROWS = np.r_[np.c_[PAIRS, np.full(len(PAIRS), -1, np.int32)], TRIPLES]
LEVELS = ("pair", "gene", "both_genes")


def carried(rows):
    return [set(row[row >= 0].tolist()) for row in rows]


def test_pairs_are_split_as_the_paper_does():
    found = splits.split(3, PAIRS, "pair")
    order, q = np.random.default_rng(1445).permutation(len(PAIRS)), len(PAIRS)
    test, validation = int(0.3 * q), int(0.1 * q)
    np.testing.assert_array_equal(found.test, order[-test:])
    np.testing.assert_array_equal(found.validation, order[-test - validation : -test])
    np.testing.assert_array_equal(found.pool, order[: q - test - validation])


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("seed", range(3))
def test_parts_are_disjoint_and_seeds_differ(level, seed):
    found = splits.split(seed, ROWS, level)
    rows = np.concatenate(found)
    assert len(np.unique(rows)) == len(rows) and min(map(len, found)) > 0
    again, other = splits.split(seed, ROWS, level), splits.split(seed + 1, ROWS, level)
    assert all(np.array_equal(a, b) for a, b in zip(found, again, strict=True))
    assert not np.array_equal(found.test[:20], other.test[:20])


@pytest.mark.parametrize("seed", range(3))
def test_held_out_genes_are_in_no_row_that_a_model_sees(seed):
    for level, strange in (("gene", 1), ("both_genes", None)):
        found = splits.split(seed, ROWS, level)
        seen = set().union(*carried(ROWS[np.r_[found.pool, found.validation]]))
        for row in carried(ROWS[found.test]):
            new = len(row - seen)
            assert new == (len(row) if strange is None else strange)
            assert strange is None or len(row) > 1
        touched = sum(bool(row - seen) for row in carried(ROWS)) / len(ROWS)
        assert 0.3 <= touched < 0.36
    levels = [splits.split(seed, ROWS, level) for level in ("gene", "both_genes")]
    assert np.array_equal(levels[0].pool, levels[1].pool)  # one fit answers for both


def test_every_row_that_keeps_the_rule_is_tested():
    found = splits.split(0, ROWS, "gene")
    held = set(range(60)) - set().union(*carried(ROWS[np.r_[found.pool, found.validation]]))
    one = [len(row & held) == 1 and len(row) > 1 for row in carried(ROWS)]
    assert sorted(found.test) == np.flatnonzero(one).tolist()


def test_sizes_follow_how_often_a_gene_is_seen():
    assert splits.sizes(2 / 112, 3798) == (200, 500, 1000)
    assert splits.sizes(2 / 448, 60347) == (1000, 2000, 5000)
    assert splits.sizes(2 / 112, 600) == (200, 500)
    assert splits.sizes(2 / 112, 10) == ()
