"""What a finished run says of combinations, whatever verb made it: the record that files are of."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from scipy.special import ndtri

from epistax.distributed.effects import stored
from epistax.distributed.errors import BadInput
from epistax.distributed.formats.combined import Combined, members
from epistax.distributed.formats.sheets import open_sheet
from epistax.distributed.formats.where import listed
from epistax.distributed.record import sha256
from epistax.distributed.report.sections.runs import Run

HALF = float(ndtri(0.95))  # sds from the middle of a 90 % interval to its ends


def combined(run: Run, test: str | None) -> Combined:
    """The combinations of a run of score, rank or effects. BadInput for what it does not have."""
    if test is not None and run.verb not in ("score", "rank"):
        raise BadInput(f"--test: a run of {run.verb} has no tests; leave it out")
    found = READERS[run.verb](run, test)
    if not len(found.score):
        raise BadInput(f"{run.path}: has no combination with a number; there is nothing to write")
    return found


def table(run: Run, name: str) -> pl.DataFrame:
    """All of NAME.parquet."""
    path = run.path / f"{name}.parquet"
    if not path.exists():
        raise BadInput(f"{path}: no such file; the run is not whole, run {run.verb} again")
    frame = open_sheet(path).frame
    assert frame is not None  # it is parquet
    return frame


def fit_of(run: Run) -> Path:
    """The run directory of the fit that a prediction has asked. BadInput where it is no more."""
    folder = Path(str(run.record["options"]["directory"]))
    if not (folder / stored.NAME).is_file():
        raise BadInput(
            f"{run.path}: its fit {folder} is not there; run export where {run.verb} was run, with"
            " the fit in its place"
        )
    if not was_read(run, folder / stored.NAME):
        raise BadInput(f"{folder}: is another fit than {run.verb} has asked; run {run.verb} again")
    return folder


def was_read(run: Run, path: Path) -> bool:
    """Whether a file has the content that the run read."""
    return sha256(path) in {entry["sha256"] for entry in run.record["inputs"]}


def of_score(run: Run, test: str | None) -> Combined:
    """The score of each pair by one test."""
    frame = one(table(run, "scores"), "test", test)
    have = frame.filter(pl.col("score").is_not_null())
    p, q = (have[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in ("p_value",
            "q_value"))  # fmt: skip
    return Combined(members(have), have["score"].to_numpy(), p, q, np.full(len(p), np.nan),
                    have["n_ab"].to_numpy(), signed=False,
                    lacking=frame.height - have.height)  # fmt: skip


def of_rank(run: Run, test: str | None) -> Combined:
    """The measure of each pair that was kept."""
    frame = one(table(run, "ranked"), "measure", test)
    return untested(frame, frame["exact"])


def of_effects(run: Run, test: None) -> Combined:
    """The measured effects that a fit has learned from."""
    learned, frame = stored.read(run.path), table(run, "heldout")
    return replace(untested(frame, frame["effect"]), singles=singles_of(learned))


def of_predictions(run: Run, test: None) -> Combined:
    """Predicted effects, the spread of each by the width of its interval."""
    learned, frame = stored.read(fit_of(run)), table(run, "predictions")
    sd = (frame["high"] - frame["low"]).to_numpy() / (2 * HALF)
    return replace(untested(frame, frame["predicted"]), sd=sd, singles=singles_of(learned))


def singles_of(learned: stored.Learned) -> dict[str, float]:
    """Every gene's effect alone."""
    return dict(zip(learned.names, learned.singles.astype(float).tolist(), strict=True))


def untested(frame: pl.DataFrame, score: pl.Series) -> Combined:
    """Combinations without p-values."""
    none = np.full(frame.height, np.nan)
    return Combined(members(frame), score.to_numpy().astype(float), none, none, none,
                    np.ones(frame.height, np.int64), signed=True)  # fmt: skip


def one(frame: pl.DataFrame, column: str, wanted: str | None) -> pl.DataFrame:
    """The rows of one test or measure."""
    held = frame[column].unique(maintain_order=True).to_list()
    if wanted is None and len(held) > 1:
        raise BadInput(f"--test: the run has the {column}s {listed(held)}; choose one")
    if wanted is not None and wanted not in held:
        raise BadInput(f"--test: the run has no {column} {wanted!r}; it has {listed(held)}")
    return frame.filter(pl.col(column) == (wanted or held[0]))


def genes(found: Combined) -> Combined:
    """The single effects in place of combinations, each with the rows that hold its gene."""
    held = {name: 0 for name in found.singles}
    for row in found.members:
        for name in set(row):
            held[name] += 1
    none = np.full(len(held), np.nan)
    return Combined(tuple((name,) for name in held), np.array([*found.singles.values()]), none,
                    none, none, np.array([*held.values()]), signed=True)  # fmt: skip


READERS: dict[str, Callable[[Run, str | None], Combined]] = {
    "score": of_score,
    "rank": of_rank,
    "effects fit": of_effects,
    "effects predict": of_predictions,
}
