"""Mean profiles of environments by a fit: of those it has seen, and of new vectors.

A profile is that of reference samples whose latents are moved from the prior of the reference to
that of the environment ("Towards Learning Cell Causal-Embeddings", section 4.6).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from epistax.distributed.causal import methods, moving, vectors
from epistax.distributed.causal.coding import Coding, environments, nearest, number
from epistax.distributed.causal.covariates import cleaned
from epistax.distributed.causal.observed import Observed
from epistax.distributed.causal.reading import controls, read_labels
from epistax.distributed.causal.stored import Learned
from epistax.distributed.errors import BadInput
from epistax.distributed.flags import did_you_mean
from epistax.distributed.formats import npz
from epistax.distributed.formats.anndata import is_hdf5, is_zarr
from epistax.distributed.formats.side import read_rows
from epistax.distributed.formats.where import Where, listed, short
from epistax.distributed.options.causal import CausalPredict
from epistax.engine.causal import scaling

PREDICTIONS = {
    "environment": pl.String,
    "feature": pl.String,
    "predicted": pl.Float64,
    "sd": pl.Float64,
    "control": pl.Float64,
    "change": pl.Float64,
}
ENVIRONMENTS = {
    "environment": pl.String,
    "seen": pl.Boolean,
    "member": pl.Int64,
    "latent": pl.Int64,
    "prior_mean": pl.Float64,
    "prior_sd": pl.Float64,
    "moves": pl.Boolean,
}
SMILES = "smiles"


class Wanted(NamedTuple):
    """Environments that are asked for."""

    names: tuple[str, ...]
    vectors: np.ndarray  # float32 [k, v]
    seen: np.ndarray  # bool [k], trained on


def read_wanted(options: CausalPredict, learned: Learned) -> Wanted:
    """What is asked for. BadInput for what the fit cannot tell."""
    if options.environments is None:
        return known(options.to or learned.every.names, learned)
    new = read_new(options.environments, options, learned)
    if not options.to:
        return new
    seen = known(options.to, learned)
    vectors_of, trained = (np.concatenate(both) for both in zip(seen[1:], new[1:], strict=True))
    return Wanted(seen.names + new.names, vectors_of, trained)


def known(names: Sequence[str], learned: Learned) -> Wanted:
    """Environments of the fit."""
    place = {name: k for k, name in enumerate(learned.every.names)}
    for name in names:
        if name not in place:
            near = did_you_mean(name, place)
            raise BadInput(
                f"--to: {short(name)} is no environment of the fit{near}; it has "
                f"{listed([*place])}; give what is new with --environments"
            )
    rows = np.array([place[name] for name in dict.fromkeys(names)], int)
    own = tuple(learned.every.names[k] for k in rows)
    return Wanted(own, learned.every.vectors[rows], learned.trained[rows])


def read_new(path: str, options: CausalPredict, learned: Learned) -> Wanted:
    """The environments of a file, by their vectors."""
    beside = tuple(one.name for one in learned.coding.covariates)
    if is_hdf5(path) or is_zarr(path) or path.endswith(".npz") or npz.names(path):
        found, control, _, _ = read_labels(path, options, beside)
    else:
        found = of_table(path, options, learned)
        control = controls(found, options)
    names = sorted(set(found.label.filter(pl.Series(~control))))
    table = own_vectors(path, found, control, names, options, learned.coding)
    coding = learned.coding._replace(names=tuple(names), table=table)
    every, _ = environments(found, coding, control)
    trained = learned.every.vectors[learned.trained]
    seen = [bool((row[None, :] == trained).all(1).any()) for row in every.vectors]
    return Wanted(every.names, every.vectors, np.array(seen))


def of_table(path: str, options: CausalPredict, learned: Learned) -> Observed:
    """A table with a row an environment, as samples are observed."""
    beside = [one.name for one in learned.coding.covariates]
    text = options.smiles_col or SMILES
    found = read_rows(path, keep=(*beside, text))
    lacking = [name for name in beside if name not in found.kept]
    if lacking:
        raise BadInput(
            f"{path}: has no column {lacking[0]!r}, which is a covariate of the fit; it needs "
            f"{', '.join(beside)}"
        )
    if options.smiles_col is not None and text not in found.kept:
        raise BadInput(f"{path}: has no column {text!r} (--smiles-col)")
    label = cleaned(found.label)
    bad = np.flatnonzero(label.is_null().to_numpy())
    where = Where(path, found.label.name)
    if len(bad):
        raise where.fault(bad, found.label[int(bad[0])] or "", "is no name", "name each row")
    numbered = learned.coding.kind.startswith("SMILES") and text in found.kept
    return Observed(
        where=where,
        label=label,
        x=np.zeros((len(label), 0), np.float32),
        vectors=found.values.astype(np.float32) if found.columns and not numbered else None,
        kind="its columns of numbers",
        covariates={name: cleaned(found.kept[name]) for name in beside},
        smiles=cleaned(found.kept[text].alias(text)) if numbered else None,
    )


def own_vectors(
    path: str,
    found: Observed,
    control: np.ndarray,
    names: Sequence[str],
    options: CausalPredict,
    coding: Coding,
) -> np.ndarray:
    """The vectors of perturbations, those of the fit where the file has none. BadInput for gaps."""
    of, width = number(found.label, control, names), coding.table.shape[1]
    if found.smiles is not None:
        table = vectors.of_smiles(found.smiles, of, names, found.where)
    elif options.vectors is not None:
        table = vectors.of_table(options.vectors, names)
    elif found.vectors is not None and coding.kind not in vectors.MADE_UP:
        table = vectors.of_samples(found, of, names)
    else:
        table = np.full((len(names), width), np.nan, np.float32)
    if table.shape[1] != width:
        raise BadInput(
            f"{path}: its vectors have {table.shape[1]:,} numbers, those of the fit {width:,} "
            f"({coding.kind}); give vectors of the same kind"
        )
    place = {name: k for k, name in enumerate(coding.names)}
    for k, name in enumerate(names):
        if np.isnan(table[k]).any() and name in place:
            table[k] = coding.table[place[name]]
    vectors.check(table, names, path, coding.kind)
    return table


def predict(learned: Learned, wanted: Wanted) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, Any]]:
    """Profiles in the features' own units, the priors of the latents, the summary."""
    method = methods.method(learned.model, learned.config)
    base, width = learned.every.vectors[learned.base], learned.coding.table.shape[1]
    starts = [*learned.starts]
    told = moving.profiles(method, learned.fits, wanted.vectors, starts, base, width)
    bare = moving.profiles(method, learned.fits, base, starts, base, width)
    first = np.array([rows[0] for rows in nearest(wanted.vectors, base, width)], int)
    spread = np.ones(len(learned.features)) if learned.scale is None else learned.scale.spread
    mean, still = told.mean.mean(0), bare.mean.mean(0)[first]
    k, g = mean.shape
    at = np.repeat(np.arange(k), g)
    frame = pl.DataFrame({
        "environment": pl.Series(wanted.names, dtype=pl.String).gather(at),
        "feature": pl.Series(learned.features, dtype=pl.String).gather(np.tile(np.arange(g), k)),
        "predicted": restored(learned, mean).astype(np.float64).ravel(),
        "sd": (np.sqrt((told.sd**2).mean(0)) * spread[None, :]).astype(np.float64).ravel(),
        "control": learned.measured[first].ravel(),
        "change": ((mean - still) * spread[None, :]).astype(np.float64).ravel(),
    }, schema=PREDICTIONS)  # fmt: skip
    summary = {
        "step": "predict",
        "model": learned.model,
        "environments": k,
        "features": g,
        "unseen": int((~wanted.seen).sum()),
        "base": [learned.every.names[e] for e in learned.base],
    }
    return frame, priors(learned, wanted, first), summary


def restored(learned: Learned, x: np.ndarray) -> np.ndarray:
    """Scaled features in their own units."""
    return x if learned.scale is None else np.asarray(scaling.restored(learned.scale, x))


def priors(learned: Learned, wanted: Wanted, first: np.ndarray) -> pl.DataFrame:
    """A row an environment, member and latent; `moves`: it is the one that is moved most."""
    method = methods.method(learned.model, learned.config)
    every, base = (
        method.prior(learned.fits, v)
        for v in (wanted.vectors, learned.every.vectors[learned.base][first])
    )
    mean, sd = np.asarray(every.mean, np.float64), np.exp(np.asarray(every.log_sd, np.float64))
    away = np.abs(mean - np.asarray(base.mean)) / np.exp(np.asarray(base.log_sd))
    most = (away == away.max(2, keepdims=True)) & (away > 0)
    m, k, d = mean.shape
    order = (1, 0, 2)
    names = pl.Series(wanted.names, dtype=pl.String)
    at = np.repeat(np.arange(k), m * d)
    return pl.DataFrame({
        "environment": names.gather(at),
        "seen": wanted.seen[at],
        "member": np.tile(np.repeat(np.arange(1, m + 1), d), k),
        "latent": np.tile(np.arange(1, d + 1), k * m),
        "prior_mean": mean.transpose(order).ravel(),
        "prior_sd": sd.transpose(order).ravel(),
        "moves": most.transpose(order).ravel(),
    }, schema=ENVIRONMENTS)  # fmt: skip
