"""Latent causal models: the laws of networks and mixings, and that one noise moves at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import kstest, truncnorm

from epistax.engine.simulate import scm, scm_world


def environments(made):
    """Mean and sd of each noise in every environment."""
    rows, z = np.asarray(made.environment), np.asarray(made.z, np.float64)
    parts = [z[rows == e] for e in range(len(made.vectors))]
    return np.stack([p.mean(axis=0) for p in parts]), np.stack([p.std(axis=0) for p in parts])


def test_two_latents_show_themselves_through_a_mixing_of_full_rank():
    made = [scm.two(jax.random.key(k), "independent", 50) for k in range(4)]
    for world in (m.world for m in made):
        mixing = np.asarray(world.mixing)
        assert np.linalg.matrix_rank(mixing) == 2 and set(np.unique(mixing)) == {-1, 0, 1}
        assert np.abs(mixing).sum(axis=1).min() >= 1  # no orphan
    one = made[0]
    np.testing.assert_allclose(one.x, one.c @ one.world.mixing.T, atol=1e-5)
    np.testing.assert_array_equal(one.c, one.z)
    assert one.vectors.tolist() == [[0, 0]] and one.target.tolist() == [-1]


def test_the_second_latent_follows_the_first():
    made = scm.two(jax.random.key(1), "two-environments", 200)
    first, second = np.asarray(made.c).T
    np.testing.assert_allclose(second - first, np.repeat([0, 0.5], 200), atol=1e-6)
    assert made.vectors.tolist() == [[0, 0], [0, 0.5]] and made.target.tolist() == [-1, 1]
    # what is added to the first reaches both, what is added to the second that one alone
    for shift, moved in (([3.0, 0.0], [3, 3]), ([0.0, 3.0], [0, 3])):
        rows = jnp.broadcast_to(jnp.array(shift)[None, :], (100, 2))
        still, c, _ = scm.drawn(jax.random.key(2), made.world, 0 * rows)
        x, there, _ = scm.drawn(jax.random.key(2), made.world, rows)
        np.testing.assert_allclose(there - c, np.tile(moved, (100, 1)), atol=1e-5)
        np.testing.assert_allclose(
            x - still, np.tile(made.world.mixing @ np.array(moved), (100, 1)), atol=1e-5
        )


def test_an_environment_changes_the_law_of_one_noise():
    made = scm.growing(jax.random.key(3), 1000)
    mean, sd = environments(made)
    target, offset = np.asarray(made.target), np.asarray(made.offset)
    expected = np.zeros((10, 5))
    expected[np.arange(10), target] = offset
    np.testing.assert_array_equal(made.vectors, np.float32(expected))
    assert np.abs(mean - expected).max() < 4.5 / 1000**0.5
    assert np.abs(sd - 1).max() < 4.5 / 2000**0.5
    assert np.asarray(made.held_out).tolist() == [False] * 5 + [True] * 5
    # downstream, and nowhere else: total effects of the structural equations
    total = np.linalg.inv(np.eye(5) - np.asarray(made.world.edges, np.float64))
    np.testing.assert_allclose(made.c, np.asarray(made.z) @ total.T, atol=2e-5)


def test_offsets_have_the_sd_or_the_variance_that_is_said():
    def offsets(variance):
        made = scm.growing(
            jax.random.key(4), 1, environments=4000, features=5, offset_is_variance=variance
        )
        assert np.bincount(np.asarray(made.target), minlength=5).min() > 650  # of 800
        return np.asarray(made.offset, np.float64)

    for variance, sd in ((False, 5.0), (True, 5**0.5)):
        assert kstest(offsets(variance) / sd, "norm").pvalue > 0.01


@pytest.mark.parametrize("mixing", ["linear", "relu"])
def test_sparse_environments_and_their_codes(mixing):
    made = scm.sparse(jax.random.key(5), 400, mixing=mixing, spread=0.4, network=mixing == "relu")
    assert made.x.shape == (1000 + 40 * 400, 20)
    mean, sd = environments(made)
    target, held = np.asarray(made.target), np.asarray(made.held_out)
    assert target[0] == -1 and not held[0] and not made.vectors[0].any()
    for latent in range(5):
        own = target == latent
        assert own.sum() == 8 and held[own].sum() == 4
    hit = np.eye(6)[target][:, :5]  # -1 is the last row
    offset, factor = np.asarray(made.offset), np.asarray(made.factor)
    assert np.abs(mean - hit * offset[:, None]).max() < 5 * factor.max() / 400**0.5
    assert np.abs(sd / (1 + hit * (factor - 1)[:, None]) - 1).max() < 5 / 800**0.5
    assert np.log(factor[1:]).std() == pytest.approx(0.4, rel=0.35)
    codes = np.asarray(made.vectors)[1:]
    assert set(np.unique(codes)) == {0, 1} and len(np.unique(codes, axis=0)) == 40
    noise = np.asarray(made.x - scm_world.observed(made.world, made.c))
    assert noise.std() == pytest.approx(0.1, rel=0.02)
    if mixing == "linear":
        assert np.linalg.cond(np.asarray(made.world.mixing)) <= scm.FINE
        assert not made.world.edges.any()
    else:
        assert (np.asarray(made.world.edges) != 0).sum() == 4


def test_sparse_offsets_are_kept_away_from_zero():
    made = scm.sparse(jax.random.key(6), 1, environments=4000, reference=1)
    size = np.abs(np.asarray(made.offset)[1:].astype(np.float64))
    assert size.min() >= scm.LEAST
    assert kstest(size / 5, truncnorm(0.2, np.inf).cdf).pvalue > 0.01
    assert abs((np.asarray(made.offset)[1:] > 0).mean() - 0.5) < 4 / 2 / 4000**0.5


def test_growing_networks_prefer_latents_of_many_edges():
    keys = jax.random.split(jax.random.key(7), 3000)
    edges = np.asarray(jax.jit(jax.vmap(lambda k: scm_world.growing(k, 4)))(keys))
    parents = np.abs(edges)
    assert (parents.sum(axis=2) == [0, 1, 1, 1]).all() and not np.triu(edges).any()
    assert set(np.unique(edges)) == {-1, 0, 1}
    # with 0 - 1 alone the degrees are 1 and 1; then 2, 1, 1 with the third beside the chosen
    assert parents[:, 2, 0].mean() == pytest.approx(1 / 2, abs=0.04)
    assert parents[:, 3, 0].mean() == pytest.approx(3 / 8, abs=0.04)
    assert parents[:, 3, 2].mean() == pytest.approx(1 / 4, abs=0.04)


def test_every_feature_has_a_parent_by_the_chance_that_is_said():
    for chance, d in ((0.5, 3), (0.06, 5)):
        edge = np.asarray(scm_world.wired(jax.random.key(8), 20_000, d, chance))
        assert edge.any(axis=1).all()
        usual = chance + (1 - chance) ** d / d  # orphans take one
        np.testing.assert_allclose(edge.mean(axis=0), usual, atol=4.5 * 0.5 / 20_000**0.5)


def test_networks_are_those_of_a_loop():
    made = scm_world.nets(jax.random.key(9), 7, 3)
    assert set(np.unique(made.inner)) == {-1, 0, 1} and set(np.unique(made.outer)) == {-1, 1}
    inner, outer = (np.asarray(part) for part in made)
    assert ((inner != 0).all(axis=1) | (inner == 0).all(axis=1)).all()  # parents are the feature's
    c = np.asarray(jax.random.normal(jax.random.key(10), (4, 3)))
    world = scm_world.World(jnp.zeros((3, 3)), jnp.ones(3), None, made, jnp.zeros(()))
    expected = [
        [sum(outer[g, h] * max(inner[g, h] @ row, 0) for h in range(3)) for g in range(7)]
        for row in c
    ]
    np.testing.assert_allclose(scm_world.observed(world, jnp.asarray(c)), expected, atol=1e-5)


def test_one_key_gives_one_world_and_bad_sizes_are_refused():
    one, again, other = (scm.sparse(jax.random.key(k), 3, reference=5) for k in (1, 1, 2))
    np.testing.assert_array_equal(one.x, again.x)
    assert not np.array_equal(one.world.mixing, other.world.mixing)
    with pytest.raises(ValueError, match="`environments` is 9 but 5 latents need 10"):
        scm.sparse(jax.random.key(0), environments=9)
    with pytest.raises(ValueError, match="`features` is 4 but there are 5 latents"):
        scm.sparse(jax.random.key(0), features=4)
    with pytest.raises(ValueError, match="`mixing` is 'cubic'"):
        scm.sparse(jax.random.key(0), mixing="cubic")
    with pytest.raises(ValueError, match="`case` is 'three'"):
        scm.two(jax.random.key(0), "three")
