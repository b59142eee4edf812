"""Scores of edges: precision and recall by part, correlations against definitions."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from epistax.engine.response import edges
from epistax.engine.response.records import Cells

REGULATORS = np.array([3, 0, 7])


@pytest.fixture(scope="module")
def tables():
    rng = np.random.default_rng(0)
    true, prior = rng.random((12, 3)) < 0.3, rng.random((12, 3)) < 0.4
    true[REGULATORS, np.arange(3)] = False
    score = rng.normal(size=(12, 3)) + true
    score[REGULATORS, np.arange(3)] = np.nan
    return score, true, prior


def test_parts_are_those_of_sklearn(tables):
    score, true, prior = tables
    found = edges.evaluate(score, true, prior, REGULATORS)
    other = ~np.isnan(score)
    for part, mask in zip(edges.PARTS, (other, other & prior, other & ~prior), strict=True):
        expected = average_precision_score(true[mask], score[mask])
        assert found[part]["micro"] == pytest.approx(expected)
        each = [
            average_precision_score(true[mask[:, r], r], score[mask[:, r], r])
            for r in range(3)
            if true[mask[:, r], r].any()
        ]
        assert found[part]["macro"] == pytest.approx(np.mean(each))
        assert found[part]["chance"] == pytest.approx(true[mask].mean())
    best = np.argsort(-score[other])[: true[other].sum()]
    assert found["all"]["precision"] == pytest.approx(true[other][best].mean())
    two = edges.evaluate(score, true, prior, REGULATORS, among=2)
    assert two["all"]["precision"] in (0.0, 0.5, 1.0)


def test_a_perfect_score_finds_all_and_nothing_true_is_said(tables):
    _, true, prior = tables
    found = edges.evaluate(true.astype(float), true, prior, REGULATORS)
    assert all(part["micro"] == part["precision"] == 1 for part in found.values())
    none = edges.evaluate(true.astype(float), np.zeros_like(true), prior, REGULATORS)
    assert np.isnan(none["all"]["micro"]) and np.isnan(none["all"]["precision"])


def test_partial_correlations_are_those_of_the_residuals():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(500, 9)) @ rng.normal(size=(9, 9))
    found = edges.partial_correlation(x, REGULATORS, shrunk=0.0)
    for g in range(9):
        for k, r in enumerate(REGULATORS):
            if g == r:
                assert found[g, k] == 1
                continue
            rest = np.column_stack([np.ones(500), x[:, [q for q in REGULATORS if q not in (g, r)]]])
            left = [x[:, v] - rest @ np.linalg.lstsq(rest, x[:, v], rcond=None)[0] for v in (g, r)]
            assert found[g, k] == pytest.approx(np.corrcoef(*left)[0, 1], abs=1e-8)


def test_untrained_scores_see_within_strata_alone():
    rng = np.random.default_rng(2)
    stratum = np.repeat([0, 1], 300)
    y = rng.normal(size=(600, 6)).astype(np.float32)
    y[:, 5] += y[:, 0]
    y += 20 * stratum[:, None].astype(np.float32)  # strata apart: everything correlates across
    prior = np.zeros((6, 2), bool)
    prior[4, 1] = True
    cells = Cells(y, np.zeros(600, int), stratum)
    found = edges.untrained(cells, prior, np.array([0, 1]), strata=2)
    assert found["correlation"][5, 0] > 0.6 and found["correlation"][2:5].max() < 0.2
    assert found["prior + partial"].argmax(axis=0).tolist()[1] in (1, 4)
    assert found["prior + correlation"][4, 1] >= 1 > found["prior + correlation"][5, 0]
