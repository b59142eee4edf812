"""What `rank` compares: the single perturbations of a screen and its control, made ready."""

import numpy as np

from epistax.distributed import hints
from epistax.distributed.errors import BadInput
from epistax.distributed.formats.screentable import ScreenTable
from epistax.distributed.formats.where import listed
from epistax.distributed.options import Rank, Score
from epistax.distributed.prepare import Prepared, by_control, logarithm, units, whitened
from epistax.engine import screen as screens

CONTROL = 4096  # observations of the control at most: every perturbation is compared with all
LEAST = {"mmd": 2, "cosine": 1, "additive": 1}  # observations below which a single says nothing


def prepare(table: ScreenTable, options: Rank) -> Prepared:
    """The screen under the options; BadInput where nothing can be ranked."""
    source, p = options.data, len(table.names)
    single = (table.codes[:, 0] < 0) & (table.codes[:, 1] >= 0)
    control = table.codes[:, 1] < 0
    count = np.bincount(table.codes[single, 1], minlength=p)
    refuse(table, options, count)
    remarks, rows = [], None
    if control.sum() > CONTROL:
        which = np.random.default_rng(options.seed).permutation(np.flatnonzero(control))[CONTROL:]
        rows = np.setdiff1d(np.arange(len(table.x)), which)
        remarks.append(f"{CONTROL:,} of {control.sum():,} observations of the control are used")
    x = logarithm(table, source) if options.log2 else table.x
    well = units(table, scoring(options))
    batch = np.zeros(len(x), np.int32) if table.batch is None else table.batch
    center = options.center or ("none" if table.batch is None else "batch")
    if center == "batch":
        x = by_control(x, control, batch, table.batches, source)
    if options.whiten:
        x = whitened(table, x, control, batch, False, source)
    x = x - x.mean(axis=0, dtype=np.float64).astype(x.dtype)  # small numbers round less
    codes = table.codes
    if rows is not None:
        x, codes, well = x[rows], codes[rows], None if well is None else well[rows]
    held = screens.screen(x, codes, p=p, well=well)
    facts = {"center": center, "whiten": options.whiten, "log2": options.log2}
    facts["units"] = "observations" if well is None else "wells"
    for least in sorted({LEAST[family(name)] for name in measures(options)}):
        lacking = [table.names[k] for k in np.flatnonzero(count < least)]
        if lacking:
            why = "no observation alone" if least == 1 else "fewer than 2 observations alone (mmd)"
            shown = listed(lacking[:5], len(lacking))
            remarks.append(f"left out: {len(lacking):,} perturbations with {why}: {shown}")
    return Prepared(table.names, table.features, held, False, remarks=remarks, facts=facts)


def refuse(table: ScreenTable, options: Rank, count: np.ndarray) -> None:
    """What cannot be ranked; count has the observations of every perturbation alone."""
    source = options.data
    if table.image is not None:
        raise BadInput(f"{source}: holds images; rank compares vectors: embed them first")
    have = int((count > 0).sum())
    if have < 2:
        raise BadInput(
            f"{source}: {have} of {len(count):,} perturbations were measured alone; rank compares "
            "single perturbations and needs at least two"
        )
    if not (table.codes[:, 1] < 0).any():
        raise BadInput(
            f"{source}: no observation is a control, which effects are measured from; "
            f"name it with --control{hints.control(table.names)}"
        )
    least = max(LEAST[family(name)] for name in measures(options))
    if (count >= least).sum() < 2:
        raise BadInput(
            f"{source}: {int((count >= 2).sum())} perturbations have two observations alone, and "
            "mmd compares distributions; choose --measure cosine or additive"
        )


def measures(options: Rank) -> tuple[str, ...]:
    """The measures asked for, each once."""
    return tuple(dict.fromkeys(options.measure or ("mmd",)))


def family(name: str) -> str:
    """The part before the colon."""
    return name.partition(":")[0]


def scoring(options: Rank) -> Score:
    """What score would be asked for the doubles."""
    shared = ("data", "out", "seed", "kernel", "bandwidth", "units")
    given = {name: getattr(options, name) for name in shared}
    return Score(**given, test=options.test or ("additive", "mmd"))
