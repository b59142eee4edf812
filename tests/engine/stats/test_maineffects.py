import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import huber

from epistax.engine.stats import maineffects, metrics

P, BATCHES = 12, 5


def unbalanced(seed=0, n=300, d=3):
    """Sides and plates drawn unevenly: most cells are missing, some are repeated."""
    rng = np.random.default_rng(seed)
    weight = rng.dirichlet(np.ones(P))
    sides = rng.choice(P, size=(n, 2), p=weight).astype(np.int32)
    sides[:P, 0] = sides[-P:, 1] = np.arange(P)  # every reagent is seen on either side
    batch = rng.integers(0, BATCHES, n).astype(np.int32)
    return rng.normal(size=(n, d)), sides, batch


def complete(p=8, seed=0, d=2):
    """One well for every ordered pair of reagents in every one of three plates."""
    cells = np.indices((3, p, p)).reshape(3, -1).T.astype(np.int32)
    x = np.random.default_rng(seed).normal(size=(3, p, p, d))
    return x, cells[:, 1:], cells[:, 0]


def design(sides, batch, *, tied):
    """The columns of the additive model, as numpy knows it."""
    either = np.eye(P + 1)[:, :P][sides]  # -1 is the row of zeros
    columns = [either.sum(1)] if tied else [either[:, 0], either[:, 1]]
    return np.concatenate([np.eye(BATCHES)[batch], *columns], axis=1)


fit = functools.partial(maineffects.residuals, p=P, batches=BATCHES)


def test_complete_design_is_row_plus_column_minus_grand_mean_in_every_plate():
    x, sides, batch = complete()
    # row and column effects are shared by the plates, whose means differ
    x = x + np.arange(3.0)[:, None, None, None] * 10
    expected = x - x.mean((1, 2), keepdims=True)
    expected = expected - x.mean((0, 1)) - x.mean((0, 2))[:, None] + 2 * x.mean((0, 1, 2))
    with jax.enable_x64(True):
        got, info = maineffects.residuals(
            x.reshape(-1, 2), sides, batch, p=8, batches=3, robust=False
        )
    np.testing.assert_allclose(got, expected.reshape(-1, 2), atol=1e-12)
    assert (
        int(info["sweeps"]) == 2
    )  # orthogonal factors: one sweep, and one to see that it was enough
    assert info["converged"] and float(info["clipped"]) == 0 and int(info["alone"]) == 0


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("empty", [False, True])
def test_least_squares_of_an_unbalanced_design_is_lstsq(tied, empty):
    x, sides, batch = unbalanced()
    if empty:
        sides[::4, 1] = -1
        sides[::16] = -1
    columns = design(sides, batch, tied=tied)
    expected = x - columns @ np.linalg.lstsq(columns, x, rcond=None)[0]
    with jax.enable_x64(True):
        got, info = fit(x, sides, batch, tied=tied, robust=False, tolerance=1e-9)
    assert info["converged"]
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_a_disconnected_design_is_lstsq_too():
    x, sides, batch = unbalanced()
    half = np.arange(len(x)) % 2
    sides = (sides // 2 + P // 2 * half[:, None]).astype(np.int32)
    batch = np.where(half, batch % 2, 2 + batch % 3).astype(np.int32)
    columns = design(sides, batch, tied=False)
    expected = x - columns @ np.linalg.lstsq(columns, x, rcond=None)[0]
    with jax.enable_x64(True):
        got, _ = fit(x, sides, batch, robust=False, tolerance=1e-9)
    np.testing.assert_allclose(got, expected, atol=1e-6)


@pytest.mark.parametrize("robust", [False, True])
def test_any_batch_or_side_effect_leaves_the_residuals_alone(robust):
    x, sides, batch = unbalanced(1)
    rng = np.random.default_rng(9)
    effects = rng.normal(size=(P, 3))[sides[:, 0]] * 30 + rng.normal(size=(P, 3))[sides[:, 1]] * 5
    effects += rng.normal(size=(BATCHES, 3))[batch] * 100 + 1000
    with jax.enable_x64(True):
        plain, _ = fit(x, sides, batch, robust=robust, tolerance=1e-10)
        moved, _ = fit(x + effects, sides, batch, robust=robust, tolerance=1e-12)
    np.testing.assert_allclose(moved, plain, atol=1e-6)


def test_tied_effects_do_not_know_which_side_is_which():
    x, sides, batch = unbalanced(2)
    turned = np.where(np.arange(len(x))[:, None] % 2, sides, sides[:, ::-1])
    with jax.enable_x64(True):
        one, _ = fit(x, sides, batch, tied=True)
        other, _ = fit(x, turned, batch, tied=True)
        untied, _ = fit(x, sides, batch)
    np.testing.assert_allclose(one, other, atol=1e-9)
    assert np.abs(np.asarray(untied) - np.asarray(one)).max() > 0.05


def test_huber_at_a_given_bound_is_scipys_minimum():
    _, sides, batch = unbalanced(3, n=120)
    x = np.random.default_rng(3).standard_t(2, size=(120, 1))
    columns = design(sides, batch, tied=False)

    def loss(effects):
        r = x[:, 0] - columns @ effects
        return huber(0.8, r).sum(), -columns.T @ np.clip(r, -0.8, 0.8)

    best = minimize(loss, np.zeros(columns.shape[1]), jac=True, options={"gtol": 1e-10})
    with jax.enable_x64(True):
        factors = [
            maineffects.factor(jnp.asarray(codes)[:, None], groups)
            for codes, groups in ((batch, BATCHES), (sides[:, 0], P), (sides[:, 1], P))
        ]
        one = jnp.ones(1)
        r, change, _ = maineffects.settle(
            jnp.asarray(x), factors, 0.8 * one, one, tolerance=1e-11, sweeps=10_000
        )
    assert float(change) < 1e-11
    # the minimum is flat where a group has clipped wells only, so the loss is what must agree
    assert float(huber(0.8, np.asarray(r)).sum()) == pytest.approx(best.fun, rel=1e-10)


def test_robust_fit_ignores_one_gross_outlier_in_twenty():
    x, sides, batch = complete(p=20, d=3)
    x = x.reshape(-1, 3)
    rng = np.random.default_rng(5)
    bad = rng.random(len(x)) < 0.05
    spoilt = np.where(bad[:, None], x + rng.choice([20.0, 50.0], size=(len(x), 1)), x)
    moved = {}
    for robust in (False, True):
        run = functools.partial(
            maineffects.residuals, sides=sides, batch=batch, p=20, batches=3, robust=robust
        )
        before, after = (np.asarray(run(v.astype(np.float32))[0]) for v in (x, spoilt))
        moved[robust] = np.sqrt(np.mean((after - before)[~bad] ** 2))
    assert moved[False] > 1.5  # the mean error of a mean
    assert moved[True] < 0.2


def test_robust_fit_keeps_strong_interactions_out_of_main_effects():
    # six pairs of one reagent interact; the other pairs of that reagent are then not to blame
    x, sides, batch = complete(p=20, d=1)
    x = 0.1 * x.reshape(-1, 1)
    hit = (sides[:, 0] == 0) & (sides[:, 1] >= 14)
    x = x + 5.0 * hit[:, None]
    rest = (sides[:, 0] == 0) & ~hit
    shift = [
        float(maineffects.residuals(x, sides, batch, p=20, batches=3, robust=r)[0][rest].mean())
        for r in (False, True)
    ]
    assert shift[0] == pytest.approx(-5 * 6 / 20 * 19 / 20, abs=0.1)
    assert abs(shift[1]) < 0.15


def test_single_precision_holds_beside_large_effects():
    x, sides, batch = unbalanced(6, n=20_000)
    effects = np.random.default_rng(6).normal(size=(P, 3))[sides].sum(1) * 30 + 1000
    for robust in (False, True):
        got, info = fit((x + effects).astype(np.float32), sides, batch, robust=robust)
        with jax.enable_x64(True):
            expected, _ = fit(x, sides, batch, robust=robust, tolerance=1e-10)
        assert got.dtype == jnp.float32 and info["converged"]
        # 1,000 in float32 is known to 6e-5
        np.testing.assert_allclose(got, expected, atol=1e-3)


@pytest.mark.parametrize("robust", [False, True])
def test_jit_is_eager_and_features_do_not_meet(robust):
    x, sides, batch = unbalanced(7)
    x = x.astype(np.float32)
    eager, _ = fit(x, sides, batch, robust=robust)
    jitted, info = jax.jit(functools.partial(fit, robust=robust))(x, sides, batch)
    np.testing.assert_allclose(jitted, eager, atol=2e-6)
    single, _ = fit(x[:, 1:2], sides, batch, robust=robust)
    np.testing.assert_allclose(single[:, 0], eager[:, 1], atol=2e-5)
    assert info["converged"]


def test_a_lone_well_is_counted_and_a_constant_feature_harmless():
    x, sides, batch = complete(p=6)
    x = x.reshape(-1, 2).astype(np.float32)
    x[:, 1] = 7.0
    sides = np.concatenate([sides, [[6, 0]]]).astype(np.int32)
    batch = np.concatenate([batch, [0]]).astype(np.int32)
    x = np.concatenate([x, [[9.0, 7.0]]]).astype(np.float32)
    r, info = maineffects.residuals(x, sides, batch, p=7, batches=3)
    assert info["alone"] == 1
    assert abs(float(r[-1, 0])) < 1e-4
    np.testing.assert_array_equal(r[:, 1], 0)


def test_the_sweeps_end_at_their_limit_and_say_so():
    x, sides, batch = unbalanced(8)
    _, info = fit(x, sides, batch, tolerance=0.0, sweeps=3)
    assert not info["converged"] and info["sweeps"] == 3 * (1 + maineffects.RESCALES)


def test_known_genetic_interactions_stand_out_in_a_screen_without_controls(shared_data):
    pl = pytest.importorskip("polars")
    # Horn et al. 2011: 93 genes of two reagents each, in every combination, 16 wells a pair
    folder = shared_data / "horn2011_mapk"
    wells = pl.read_csv(folder / "horn2011_long.csv.gz")
    columns = ("templateRID", "queryRID")
    names, sides = np.unique(wells.select(columns).to_numpy().astype(str), return_inverse=True)
    plates, batch = np.unique(wells["Platebarcode"].to_numpy(), return_inverse=True)
    x = np.log2(wells.select("nrCells", "area", "intensity").to_numpy()).astype(np.float32)
    genes = np.unique(wells.filter(pl.col("templateGroup") == "sample")["templateSymbol"])
    of = {gene: k for k, gene in enumerate(genes)}
    either = np.array(
        [[of.get(g, -1) for g in wells[c]] for c in ("templateSymbol", "querySymbol")]
    )
    i, j = np.sort(either, axis=0)
    kept = (i >= 0) & (i != j)
    known = np.zeros((len(genes), len(genes)), bool)
    for one, two, genetic in (
        pl.read_csv(folder / "networks.txt", separator="\t")
        .select("gene1", "gene2", "genetic")
        .iter_rows()
    ):
        known[of[one], of[two]] |= genetic == 1
    upper = np.triu_indices(len(genes), 1)
    assert (known | known.T)[upper].sum() == 118

    found = {}
    for robust in (False, True):
        r, info = maineffects.residuals(
            x,
            sides.reshape(-1, 2).astype(np.int32),
            batch.astype(np.int32),
            p=len(names),
            batches=len(plates),
            robust=robust,
        )
        assert info["converged"]
        r = np.asarray(r, np.float64)[kept]
        pair = i[kept] * len(genes) + j[kept]
        wells_of = np.bincount(pair, minlength=len(genes) ** 2)
        mean = np.stack([np.bincount(pair, c, len(genes) ** 2) for c in r.T], axis=1)
        mean /= np.maximum(wells_of, 1)[:, None]
        within = r - mean[pair]
        precision = np.linalg.inv(within.T @ within)
        size = np.einsum("qd,de,qe->q", mean, precision, mean).reshape(known.shape)[upper]
        found[robust] = metrics.auroc(size, (known | known.T)[upper])
    assert found[False] > 0.74 and found[True] > found[False]
