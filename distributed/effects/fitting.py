"""A model of effects fitted to all rows, and to all but each part of them: what it gets wrong.

The whole and every part are fitted side by side, each with as many members. A part's rows are
predicted by fits of the others; their errors say how many sds an interval takes.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl

from epistax.distributed.effects import methods
from epistax.distributed.effects.benchmark import ragged
from epistax.distributed.effects.methods import Known
from epistax.distributed.effects.reading import Samples, combos, described, labelled
from epistax.distributed.effects.stored import Learned
from epistax.distributed.errors import BadInput
from epistax.distributed.options.effects import EffectsFit
from epistax.engine.effects.choice import Chosen
from epistax.engine.effects.ensemble import ensemble
from epistax.engine.effects.neural import Neural
from epistax.engine.effects.records import Jobs
from epistax.engine.stats import prediction

VALIDATION = 0.1  # of the rows of a network
MEMBERS = 5


def learn(
    options: EffectsFit, samples: Samples, known: Known
) -> tuple[Learned, pl.DataFrame, dict[str, Any]]:
    """The fit, its predictions of rows that it had not seen, and the summary."""
    q, folds = len(samples.value), options.folds
    count = methods.members(options.model, options.members, MEMBERS)
    config = methods.settings(options.model, options, samples, q)
    rng = np.random.default_rng(options.seed)
    part = rng.permutation(q) % folds
    jobs = drawn(rng, part, folds, count, validated=isinstance(config, Neural))
    model = methods.method(config, samples.singles, known)
    keys = jax.random.split(jax.random.key(options.seed), len(jobs.train))
    fits = jax.block_until_ready(model.fit(keys, samples.table, jobs))
    whole = Learned(
        model=options.model,
        config=config,
        names=samples.names,
        singles=samples.singles,
        seen=np.arange(len(samples.names)) < samples.seen,
        k=samples.genes.shape[1],
        side=known.side,
        graph=known.graph,
        members=count,
        fits=group(fits, 0, count),
        spare=0.0,
        factor=0.0,
    )
    mean, sd = np.empty(q), np.empty(q)
    rows = ragged([np.flatnonzero(part == fold) for fold in range(folds)])
    for fold, at in enumerate(rows):
        own = group(fits, (fold + 1) * count, count)
        lacking = whole._replace(fits=own, spare=spare(config, own))
        told = predicted(lacking, samples.genes[np.maximum(at, 0)], samples.singles)
        mean[at[at >= 0]], sd[at[at >= 0]] = (x[at >= 0] for x in told)
    error = samples.value - mean
    factor = np.array([prediction.holding(error[part != f], sd[part != f]) for f in range(folds)])
    half = factor[part] * sd
    learned = whole._replace(spare=spare(config, whole.fits), factor=prediction.holding(error, sd))
    heldout = pl.DataFrame(
        labelled(samples.names, samples.genes)
        | {"effect": samples.value, "predicted": mean, "sd": sd}
        | {"low": mean - half, "high": mean + half, "fold": part}
    )
    figures = {
        "step": "fit",
        **described(samples),
        "model": options.model,
        "members": count,
        "folds": folds,
        "rmse": prediction.rmse(samples.value, mean),
        "pearson": prediction.pearson(samples.value, mean),
        "covered_90": prediction.covered(error, half),
        "covered_90_told": prediction.covered(error, prediction.reach() * sd),
        "factor": learned.factor,
    }
    return learned, heldout, figures


def refuse(options: EffectsFit, samples: Samples) -> None:
    """What cannot be fitted. BadInput."""
    q = len(samples.value)
    if options.folds > q // 2:
        raise BadInput(f"--folds: {options.folds} parts of {q:,} rows; give at most {q // 2}")
    methods.settings(options.model, options, samples, q)


def drawn(
    rng: np.random.Generator, part: np.ndarray, folds: int, count: int, *, validated: bool
) -> Jobs:
    """Members of the whole, then of each part's others; validation rows are each member's own."""
    train, looked = [], []
    for fold in range(-1, folds):
        rows = np.flatnonzero(part != fold)
        for _ in range(count):
            order = rng.permutation(rows)
            n = max(1, int(VALIDATION * len(order))) if validated else 0
            train.append(order[n:])
            looked.append(order[:n])
    return Jobs(ragged(train), ragged(looked))


def group(fits: Any, first: int, count: int) -> Any:
    """Some of the jobs."""
    return jax.tree.map(lambda leaf: leaf[first : first + count], fits)


def spare(config: methods.Settings, fits: Any) -> float:
    """The sd of a network's errors on its validation rows; 0 of a model that tells its own."""
    if not isinstance(config, Neural) or config.net.spread:
        return 0.0
    if isinstance(fits, Chosen):
        each = jnp.stack([one.loss for one in fits.fits])
        loss = each[fits.which, jnp.arange(len(fits.which))]
    else:
        loss = fits.loss
    return float(jnp.sqrt(jnp.mean(loss)))


def predicted(
    learned: Learned, genes: np.ndarray, singles: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sd of rows of genes, float64; singles are those of the codes in them."""
    known = Known(learned.side, learned.graph)
    model = methods.method(learned.config, learned.singles, known)
    told = ensemble(model.predict(learned.fits, combos(genes, singles)), members=learned.members)
    mean, own = (np.asarray(x[0], np.float64) for x in told)
    return mean, np.sqrt(own**2 + learned.spare**2)
