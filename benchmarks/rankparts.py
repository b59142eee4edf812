"""Parts of ranking alone: mean random features, exact MMD of pairs, cosines of all pairs."""

import jax
import numpy as np

from epistax.benchmarks.harness import Timed
from epistax.benchmarks.rankdata import (
    KEEP,
    PATHWAY,
    best,
    data,
    drawn_frequencies,
    numpy_means,
    unrank_flat,
)
from epistax.engine.interaction import alone, audit
from epistax.engine.interaction.arms import Arm
from epistax.engine.interaction.randomfeatures import mean_features
from epistax.engine.interaction.ranking import MEASURES, Singles
from epistax.engine.pairs import Pairs


def features(genes: int, cells: int, features: int, seed: int, frequencies: int) -> Timed:
    """Ours: mean random features of all genes, block by block."""
    screen = data(genes, cells, features, seed).screen
    turns = jax.numpy.asarray(drawn_frequencies(features, frequencies, seed))
    every = np.arange(1 + genes)

    def means() -> np.ndarray:
        out = np.empty((1 + genes, 2 * frequencies), np.float32)
        for batch, arms in alone.arms_of(screen, every, None, lambda done: None):
            out[batch.index[: batch.real]] = np.asarray(of_arms(arms, turns))[: batch.real]
        return out

    return means


@jax.jit
def of_arms(arms: Arm, turns: jax.Array) -> jax.Array:
    """Mean features of the classes of a block."""
    return jax.lax.map(lambda arm: mean_features(arm.x, arm.weight, turns), arms)


def numpy_features(genes: int, cells: int, features: int, seed: int, frequencies: int) -> Timed:
    """The same with numpy, gene by gene."""
    screen = data(genes, cells, features, seed).screen
    turns = drawn_frequencies(features, frequencies, seed)
    return lambda: numpy_means(screen, turns)


def exact(genes: int, cells: int, features: int, seed: int, pairs: int) -> Timed:
    """Ours: exact unbiased MMD^2 of random pairs."""
    screen = data(genes, cells, features, seed).screen
    how = {"kernel": "rbf", "length_scale": (2 * features) ** 0.5}
    effects = alone.embed(screen, count=8, seed=seed, **how)
    some, formula = audit.drawn(genes, pairs, seed=seed), MEASURES["mmd:far"].formula
    return lambda: alone.exact(screen, effects, some, formula, **how)


def sklearn_exact(genes: int, cells: int, features: int, seed: int, pairs: int) -> Timed:
    """Three Gram matrices a pair, those of the genes made once."""
    from sklearn.metrics.pairwise import rbf_kernel

    screen, gamma = data(genes, cells, features, seed).screen, 0.25 / features
    some = audit.drawn(genes, pairs, seed=seed)
    x = [screen.x[first : first + cells] for first in screen.first[1:]]
    within = [(rbf_kernel(v, gamma=gamma).sum() - cells) / cells / (cells - 1) for v in x]

    def one(i: int, j: int) -> float:
        return within[i] + within[j] - 2 * rbf_kernel(x[i], x[j], gamma=gamma).mean()

    return lambda: np.array([one(int(i), int(j)) for i, j in zip(*some, strict=True)])


def agree_exact(**how: int) -> None:
    """Both sides compute the same number."""
    mine, theirs = exact(**how)(), sklearn_exact(**how)()
    if not np.allclose(mine, theirs, atol=2e-6):
        raise RuntimeError(f"MMD differs by up to {np.abs(mine - theirs).max():.3g}")


def effects(genes: int, features: int, seed: int) -> np.ndarray:
    """Mean effects in pathways."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(genes // PATHWAY + 1, features))
    own = rng.normal(size=(genes, features))
    return (shared[rng.integers(len(shared), size=genes)] + own).astype(np.float32)


def cosines(genes: int, features: int, seed: int) -> Timed:
    """Ours: the first pairs by a running best over tiles."""
    h = effects(genes, features, seed)
    zero = np.zeros(genes, np.float32)
    held = Singles(h, (h**2).sum(axis=1), zero, 0.0)
    return lambda: best(held, np.arange(genes), MEASURES["cosine:near"])


def dense_cosines(genes: int, features: int, seed: int) -> Timed:
    """The whole matrix, its upper triangle partitioned."""
    h = effects(genes, features, seed)

    def choose() -> Pairs:
        unit = h / np.linalg.norm(h, axis=1, keepdims=True)
        value = unit @ unit.T
        value[np.tril_indices(genes)] = -np.inf
        return unrank_flat(np.argpartition(value, -KEEP, axis=None)[-KEEP:], genes)

    return choose
