"""KL divergence by nearest neighbours: ours against scipy's tree and scikit-learn's brute force.

Two sets of as many observations; both sides start from the data as they come, standardise them
and take the fifth neighbours within the first set and in the second. Few dimensions go by the
tree on both sides, many by brute force. `knn.growth` is ours over four sizes in 64 dimensions, and
its last row the exponents of time and memory in the number of observations.
"""

import importlib.util
from collections.abc import Callable, Iterator

import jax
import numpy as np
from scipy.spatial import cKDTree

from epistax.benchmarks import harness
from epistax.benchmarks.harness import Record, Timed
from epistax.engine.stats import knn

MOST, MANY = 20_000, 64  # observations a set, and dimensions
FEW = (2, 8)
GROWTH = (8, 4, 2, 1)  # MOST over these
CLOSE = 1e-3  # nats: ours breaks ties by jitter, in single precision where it is brute force
TREE = "scipy cKDTree, query"
BRUTE = "scikit-learn NearestNeighbors, algorithm='brute'"


def suite(*, size: int | None, repeats: int, seed: int) -> Iterator[Record]:
    """20,000 observations a set in 2, 8 and 64 dimensions, then the growth; or the given number."""
    n = size or MOST
    for d in FEW:
        how = {"n": n, "m": n, "features": d, "seed": seed}
        agree(ours, tree, **how)
        yield harness.measure("knn.kl", how, ours, tree, TREE, repeats=repeats)
    how = {"n": n, "m": n, "features": MANY, "seed": seed}
    if importlib.util.find_spec("sklearn"):
        agree(ours, brute, **how)
        yield harness.measure("knn.kl", how, ours, brute, BRUTE, repeats=repeats)
    else:
        yield harness.measure("knn.kl", how, ours, repeats=repeats) | harness.missing("bench")
    rows = []
    for part in GROWTH:
        some = how | {"n": n // part, "m": n // part}
        rows.append(harness.measure("knn.growth", some, ours, repeats=repeats))
        yield rows[-1]
    yield harness.exponents(rows, "n")


def agree(mine: Callable[..., Timed], theirs: Callable[..., Timed], **how: int) -> None:
    """Both sides compute the same number, or there is nothing to compare."""
    first, second = mine(**how)(), theirs(**how)()
    if not abs(first - second) <= CLOSE:
        raise RuntimeError(f"KL is {first:.5f} by ours and {second:.5f} by the reference")


def data(n: int, m: int, features: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two Gaussian sets, a standard deviation apart in the first feature."""
    rng = np.random.default_rng(seed)
    x, y = (rng.normal(size=(rows, features)).astype(np.float32) for rows in (n, m))
    x[:, 0] += 1
    return x, y


def ours(**how: int) -> Timed:
    """As `score` does it."""
    x, y = data(**how)
    key = jax.random.key(how["seed"])
    return lambda: knn.estimate(key, x, y)


def tree(**how: int) -> Timed:
    """As scipy's documentation shows it."""
    return plain(lambda x, y, k: cKDTree(y).query(x, k=k)[0][:, -1], **how)


def brute(**how: int) -> Timed:
    """As scikit-learn's documentation shows it."""
    from sklearn.neighbors import NearestNeighbors

    def furthest(x: np.ndarray, y: np.ndarray, k: int) -> np.ndarray:
        return NearestNeighbors(n_neighbors=k, algorithm="brute").fit(y).kneighbors(x)[0][:, -1]

    return plain(furthest, **how)


def plain(furthest: Callable[[np.ndarray, np.ndarray, int], np.ndarray], **how: int) -> Timed:
    """The estimate from the distance of every x to its k-th nearest y; the first of x is itself."""
    x, y = data(**how)
    (n, d), m, k = x.shape, len(y), knn.NEIGHBOURS

    def call() -> float:
        within = np.sqrt((n * x.var(axis=0) + m * y.var(axis=0)) / (n + m))
        first, second = x / within, y / within
        own, other = furthest(first, first, k + 1), furthest(first, second, k)
        return float(d * np.log(other / own).mean() + np.log(m / (n - 1)))

    return call


if __name__ == "__main__":
    harness.main(suite)
