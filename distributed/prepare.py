"""From a screen as read to a screen as tested: log2, centring, whitening, classes and units.

Everything that is chosen for the user or worth knowing goes into `remarks` (said at the start)
and `facts` (kept in run.json).
"""

from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from epistax.distributed import hints
from epistax.distributed.errors import BadInput
from epistax.distributed.formats.screentable import ScreenTable
from epistax.distributed.formats.where import listed
from epistax.distributed.options import Score
from epistax.distributed.options.score import CRITIC
from epistax.engine import screen as screens
from epistax.engine.interaction import nearest
from epistax.engine.interaction.nearest import Space
from epistax.engine.screen import Screen
from epistax.engine.stats import maineffects, normalise

REMEDY = "name it with --control, or choose --center fit for a screen of doubles alone"
SAMPLE = 400  # residuals that stand for a single; five times as many for the control
AGAINST = ("knn", "latent", *CRITIC)  # tests that compare every class with the control
VECTORS = (
    "additive",
    "mmd",
    "cosine",
    "severity",
    "knn",
    "latent",
)  # tests that pixels tell nothing to
CROWDED = 20  # perturbations below which a fit of main effects has little to go by


@dataclass(frozen=True)
class Prepared:
    """A screen ready to be tested."""

    names: tuple[str, ...]
    features: tuple[str, ...]
    screen: Screen
    residual: bool  # observations are residuals of a fit of main effects
    image: tuple[int, int, int] | None = None  # what an observation is, where it is no vector
    near: Space | None = None  # the same as nearest neighbours are looked for in, where they are
    remarks: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


def prepare(table: ScreenTable, options: Score) -> Prepared:
    """The screen under the options; BadInput where they cannot be kept."""
    source, p = options.data, len(table.names)
    control = table.codes[:, 1] < 0
    center = options.center or ("batch" if table.batch is not None and control.any() else "none")
    if not (table.codes[:, 0] >= 0).any():
        raise BadInput(
            f"{source}: no observation carries two perturbations; score needs doubles, labelled "
            f"such as {table.names[0]}{options.sep}{table.names[-1]}, or two --label-col"
            f"{hints.separator(table.names, options.sep)}"
        )
    if center != "fit" and not control.any():
        raise BadInput(
            f"{source}: no observation is a control; {REMEDY}{hints.control(table.names)}"
        )
    against = [name for name in options.test if name.partition(":")[0] in AGAINST]
    if center == "fit" and against:
        raise BadInput(
            f"--test: {against[0]!r} compares classes with controls, which --center "
            "fit is without; choose additive or mmd"
        )
    if center == "fit" and options.embed != "none":
        raise BadInput(
            f"--embed: {options.embed!r} is centred on controls, which --center fit is without; "
            "drop one"
        )
    plain = [name for name in options.test or ("additive",) if name.partition(":")[0] in VECTORS]
    if table.image is not None and options.embed == "none" and plain:
        raise BadInput(
            f"{source}: images need --embed classifier, or --test kl; {plain[0]} compares vectors"
        )
    remarks: list[str] = []
    x = logarithm(table, source) if options.log2 else table.x
    well = units(table, options)
    batch = np.zeros(len(x), np.int32) if table.batch is None else table.batch
    whiten = options.whiten or options.embed != "none"
    facts: dict[str, Any] = {"center": center, "whiten": whiten, "log2": options.log2}
    facts["units"] = "observations" if well is None else "wells"
    if center == "batch":
        x = by_control(x, control, batch, table.batches, source)
    elif center == "fit":
        x = residual(table, x, batch, facts, remarks)
    if options.whiten and options.embed == "none":
        x = whitened(table, x, control, batch, center == "fit", source)
    if center == "fit":
        screen = screens.marginal(x, table.codes, p=p, well=well, most=SAMPLE, seed=options.seed)
    else:
        x = x - x.mean(axis=0, dtype=np.float64).astype(x.dtype)  # small numbers round less
        screen = screens.screen(x, table.codes, p=p, well=well)
    if not (screen.units > 1).any():
        raise BadInput(
            f"{source}: every perturbation stands in one well, so nothing says how wells differ; "
            "add wells, or choose --units observations to take observations as independent"
        )
    fitted, embedded = center == "fit", options.embed != "none"
    return Prepared(
        table.names,
        table.features,
        screen,
        fitted,
        None if embedded else table.image,
        None if embedded else space(screen, options, facts, remarks),
        remarks,
        facts,
    )


def neighbourly(options: Score) -> list[str]:
    """The tests asked for that look for nearest neighbours."""
    return [name for name in options.test if name.partition(":")[0] == "knn"]


def space(
    screen: Screen, options: Score, facts: dict[str, Any], remarks: list[str]
) -> Space | None:
    """What the knn tests measure distances in, where one is asked for."""
    if not neighbourly(options):
        return None
    near = nearest.space(jax.random.key(options.seed), screen)
    used = near.screen.x.shape[1]
    facts["knn"] = {"features": near.features, "used": used, "share": near.share}
    if used < near.features:
        remarks.append(
            f"knn: {near.features:,} features are projected onto their {used} leading principal "
            f"components, {near.share:.0%} of the variance"
        )
    return near


def units(table: ScreenTable, options: Score) -> np.ndarray | None:
    """The wells, unless the user or the data say otherwise."""
    if options.units == "wells" and table.well is None:
        raise BadInput(f"--units: 'wells', but {options.data} has no well; name it by --well-col")
    return None if options.units == "observations" else table.well


def logarithm(table: ScreenTable, source: str) -> np.ndarray:
    """Log2 of every feature; all must be positive."""
    low = table.x <= 0
    if low.any():
        bad = int(np.flatnonzero(low.any(axis=0))[0])
        value = table.x[low[:, bad], bad][0]
        count = int(low[:, bad].sum())
        raise BadInput(
            f"{source}: feature {table.features[bad]!r} is {value:g} in {count:,} observations, "
            "which has no log2; leave it out with --features or drop --log2"
        )
    return np.log2(table.x.astype(np.float64)).astype(table.x.dtype)


def by_control(
    x: np.ndarray, control: np.ndarray, batch: np.ndarray, names: tuple[str, ...], source: str
) -> np.ndarray:
    """Each batch's control mean subtracted."""
    bare = np.setdiff1d(batch, batch[control])
    if len(bare):
        shown = listed([names[int(k)] if names else "(the only one)" for k in bare[:6]], len(bare))
        raise BadInput(
            f"{source}: {len(bare):,} of {len(np.unique(batch)):,} batches have no control to "
            f"centre on: {shown}; choose --center none, or another --batch-col"
        )
    return normalise.subtract_control(x, control, batch)


def residual(
    table: ScreenTable,
    x: np.ndarray,
    batch: np.ndarray,
    facts: dict[str, Any],
    remarks: list[str],
) -> np.ndarray:
    """Residuals of batch and main effects; those of a side count apart where sides are known."""
    sides = table.codes if table.sides is None else table.sides
    fitted, info = maineffects.residuals(
        x,
        np.asarray(sides, np.int32),
        np.asarray(batch, np.int32),
        p=int(sides.max()) + 1,
        batches=int(batch.max()) + 1,
        tied=table.sides is None,
    )
    facts["fit"] = {name: value.item() for name, value in info.items()}
    remarks.append(
        f"main effects of {int(sides.max()) + 1:,} reagents and {int(batch.max()) + 1:,} batches "
        f"fitted; {facts['fit']['clipped']:.1%} of the values lie beyond the fit's reach"
    )
    if not facts["fit"]["converged"]:
        remarks.append(f"the fit stopped after {facts['fit']['sweeps']} sweeps, not converged")
    if facts["fit"]["alone"]:
        remarks.append(
            f"{facts['fit']['alone']:,} observations stand alone in their batch or with their "
            "reagent: their residual is 0 whatever the interaction"
        )
    if len(table.names) < CROWDED:
        remarks.append(
            f"{len(table.names)} perturbations are few for a fit: an interaction of one pair "
            "counts much in the main effects of its members"
        )
    return np.asarray(fitted)


def whitened(
    table: ScreenTable,
    x: np.ndarray,
    control: np.ndarray,
    batch: np.ndarray,
    residual: bool,
    source: str,
) -> np.ndarray:
    """Features of unit covariance within controls of a batch, or within pairs for residuals."""
    if residual:
        rows = np.flatnonzero(table.codes[:, 0] >= 0)
        first, second = table.codes[rows].astype(np.int64).T
        group = first * len(table.names) + second
        if len(np.unique(group)) == len(group):  # no pair is repeated
            group = np.zeros(len(rows), int)
    else:
        rows = np.flatnonzero(control)
        group = batch[rows]
    still = [table.features[k] for k in np.flatnonzero(normalise.constant(x[rows], group))]
    if still:
        raise BadInput(
            f"{source}: --whiten: {listed([repr(name) for name in still])} does not vary among "
            f"the {len(rows):,} observations of reference; leave it out with --features"
        )
    matrix = normalise.whitening(x[rows], group)
    return (x @ matrix).astype(x.dtype)
