import jax
import numpy as np
import pytest

from epistax.engine.pairs import count
from epistax.engine.simulate.matrices import ADDITIVE, Matrix, matrix

P = 60


def make(seed: int = 0, p: int = P, **options: object) -> Matrix:
    plain = {"rank": 3, "strong": 0, "noise": 0.0, "missing": 0.0}
    return jax.tree.map(np.asarray, matrix(jax.random.key(seed), p, **(plain | options)))


def square(made: Matrix) -> np.ndarray:
    """The true scores as a matrix, 0 on the diagonal."""
    x = np.zeros((P, P))
    x[made.pairs.i, made.pairs.j] = made.true_score
    return x + x.T


def eigenvalues(x: np.ndarray) -> np.ndarray:
    """After completing the diagonal to rank 3, by alternating projection."""
    for _ in range(600):
        w, v = np.linalg.eigh(x)
        keep = np.argsort(-np.abs(w))[:3]
        np.fill_diagonal(x, np.einsum("ir,r,ir->i", v[:, keep], w[keep], v[:, keep]))
    return np.linalg.eigvalsh(x)


@pytest.mark.parametrize("positive", [False, True])
def test_smooth_part_has_the_rank_asked_for(positive: bool) -> None:
    # a block of disjoint rows and columns holds no diagonal: its rank is the rank of the rest
    block = square(make(positive=positive))[: P // 2, P // 2 :]
    size = np.linalg.svd(block, compute_uv=False)
    assert size[3] < 1e-5 * size[0]
    assert size[2] > 1e-3 * size[0]


def test_signed_is_indefinite_with_unit_variance() -> None:
    large = make(p=600)
    assert large.true_score.std() == pytest.approx(1.0, abs=0.05)
    assert abs(large.true_score.mean()) < 0.05
    w = eigenvalues(square(make()))
    assert w.min() < -1
    assert w.max() > 1


def test_positive_is_positive_with_and_without_strong_pairs() -> None:
    assert (make(positive=True, strong=20).true_score >= 0).all()


@pytest.mark.parametrize("positive", [False, True])
def test_strong_pairs_are_what_departs_from_low_rank(positive: bool) -> None:
    plain, strong = (make(positive=positive, strong=n) for n in (0, 25))
    changed = ~np.isclose(strong.true_score, plain.true_score, atol=1e-6)
    np.testing.assert_array_equal(changed, strong.strong)
    assert strong.strong.sum() == 25
    if not positive:
        effect = (strong.true_score - plain.true_score)[strong.strong]
        assert (effect < 0).any() and (effect > 0).any()
        assert np.abs(effect).mean() == pytest.approx(4.5, abs=1.0)  # Gamma(9, .5)


def test_noise_is_in_units_of_the_smooth_part() -> None:
    made = make(p=200, noise=0.3)
    residual = made.score - made.true_score
    assert residual.std() == pytest.approx(0.3 * made.true_score.std(), rel=0.03)
    assert abs(np.corrcoef(residual, made.true_score)[0, 1]) < 0.03
    np.testing.assert_array_equal(make().score, make().true_score)


def test_missing_is_a_share_and_leaves_the_rest_alone() -> None:
    whole, holes = make(p=200), make(p=200, missing=0.25)
    assert whole.measured.all()
    assert holes.measured.mean() == pytest.approx(0.75, abs=0.015)
    np.testing.assert_array_equal(whole.score, holes.score)


def test_singles_enter_additively_with_their_product() -> None:
    made = make(singles=True, strong=5)
    (c1, c2), s = ADDITIVE, made.true_single
    si, sj = s[made.pairs.i], s[made.pairs.j]
    np.testing.assert_allclose(
        made.true_score - made.true_interaction, c1 * (si + sj) + c2 * si * sj, atol=1e-5
    )
    np.testing.assert_array_equal(made.single, made.true_single)  # noise is 0
    assert not make().single.any()
    np.testing.assert_array_equal(made.true_interaction, make(strong=5).true_interaction)


def test_jit_is_eager_and_the_key_decides() -> None:
    options = {"rank": 3, "strong": 5, "noise": 0.1, "missing": 0.1}
    jitted = jax.jit(matrix, static_argnums=1, static_argnames=tuple(options))
    made = jitted(jax.random.key(0), P, **options)
    np.testing.assert_allclose(made.score, make(**options).score, atol=1e-5)
    assert not np.allclose(made.score, make(1, **options).score)
    assert len(made.score) == count(P)


def test_too_many_strong_pairs() -> None:
    with pytest.raises(ValueError, match="`strong` is 11 but 5 perturbations have 10 pairs"):
        make(p=5, strong=11)
