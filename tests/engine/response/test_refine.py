"""Refined graphs: edges that are found, what steps keep invariant, the published method's parts."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from epistax.engine.nets.regulation import Edges
from epistax.engine.response import edges, masked, refine, sparsefactors
from epistax.engine.response.cascade import cascade
from epistax.engine.response.records import Cells, Design
from epistax.engine.simulate import cells
from epistax.engine.simulate.cells_world import Size

SIZE = Size(genes=60, regulators=6, perturbations=4, types=2, donors=1, cells=1200, depth=600.0)


@pytest.fixture(scope="module")
def world():
    made = cells.simulate(jax.random.key(1), SIZE)
    target, source = np.nonzero(np.asarray(made.prior))
    return (
        Cells(*map(np.asarray, (made.y, made.arm, made.stratum))),
        Design(np.asarray(made.arms), np.asarray(made.strata)),
        Edges(source, target),
        np.arange(6),
    ), made


@pytest.fixture(scope="module")
def refined(world):
    given, made = world
    return refine.refine(*given, acts_on=np.append(-1, made.world.hit), steps=40)


def test_refined_beats_what_needs_no_training(world, refined):
    given, made = world
    true, prior = np.asarray(made.world.edges), np.asarray(made.prior)
    plain = edges.untrained(given[0], prior, given[3], strata=2)
    found = edges.evaluate(refined[0].score, true, prior, given[3])
    for score in plain.values():
        other = edges.evaluate(score, true, prior, given[3])
        assert all(found[part]["micro"] > other[part]["micro"] for part in edges.PARTS)
    assert found["all"]["micro"] > 0.9


def test_weights_have_the_sign_and_masks_the_strata_of_the_truth(world, refined):
    _, made = world
    true = np.asarray(made.world.edges).copy()
    true[:6] = False
    found, weight = refined[0].weight[true], np.asarray(made.world.weight)[true]
    sure = np.abs(found) > 0.1
    assert (np.sign(found) == np.sign(weight))[sure].mean() > 0.95
    open = np.asarray(made.world.open)[:, true]
    assert refined[0].open[:, true][open].mean() > refined[0].open[:, true][~open].mean() + 0.3
    driven = np.asarray(made.world.push)
    moved = [refined[0].activity[1 + p, made.world.hit[p]] for p in range(4)]
    assert (np.sign(moved) == np.sign(driven)).all()


def test_order_of_cells_and_genes_does_not_matter(world, refined):
    (given, design, prior, regulators), made = world
    rng = np.random.default_rng(0)
    rows, order = rng.permutation(1200), rng.permutation(60)
    place = np.argsort(order)
    other = Cells(given.y[rows][:, order], given.arm[rows], given.stratum[rows])
    moved = Edges(place[prior.source], place[prior.target])
    acts_on = np.append(-1, place[np.asarray(made.world.hit)])
    found, _ = refine.refine(other, design, moved, place[regulators], acts_on=acts_on, steps=3)
    plain, _ = refine.refine(
        given, design, prior, regulators, acts_on=np.append(-1, made.world.hit), steps=3
    )
    np.testing.assert_allclose(found.score[place], plain.score, rtol=0.02, atol=0.1)
    assert np.isnan(found.score[place[regulators], np.arange(6)]).all()


def test_the_spike_and_the_slab_are_weighed_as_their_evidence():
    # one gene, one regulator seen without error: log N(y; 0, s z z' + psi I), the two compared
    rng = np.random.default_rng(3)
    z, psi = rng.normal(size=30), 0.8
    y = 0.4 * z + rng.normal(size=30) * psi**0.5
    num, den = jnp.array([[z @ y / psi]]), jnp.array([[z @ z / psi]])

    def density(mean, size):
        cov, away = size * np.outer(z, z) + psi * np.eye(30), y - mean * z
        return -0.5 * (np.linalg.slogdet(cov)[1] + away @ np.linalg.solve(cov, away))

    one = jnp.ones((1, 1))
    near = sparsefactors.normal(one, num, den, jnp.array([0.05]), jnp.array([0.5]))[2]
    none = sparsefactors.normal(one, num, den, jnp.array([0.01]), jnp.array([0.0]))[2]
    expected = density(0.5, 0.05) - np.log(2) - density(0, 0.01)
    assert float((near - none)[0]) == pytest.approx(expected, abs=1e-3)


def test_who_moves_when_a_regulator_is_driven_is_below_it():
    # a chain 0 -> 1 -> 2, each driven in one arm; 3 stands alone
    chain = np.zeros((4, 4))
    chain[1, 0], chain[2, 1] = 0.8, -0.7
    reach = np.linalg.inv(np.eye(4) - chain)
    activity = np.vstack([np.zeros(4), 2 * reach.T]).astype(np.float32)
    hits = np.vstack([np.zeros(4, bool), np.eye(4, dtype=bool)])
    score, weight = cascade(
        jnp.asarray(activity), jnp.full(5, 100.0), jnp.asarray(hits),
        jnp.zeros((4, 4), bool), jnp.array([-2.0, 0.0]),
    )  # fmt: skip
    score = np.where(np.eye(4), -np.inf, score)
    assert set(zip(*np.nonzero(score > 0), strict=True)) == {(1, 0), (2, 1)}
    np.testing.assert_allclose(weight, chain, atol=0.1)


def test_no_arm_drives_anything_then_the_prior_stands():
    prior = np.zeros((3, 3), bool)
    prior[0, 1] = True  # source by target
    score, weight = cascade(
        jnp.zeros((2, 3)), jnp.array([50.0, 0.0]), jnp.zeros((2, 3), bool), jnp.asarray(prior),
        jnp.array([-3.0, 0.5]),
    )  # fmt: skip
    np.testing.assert_allclose(score, np.where(prior.T, 0.5, -3.0), atol=1e-4)
    np.testing.assert_allclose(weight, 0, atol=1e-6)


def test_the_list_of_edges_points_from_source_to_target():
    score = np.full((5, 2), -1.0)
    score[4, 1], score[2, 0], score[1, 1] = 2.0, 0.5, np.nan
    right = refine.edge_list(score, np.array([3, 1]))
    assert set(zip(right.source, right.target, strict=True)) == {(1, 4), (3, 2)}
    published = refine.edge_list(score, np.array([3, 1]), published_orientation=True)
    assert set(zip(published.source, published.target, strict=True)) == {(4, 1), (2, 3)}
    assert len(refine.edge_list(score, np.array([3, 1]), above=1.0).source) == 1


@pytest.mark.parametrize(
    "genes, expected",
    [(200, 0.0044, ), (400, 0.0138), (500, 0.0199), (1000, 0.0589), (2000, 0.1586), (2013, 0.16)],
)  # fmt: skip
def test_the_background_is_where_penalty_and_decay_balance(genes, expected):
    assert masked.background(20 / genes**2) == pytest.approx(expected, abs=5e-5)
    assert masked.background(masked.Masked().penalty) == pytest.approx(0.16, abs=5e-5)


def test_adam_with_decay_in_the_gradient_ends_at_the_background():
    config = masked.Masked(edge_rate=0.05)
    tx = masked.optimiser(config)
    params = {"layers": jnp.zeros(1), "edges": jnp.ones(3)}
    slope = jax.grad(lambda p: config.penalty * jax.nn.sigmoid(p["edges"]).sum())

    def step(carry, _):
        params, opt = carry
        updates, opt = tx.update(slope(params), opt, params)
        return (optax.apply_updates(params, updates), opt), None

    (params, _), _ = jax.jit(lambda c: jax.lax.scan(step, c, None, length=4000))(
        (params, tx.init(params))
    )
    np.testing.assert_allclose(jax.nn.sigmoid(params["edges"]), 0.16, atol=0.002)


def test_the_mask_keeps_what_it_should_and_gives_in_law_a_softmax(world):
    (given, _, prior, regulators), _ = world
    graph = masked.graph_of(jax.random.key(0), prior, regulators, 60, 8)
    draw = jax.vmap(masked.drawn, (0, None))(jax.random.split(jax.random.key(1), 2000), graph)
    hard = np.asarray(draw > 0.5)
    allowed, known = np.asarray(graph.allowed), np.asarray(graph.keep) > 0
    assert hard[:, allowed & known].mean() == pytest.approx(0.982, abs=0.002)
    assert hard[:, allowed & ~known].mean() == pytest.approx(0.018, abs=0.002)
    assert not hard[:, ~allowed].any()
    # everything kept, one linear layer: every gene is a mean of its sources and itself, uniform
    one = [{"theta": jnp.eye(10)[:, :2], "b": jnp.zeros(2)}]
    params = {"layers": one, "edges": jnp.ones((60, 7))}
    y = jnp.asarray(given.y[:5])
    mean, _ = masked.reconstructed(params, graph, graph.allowed * 1.0, y, jnp.zeros((5, 1)))
    expected = (given.y[:5, :6].sum(1)[:, None] + given.y[:5]) / 7
    expected[:, :6] = given.y[:5, :6].mean(1)[:, None]
    np.testing.assert_allclose(mean, expected, rtol=1e-4)


def test_the_published_method_learns_and_seeds_go_side_by_side(world):
    given, _ = world
    config = masked.Masked(batch=16, rate=3e-3)
    keys = jax.random.split(jax.random.key(0), 2)
    found, info = masked.masked(keys, *given, config=config, steps=40)
    assert found.shape == (2, 60, 6) and info["error"].shape == (40, 2)
    assert (info["error"][-5:].mean(0) < info["error"][:5].mean(0)).all()
    assert np.abs(np.asarray(found[0] - found[1])[6:]).max() > 1e-3
