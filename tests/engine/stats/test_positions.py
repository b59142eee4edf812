"""Positions in a graph: eigenvectors, communities, order of the names."""

import numpy as np
import pytest

from epistax.engine.stats import positions as module
from epistax.engine.stats.positions import positions

P = 60


@pytest.fixture
def graph():
    rng = np.random.default_rng(0)
    i, j = np.triu_indices(P - 5, 1)  # the last five have no neighbour
    keep = rng.random(len(i)) < np.where(i // 11 == j // 11, 0.7, 0.02)
    return i[keep], j[keep]


def adjacency(i, j):
    a = np.zeros((P, P))
    a[i, j] = a[j, i] = 1
    return a


def test_columns_are_eigenvectors_by_falling_eigenvalue(graph):
    found = positions(P, *graph, 6)
    a = adjacency(*graph)
    degree = a.sum(1)
    root = (degree + degree[degree > 0].mean()) ** -0.5
    scaled = root[:, None] * a * root[None, :]
    size = np.linalg.norm(found, axis=0)
    np.testing.assert_allclose(scaled @ found, found * size[None, :], atol=1e-5)
    assert (np.diff(size) <= 1e-6).all() and size[-1] > 0.1
    assert (found[np.abs(found).argmax(0), np.arange(6)] > 0).all()
    assert np.abs(found[-5:]).max() < 1e-6


def test_members_of_a_community_lie_together(graph):
    found = positions(P, *graph, 5)[: P - 5]
    middle = np.stack([found[11 * k : 11 * k + 11].mean(0) for k in range(5)])
    nearest = ((found[:, None] - middle[None]) ** 2).sum(-1).argmin(1)
    assert (nearest == np.arange(P - 5) // 11).mean() > 0.95


def test_order_of_the_names_and_the_solver_do_not_matter(graph, monkeypatch):
    i, j = graph
    found = positions(P, i, j, 4)
    order = np.random.default_rng(1).permutation(P)
    place = np.argsort(order)
    np.testing.assert_allclose(positions(P, place[i], place[j], 4), found[order], atol=1e-5)
    monkeypatch.setattr(module, "LARGE", 10)
    sparse = positions(P, i, j, 4)
    np.testing.assert_allclose(sparse, found, atol=1e-5)
    np.testing.assert_array_equal(sparse, positions(P, i, j, 4))
