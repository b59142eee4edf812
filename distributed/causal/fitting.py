"""A model of causal embeddings fitted to all environments that train, and what it says of each."""

from typing import Any, NamedTuple

import jax
import numpy as np
import polars as pl

from epistax.distributed.causal import encoding, methods, moving
from epistax.distributed.causal.dividing import Division, whole
from epistax.distributed.causal.reading import EnvironmentTable
from epistax.distributed.causal.stored import Learned
from epistax.distributed.causal.tables import CURVE
from epistax.distributed.causal.truth import Truth
from epistax.distributed.formats.h5ad import packed
from epistax.distributed.options.causal import CausalFit
from epistax.engine.causal.records import Latents

EMBEDDING = {
    "environment": pl.String,
    "split": pl.String,
    "n": pl.Int64,
    "member": pl.Int64,
    "latent": pl.Int64,
    "mean": pl.Float64,
    "sd": pl.Float64,
    "shift": pl.Float64,
    "prior_mean": pl.Float64,
    "prior_sd": pl.Float64,
}


class Made(NamedTuple):
    """All that a fit leaves."""

    learned: Learned
    embedding: pl.DataFrame
    shifts: pl.DataFrame
    curve: pl.DataFrame
    latents: Latents
    summary: dict[str, Any]


def learn(options: CausalFit, division: Division, truth: Truth | None) -> Made:
    """The fit, how environments move its latents, the summary."""
    config = methods.settings(options.model, options, division, temperature=options.temperature)
    method = methods.method(options.model, config)
    table, scale = division.table, encoding.scale_of(division, options.scale)
    x, of, every = encoding.put(scale, table.x), table.environment, table.every
    keys = methods.keys(options.seed, options.members)
    fits, info = jax.block_until_ready(method.fit(keys, division.data(x, of), ()))
    latents = encoding.encoded(method, fits, x, of, every.vectors)
    moves = moving.moves(method, fits, latents, division)
    starts, base = moving.bases(division), np.flatnonzero(division.base)
    measured = encoding.by_environment(table.x.T.astype(np.float64), of, len(every.names)).T
    learned = Learned(
        model=options.model,
        config=config,
        features=table.genes,
        coding=table.coding,
        every=every,
        trained=~division.held,
        scale=scale,
        fits=fits,
        members=options.members,
        base=base,
        starts=np.stack([x[rows] for rows in starts]),
        measured=measured[base],
    )
    embedding = pl.concat([rows(division, one, k + 1) for k, one in enumerate(moves)])
    curve = [(options.model, options.seed + k, *values) for k, *values in methods.curve(info)]
    figures = [
        moving.named(one, latents.mean[k], None if truth is None else truth.c,
                     None if truth is None else truth.target, division.base[of], ~division.base)
        for k, one in enumerate(moves)
    ]  # fmt: skip
    summary = {
        "step": "fit",
        "input": table.census.as_dict(),
        "model": options.model,
        "members": options.members,
        "latents": config.latents,
        "epochs": len(np.asarray(info["loss"])),
        "told": division.told,
        "base": [every.names[k] for k in base],
        "reference": bool(every.reference.any()),
        "reconstruction": [float(v) for v in np.asarray(info["error"], np.float64)[-1]],
        "validation": [float(v) for v in np.asarray(info["validation"], np.float64)[-1]]
        if division.held.any()
        else None,
        "figures": [one._asdict() for one in figures],
    }
    frame = pl.DataFrame(curve, schema=CURVE, orient="row")
    return Made(learned, embedding, side(division, moves), frame, latents, summary)


def divide(options: CausalFit, table: EnvironmentTable) -> Division:
    """What trains. BadInput for what cannot be fitted."""
    division = whole(table, [options.model])
    methods.refuse([options.model], options, division, cooled=options.temperature is not None)
    return division


def rows(division: Division, one: moving.Moves, member: int) -> pl.DataFrame:
    """A row an environment and latent of one fit."""
    e, d = one.mean.shape
    names = np.array(division.table.every.names, object)
    numbers = {
        "mean": one.mean,
        "sd": one.sd,
        "shift": one.shift,
        "prior_mean": one.prior_mean,
        "prior_sd": one.prior_sd,
    }
    columns = {
        "environment": np.repeat(names, d).tolist(),
        "split": np.repeat(division.split.astype(object), d).tolist(),
        "n": np.repeat(division.table.count, d),
        "member": [member] * (e * d),
        "latent": np.tile(np.arange(1, d + 1), e),
        **{name: value.astype(np.float64).ravel() for name, value in numbers.items()},
    }
    return pl.DataFrame(columns, schema=EMBEDDING)


def side(division: Division, moves: list[moving.Moves]) -> pl.DataFrame:
    """A row a perturbation and a column a latent, as --side reads it: mean shifts over covariates.

    The latents of several members follow one another.
    """
    every = division.table.every
    names = division.table.coding.names
    own = [np.flatnonzero(every.perturbation == p) for p in range(len(names))]
    count = division.table.count
    columns = {}
    for member, one in enumerate(moves):
        word = "z" if len(moves) == 1 else f"m{member + 1}_z"
        mean = np.stack([np.average(one.shift[at], axis=0, weights=count[at]) for at in own])
        columns |= {f"{word}{k + 1}": mean[:, k].astype(np.float64) for k in range(mean.shape[1])}
    return pl.DataFrame({"gene": list(names), **columns})


def samples(division: Division, latents: Latents) -> bytes:
    """The latents of every sample as h5ad: obsm X_causal, of the first member."""
    import pandas as pd
    from anndata import AnnData

    table = division.table
    names, of = np.array(table.every.names), table.environment
    perturbed = np.array(["control", *table.coding.names])[table.every.perturbation + 1]
    obs = pd.DataFrame({
        "environment": pd.Categorical(names[of]),
        "perturbation": pd.Categorical(perturbed[of]),
        "split": pd.Categorical(division.split[of]),
    }, index=[f"sample{row + 1}" for row in table.rows])  # fmt: skip
    sd = np.exp(latents.log_sd[0])
    data = AnnData(obs=obs, obsm={"X_causal": latents.mean[0], "X_causal_sd": sd})
    return packed(data)
