"""What a fit predicts: means of strata under arms with their intervals, and single cells."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from epistax.distributed.errors import BadInput
from epistax.distributed.flags import did_you_mean
from epistax.distributed.formats.h5ad import packed
from epistax.distributed.formats.where import listed, short
from epistax.distributed.options.response import ResponsePredict
from epistax.distributed.response import methods
from epistax.distributed.response.arms import dosed
from epistax.distributed.response.calibration import means
from epistax.distributed.response.stored import Learned
from epistax.engine.response.differential import CONTROL
from epistax.engine.response.records import Design, Method

LARGEST = 2**28  # values of cells that are written
PREDICTIONS = {
    "arm": pl.String,
    "stratum": pl.String,
    "gene": pl.String,
    "control": pl.Float64,
    "predicted": pl.Float64,
    "sd": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "cells": pl.Int64,
    "change": pl.Float64,
}


@dataclass(frozen=True)
class Wanted:
    """Arms and strata that are asked for."""

    names: tuple[str, ...]
    arm: np.ndarray  # int [k], rows of `design.arms`
    stratum: np.ndarray  # int [s]
    design: Design  # with the arms that the fit had not seen behind those it had
    seen: np.ndarray  # int [s, k], cells of each


def read_wanted(options: ResponsePredict, learned: Learned) -> Wanted:
    """What is asked for. BadInput for what the fit cannot tell."""
    arms = np.asarray(learned.design.arms)
    asked = dict.fromkeys(options.to or learned.arms[1:])
    rows = [dosed(text, learned.perturbations, learned.sep, options.control) for text in asked]
    at, more = [], []
    for row in rows:
        known = np.flatnonzero((np.abs(arms - row) < 1e-6).all(1))
        if len(known):
            at.append(int(known[0]))
            continue
        at.append(len(arms) + len(more))
        more.append(row)
    design = Design(np.concatenate([arms, np.reshape(more, (-1, arms.shape[1]))]).astype(
        np.float32), learned.design.strata)  # fmt: skip
    cells = np.concatenate([learned.count.sum(0), np.zeros(len(more), int)])
    told = methods.made_of(learned.config, design, cells)
    for text, place in zip(asked, at, strict=True):
        if not told[place]:
            raise BadInput(
                f"--to: {short(text)} has a perturbation that the fit has not seen alone (it has "
                f"seen {listed([*learned.arms])}), and {learned.model} adds up what it has seen; "
                "fit model graphvci or vci for this"
            )
    stratum = strata(options, learned)
    count = np.concatenate([learned.count, np.zeros((len(learned.strata), len(more)), int)], 1)
    return Wanted(tuple(asked), np.array(at), stratum, design, count[stratum][:, at])


def strata(options: ResponsePredict, learned: Learned) -> np.ndarray:
    """Positions of the strata named; all without any."""
    for name in options.stratum:
        if name not in learned.strata:
            near = did_you_mean(name, learned.strata)
            raise BadInput(
                f"--stratum: {short(name)} is none of the fit{near}; it has "
                f"{listed([*learned.strata])}"
            )
    names = options.stratum or learned.strata
    return np.array([learned.strata.index(name) for name in dict.fromkeys(names)])


def predict(learned: Learned, wanted: Wanted) -> tuple[pl.DataFrame, dict[str, Any]]:
    """A row a stratum, arm and gene, and the summary."""
    method, fits = made(learned, wanted)
    k, s = len(wanted.arm), len(wanted.stratum)
    stratum, arm = np.repeat(wanted.stratum, k), np.tile(wanted.arm, s)
    found, bare = (x.mean(0) for x in means(method, fits, learned.controls, stratum, arm))
    seen = wanted.seen.reshape(-1)
    change, sd, half = found - bare, np.empty(found.shape), np.empty(found.shape)
    for known in (False, True):
        rows, spread = (seen > 0) == known, learned.trust.spread(known)
        sd[rows] = spread.sd(change[rows])
        half[rows] = spread.factor * sd[rows]
    sd[arm == CONTROL] = half[arm == CONTROL] = 0.0
    g = len(learned.genes)
    frame = pl.DataFrame({
        "arm": np.repeat(np.tile(np.array(wanted.names, object), s), g).tolist(),
        "stratum": np.repeat(np.array(learned.strata, object)[stratum], g).tolist(),
        "gene": list(learned.genes) * (k * s),
        "control": learned.control[stratum].ravel(),
        "predicted": found.ravel(),
        "sd": sd.ravel(),
        "low": (found - half).ravel(),
        "high": (found + half).ravel(),
        "cells": np.repeat(seen, g),
        "change": change.ravel(),
    }, schema=PREDICTIONS)  # fmt: skip
    beyond = np.abs(change) > half
    return frame, {
        "step": "predict",
        "model": learned.model,
        "arms": k,
        "strata": s,
        "genes": g,
        "unseen": int((seen == 0).sum()),
        "trusted": bool(learned.trust.seen_factor),
        "changed": float(beyond.mean()),
    }


def made(learned: Learned, wanted: Wanted) -> tuple[Method, Any]:
    """The model and its fits, with the arms that are new to it."""
    method = methods.method(
        learned.config,
        wanted.design,
        learned.graph,
        genes=learned.genes,
        perturbations=learned.perturbations,
    )
    cells = np.zeros(len(wanted.design.arms), int)
    cells[: len(learned.arms)] = learned.count.sum(0)
    return method, methods.extended(learned.config, learned.fits, wanted.design, cells)


def cells_of(learned: Learned, wanted: Wanted) -> bytes:
    """What the control cells that the fit holds would express under each arm, as h5ad."""
    import pandas as pd
    from anndata import AnnData

    (method, fits), own = made(learned, wanted), learned.controls
    rows = np.flatnonzero(np.isin(own.stratum, wanted.stratum))
    n, g = len(rows) * len(wanted.arm), len(learned.genes)
    if n * g > LARGEST:
        raise BadInput(
            f"--cells: {len(rows):,} cells under {len(wanted.arm):,} arms are {n * g:,} values, at "
            f"most {LARGEST:,} are written; name fewer with --to or --stratum"
        )
    part = type(own)(*(np.asarray(x)[rows] for x in own))
    told = [
        np.asarray(method.predict(fits, part, np.full(len(rows), a, np.int32)).mean).mean(0)
        for a in wanted.arm
    ]
    levels = np.array(learned.strata)[np.asarray(part.stratum)]
    index = [f"{row + 1}:{name}" for name in wanted.names for row in learned.rows[rows]]
    obs = pd.DataFrame({
        "cell": np.tile(learned.rows[rows] + 1, len(told)),
        "stratum": pd.Categorical(np.tile(levels, len(told))),
        "perturbation": pd.Categorical(np.repeat(wanted.names, len(rows))),
    }, index=index)  # fmt: skip
    var = pd.DataFrame(index=list(learned.genes))
    data = AnnData(np.concatenate(told), obs=obs, var=var, uns={"values": "log"})
    return packed(data)
