"""MMD tests of all pairs of a screen: ours against scikit-learn pair by pair, and against BLAS.

`mmd.estimate` is the unbiased estimate without a null distribution, `mmd.pvalue` its p-value: by
the multiplier with as many draws as the references permute, and by the spectrum, which draws
nothing. Every call starts from the screen: what all pairs share is part of the time on both sides.
The first reference pools the four arms of a pair, as a user of scikit-learn would, the second
shares the blocks of singles and control over the pairs and leaves the rest to a few BLAS calls.
"""

import importlib.util
from collections.abc import Callable, Iterator

import jax
import numpy as np
from scipy.spatial.distance import cdist

from epistax.benchmarks import harness
from epistax.benchmarks.harness import Record, Timed
from epistax.engine.interaction import commondraws, drawnnulls, paired
from epistax.engine.interaction.disjointness import CONTRAST
from epistax.engine.pairs import upper
from epistax.engine.screen import Screen, screen

DRAWS = 1000
SOME = 10  # pairs that the loop over permutations is timed on
CHECKED = 5  # pairs whose draws are made once more
POOLED = "scikit-learn rbf_kernel, pooled per pair"
BLAS = "NumPy, one product per Gram block, singles and control once"


def suite(*, size: int | None, repeats: int, seed: int) -> Iterator[Record]:
    """Fifty genes, 1,225 pairs, 200 wells of 128 features; or as many genes, in few wells."""
    genes, wells, features = (50, 200, 128) if size is None else (size, 16, 8)
    scale: dict[str, int] = {"genes": genes, "pairs": genes * (genes - 1) // 2}
    scale |= {"wells": wells, "features": features, "seed": seed}
    agree(**scale)
    pooled = importlib.util.find_spec("sklearn") is not None
    alone = {} if pooled else harness.missing("bench")
    if not pooled:
        yield harness.measure("mmd.estimate", scale, estimate, repeats=repeats) | alone
    sides = [(POOLED, sklearn_estimate), (f"{POOLED}, in float64", sklearn_estimate64)]
    for name, reference in [*sides[: 2 * pooled], (BLAS, blas_estimate)]:
        yield harness.measure("mmd.estimate", scale, estimate, reference, name, repeats=repeats)
    for null, ours in (("multiplier", multiplier), ("spectral", spectral)):
        how = scale | {"null": null, "draws": DRAWS if null == "multiplier" else 0}
        if pooled:
            name = f"{POOLED}, loop over {DRAWS} permutations"
            some = min(SOME, scale["pairs"])
            row = harness.measure("mmd.pvalue", how, ours, sklearn_pvalue, name, repeats=repeats)
            yield extrapolated(row, some, scale["pairs"])
        else:
            yield harness.measure("mmd.pvalue", how, ours, repeats=repeats) | alone
        name = f"{BLAS}; {DRAWS} permutations in one product"
        yield harness.measure("mmd.pvalue", how, ours, blas_pvalue, name, repeats=repeats)


def extrapolated(row: Record, some: int, pairs: int) -> Record:
    """The row of a reference that did `some` pairs, as if it had done all."""
    more = pairs / some
    times = {key: row[key] * more for key in ("reference_seconds", "reference_cpu_seconds")}
    spread = [value * more for value in row["reference_range"]]
    found = {"reference_pairs": some, "ratio": row["ratio"] * more, "reference_range": spread}
    return row | times | found


def agree(**scale: int) -> None:
    """All sides compute the same numbers, or there is nothing to compare."""
    ours, made = np.asarray(estimate(**scale)()), data(**scale)
    theirs = [np.asarray(blas_estimate(**scale)())]
    if importlib.util.find_spec("sklearn"):
        theirs += [np.asarray(f(**scale)()) for f in (sklearn_estimate, sklearn_estimate64)]
    for found in theirs:
        if not np.allclose(ours, found, atol=2e-6):
            raise RuntimeError(f"estimates differ by up to {np.abs(ours - found).max():.3g}")
    p = np.asarray(multiplier(**scale)())
    weights, observed = permuted(made), pooled_weights(made)
    for k in range(min(CHECKED, scale["pairs"])):
        gram = gram_by_formula(made, k)
        drawn = drawn_weights(made, scale["seed"])
        direct = np.einsum("bu,bu->b", drawn @ gram, drawn)
        expected = (1 + np.sum(direct >= observed @ gram @ observed)) / (1 + DRAWS)
        if abs(p[k] - expected) > 1.5 / (1 + DRAWS):  # one draw may tie in single precision
            raise RuntimeError(f"p-value of pair {k} is {p[k]:.4f}, by its formula {expected:.4f}")
        direct = np.array([w @ gram @ w for w in weights])
        if not np.allclose(blas_forms(made, weights)(k)[1], direct, rtol=1e-3, atol=1e-6):
            raise RuntimeError(f"permuted statistics of pair {k} differ")


def gram_by_formula(made: Screen, k: int) -> np.ndarray:
    """Gram matrix of all four arms from squared differences, in float64."""
    spans = [slice(made.first[c], made.first[c] + made.count[c]) for c in (0, *members(made, k))]
    x = np.concatenate([made.x[span] for span in spans])
    return np.exp(-cdist(x, x, "sqeuclidean") / (2 * length_scale(made) ** 2))


def data(genes: int, pairs: int, wells: int, features: int, seed: int, **_: int | str) -> Screen:
    """Every class in as many wells; genes shift a few features, doubles both genes'."""
    rng = np.random.default_rng(seed)
    shift = rng.normal(size=(genes, features)) * (rng.random((genes, features)) < 0.1)
    i, j = upper(genes)
    codes = np.r_[[[-1, -1]], [[-1, k] for k in range(genes)], np.stack([i, j], axis=1)]
    mean = np.stack([sum((shift[k] for k in row if k >= 0), np.zeros(features)) for row in codes])
    rows = np.repeat(np.arange(len(codes)), wells)
    x = (mean[rows] + rng.normal(size=(len(rows), features))).astype(np.float32)
    return screen(x, codes[rows], p=genes, well=None)


def length_scale(made: Screen) -> float:
    """About the median distance."""
    return (2 * made.x.shape[1]) ** 0.5


def estimate(pairs: int, **scale: int) -> Timed:
    """Ours without a null distribution."""
    made = data(pairs=pairs, **scale)
    how = {"kernel": "rbf", "length_scale": length_scale(made), "seed": scale["seed"]}
    every = np.arange(pairs)
    return lambda: paired.disjoint(made, **how, inference=False)(every).statistic


def spectral(pairs: int, **scale: int) -> Timed:
    """Ours by the spectrum: statistic, standard error and p-value."""
    made = data(pairs=pairs, **scale)
    how = {"kernel": "rbf", "length_scale": length_scale(made), "seed": scale["seed"]}
    every = np.arange(pairs)
    return lambda: paired.disjoint(made, **how)(every).p


def multiplier(pairs: int, **scale: int) -> Timed:
    """Ours by draws."""
    made = data(pairs=pairs, **scale)
    how = {"kernel": "rbf", "length_scale": length_scale(made), "seed": scale["seed"]}
    every = np.arange(pairs)
    return lambda: drawnnulls.resampled(made, CONTRAST, **how, method="multiplier", draws=DRAWS)(
        every
    )


def sklearn_estimate(pairs: int, **scale: int) -> Timed:
    """Pair by pair, the pooled Gram matrix without its diagonal."""
    made = data(pairs=pairs, **scale)
    return lambda: np.array([pooled_estimate(made, pooled_gram(made, k)) for k in range(pairs)])


def sklearn_estimate64(pairs: int, **scale: int) -> Timed:
    """The same in double precision, where scikit-learn is the faster."""
    made = data(pairs=pairs, **scale)
    made = made._replace(x=np.asarray(made.x, np.float64))
    return lambda: np.array([pooled_estimate(made, pooled_gram(made, k)) for k in range(pairs)])


def sklearn_pvalue(pairs: int, **scale: int | str) -> Timed:
    """Of the first SOME pairs, one permutation at a time."""
    made = data(pairs=pairs, **scale)
    rng = np.random.default_rng(scale["seed"])
    weights = pooled_weights(made)

    def one(k: int) -> float:
        gram = pooled_gram(made, k)
        drawn = [w @ gram @ w for w in (rng.permutation(weights) for _ in range(DRAWS))]
        return (1 + np.sum(np.array(drawn) >= weights @ gram @ weights)) / (1 + DRAWS)

    return lambda: np.array([one(k) for k in range(min(SOME, pairs))])


def blas_estimate(pairs: int, **scale: int) -> Timed:
    """Kernel means of singles and control once, then five products a pair."""
    made = data(pairs=pairs, **scale)

    def call() -> np.ndarray:
        block, n = blas_blocks(made), int(made.count[0])
        classes = range(1 + made.singles)
        own = [off_diagonal(block(c, c).mean(), n) for c in classes]
        cross = [block(c, 0).mean() for c in classes]
        found = np.empty(pairs)
        for k in range(pairs):
            arms = i, j, both = members(made, k)
            double = off_diagonal(block(both, both).mean(), n)
            value = own[0] + own[i] + own[j] + double
            value += 2 * (block(i, j).mean() + block(both, 0).mean() - cross[i] - cross[j])
            found[k] = (value - 2 * sum(block(both, a).mean() for a in arms[:2])) / 4
        return found

    return call


def blas_pvalue(pairs: int, **scale: int | str) -> Timed:
    """Permuted weights of all arms, one product a pair with its Gram matrix."""
    made = data(pairs=pairs, **scale)

    def call() -> np.ndarray:
        forms = blas_forms(made, permuted(made))
        found = np.empty(pairs)
        for k in range(pairs):
            observed, drawn = forms(k)
            found[k] = (1 + int((drawn >= observed).sum())) / (1 + DRAWS)
        return found

    return call


def blas_forms(
    made: Screen, weights: np.ndarray
) -> Callable[[int], tuple[np.floating, np.ndarray]]:
    """Of a pair: the V-statistic, and the same of every row of weights."""
    block, n = blas_blocks(made), int(made.count[0])
    own = [block(c, c) for c in range(1 + made.singles)]
    cross = [block(c, 0) for c in range(1 + made.singles)]
    pooled = pooled_weights(made)
    gram = np.empty((4 * n, 4 * n), np.float32)
    at = [slice(a * n, (a + 1) * n) for a in range(4)]

    def forms(k: int) -> tuple[np.floating, np.ndarray]:
        i, j, both = members(made, k)
        for a, c in ((0, 0), (1, i), (2, j)):
            gram[at[a], at[a]] = own[c]
        parts = ((1, 0, cross[i]), (2, 0, cross[j]), (1, 2, block(i, j)))
        parts += tuple((3, a, block(both, c)) for a, c in enumerate((0, i, j, both)))
        for a, b, part in parts:
            gram[at[a], at[b]], gram[at[b], at[a]] = part, part.T
        return pooled @ gram @ pooled, np.einsum("bu,bu->b", weights @ gram, weights)

    return forms


def blas_blocks(made: Screen) -> Callable[[int, int], np.ndarray]:
    """Gram matrix of two classes: one product, then all in place."""
    x = np.asarray(made.x) / np.float32(length_scale(made))
    half = 0.5 * (x * x).sum(axis=1)

    def block(a: int, b: int) -> np.ndarray:
        first, second = (slice(made.first[c], made.first[c] + made.count[c]) for c in (a, b))
        gram = x[first] @ x[second].T
        gram -= half[first, None]
        gram -= half[None, second]
        return np.exp(gram, out=gram)

    return block


def members(made: Screen, k: int) -> tuple[int, int, int]:
    """Classes of both singles and of the pair."""
    return 1 + int(made.pairs.i[k]), 1 + int(made.pairs.j[k]), 1 + made.singles + k


def pooled_gram(made: Screen, k: int) -> np.ndarray:
    """Gram matrix of control, both singles and the pair."""
    from sklearn.metrics.pairwise import rbf_kernel

    spans = [slice(made.first[c], made.first[c] + made.count[c]) for c in (0, *members(made, k))]
    x = np.concatenate([made.x[span] for span in spans])
    return rbf_kernel(x, gamma=0.5 / length_scale(made) ** 2)


def pooled_estimate(made: Screen, gram: np.ndarray) -> float | np.floating:
    """W'Kw of the pooled arms, within an arm without the diagonal."""
    n, w = int(made.count[0]), pooled_weights(made)
    own = [gram[a * n : (a + 1) * n, a * n : (a + 1) * n].mean() for a in range(4)]
    return w @ gram @ w + sum(off_diagonal(value, n) - value for value in own) / 4


def off_diagonal(mean: float | np.floating, n: int) -> float | np.floating:
    """Mean of k over pairs of different observations, k(x, x) = 1."""
    return (n * mean - 1) / (n - 1)


def pooled_weights(made: Screen) -> np.ndarray:
    """Of the observations of all arms in the contrast; all classes are of one size."""
    return (np.repeat(CONTRAST, made.count[0]) / made.count[0]).astype(np.float32)


def permuted(made: Screen) -> np.ndarray:
    """The same, a permutation a row."""
    rows = np.tile(pooled_weights(made), (DRAWS, 1))
    return np.random.default_rng(0).permuted(rows, axis=1)


def drawn_weights(made: Screen, seed: int) -> np.ndarray:
    """What the multiplier makes of its noise, a draw a row, in float64."""
    n = int(made.count[0])
    noise = commondraws.noise(jax.random.key(seed), units=n, draws=DRAWS)
    e = np.asarray(noise, np.float64)[:, :, 1:]
    e = (e - e.mean(axis=1, keepdims=True)) * (n / (n - 1)) ** 0.5 / n
    return (np.array(CONTRAST)[:, None, None] * e).reshape(4 * n, DRAWS).T


if __name__ == "__main__":
    harness.main(suite)
