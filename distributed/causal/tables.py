"""The tables of a benchmark of causal embeddings."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from epistax.distributed.causal.dividing import Division
from epistax.distributed.causal.encoding import by_environment
from epistax.distributed.causal.moving import Moves, Named

RESULTS = {
    "model": pl.String,
    "seed": pl.Int64,
    "temperature": pl.Float64,
    "environment": pl.String,
    "split": pl.String,
    "n": pl.Int64,
    "reconstruction": pl.Float64,
    "sampled": pl.Float64,
    "profile_error": pl.Float64,
}
CURVE = {
    "model": pl.String,
    "seed": pl.Int64,
    "epoch": pl.Int64,
    "loss": pl.Float64,
    "error": pl.Float64,
    "validation": pl.Float64,
}
SHIFTS = {
    "model": pl.String,
    "seed": pl.Int64,
    "environment": pl.String,
    "split": pl.String,
    "latent": pl.Int64,
    "shift": pl.Float64,
    "prior_mean": pl.Float64,
    "prior_sd": pl.Float64,
}
MODELS = {
    "model": pl.String,
    "seed": pl.Int64,
    "temperature": pl.Float64,
    "latents": pl.Int64,
    "reconstruction": pl.Float64,
    "worst_rise": pl.Float64,
    **dict.fromkeys(Named._fields, pl.Float64),
    "seconds": pl.Float64,
    "compile_seconds": pl.Float64,
}
OOD = {
    "model": pl.String,
    "seed": pl.Int64,
    "direction": pl.Int64,
    "offset": pl.Float64,
    "error": pl.Float64,
    "sampled": pl.Float64,
    "anchor": pl.Float64,
    "anchor_vae": pl.Float64,
}
ROTATION = {
    "model": pl.String,
    "seed": pl.Int64,
    "flip": pl.Boolean,
    "angle": pl.Float64,
    "mean_distance": pl.Float64,
    "spread": pl.Float64,
    "fitted_angle": pl.Float64,
    "residual": pl.Float64,
    "entangled": pl.Float64,
}
TURNED = {
    "model": pl.String,
    "seed": pl.Int64,
    "flip": pl.Boolean,
    "feature": pl.String,
    "angle": pl.Float64,
    "distance": pl.Float64,
}
SCHEMAS = {
    "results": RESULTS,
    "curve": CURVE,
    "shifts": SHIFTS,
    "models": MODELS,
    "ood": OOD,
    "rotation": ROTATION,
    "turned": TURNED,
}
WORLD = ("ood", "rotation", "turned")  # only of simulated worlds


class Fit(NamedTuple):
    """One fit of a row that is compared."""

    label: str
    seed: int
    temperature: float | None = None


def frames(found: Mapping[str, list[Any]]) -> dict[str, pl.DataFrame]:
    """The tables of a chunk, of frames or of rows."""
    made = {}
    for name, schema in SCHEMAS.items():
        parts = found.get(name, [])
        if parts and isinstance(parts[0], pl.DataFrame):
            made[name] = pl.concat(parts)
        else:
            made[name] = pl.DataFrame(parts, schema=schema, orient="row")
    return made


def results(
    fit: Fit,
    division: Division,
    square: np.ndarray,
    profile: np.ndarray,
    sampled: np.ndarray | None = None,
) -> pl.DataFrame:
    """A row an environment, of the errors of samples [n] and of its mean profile [e]."""
    every, of = division.table.every, division.table.environment
    e = len(every.names)
    both = [square, np.full(len(of), np.nan) if sampled is None else sampled]
    mean = by_environment(np.stack(both), of, e)
    columns = {
        "model": [fit.label] * e,
        "seed": [fit.seed] * e,
        "temperature": [fit.temperature] * e,
        "environment": list(every.names),
        "split": division.split.tolist(),
        "n": division.table.count,
        "reconstruction": mean[0],
        "sampled": mean[1],
        "profile_error": profile.astype(np.float64),
    }
    frame = pl.DataFrame(columns, schema=RESULTS)
    return frame.with_columns(pl.selectors.float().fill_nan(None))


def shifts(fit: Fit, division: Division, moves: Moves) -> pl.DataFrame:
    """A row an environment and latent."""
    e, d = moves.shift.shape
    names = np.array(division.table.every.names, object)
    columns = {
        "model": [fit.label] * (e * d),
        "seed": [fit.seed] * (e * d),
        "environment": np.repeat(names, d).tolist(),
        "split": np.repeat(division.split.astype(object), d).tolist(),
        "latent": np.tile(np.arange(1, d + 1), e),
        "shift": moves.shift.astype(np.float64).ravel(),
        "prior_mean": moves.prior_mean.astype(np.float64).ravel(),
        "prior_sd": moves.prior_sd.astype(np.float64).ravel(),
    }
    return pl.DataFrame(columns, schema=SHIFTS)
