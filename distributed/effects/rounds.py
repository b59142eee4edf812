"""Rounds of measuring what a model chooses, replayed: one chunk of work is one seed.

All acquisitions of a seed are played side by side and share its random round 0.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from epistax.distributed.effects import methods
from epistax.distributed.effects.methods import Known
from epistax.distributed.effects.reading import Samples, described, labelled
from epistax.distributed.errors import BadInput
from epistax.distributed.options.effects import EffectsDiscover
from epistax.distributed.plan import Chunk
from epistax.distributed.progress import Progress
from epistax.distributed.report.summaries import spread
from epistax.engine.effectrounds import Arm, Outcome, Protocol, play
from epistax.engine.effects.records import Method

TABLES = ("curve", "chosen")
WHO = {"model": pl.String, "acquisition": pl.String, "seed": pl.Int64, "round": pl.Int64}
CURVE = WHO | {
    "n_measured": pl.Int64,
    "top_200": pl.Int64,
    "probable_200": pl.Int64,
    "measured_top": pl.Int64,
    "rmse": pl.Float64,
}
SMALL, START = 150, {True: 100, False: 500}  # genes, and rows of a round up to and beyond them


@dataclass(frozen=True)
class Rounds:
    """Who chooses what, for how long; the kernel of its chunks."""

    options: EffectsDiscover
    samples: Samples
    known: Known
    acquisitions: tuple[str, ...]
    seeds: tuple[int, ...]
    protocol: Protocol
    progress: Progress

    def __reduce__(self) -> tuple[Any, ...]:
        """What a worker is sent: it has nobody to tell how far it is."""
        own = (self.options, self.samples, self.known, self.acquisitions, self.seeds)
        return quietly, (*own, self.protocol)

    def work(self) -> list[dict[str, Any]]:
        """Seed by seed."""
        return [{"seed": seed} for seed in self.seeds]

    def method(self, n: int) -> Method:
        """The model for so many training rows."""
        config = methods.settings(self.options.model, self.options, self.samples, n)
        return methods.method(config, self.samples.singles, self.known)

    def __call__(self, chunk: Chunk) -> dict[str, pl.DataFrame]:
        """Play the rounds of a seed and write down each."""
        seed, before = chunk.work["seed"], dict[str, np.ndarray]()
        arms = [Arm(name, seed) for name in self.acquisitions]
        curve, chosen = [], [picked(self.samples, {}, np.empty(0, int))]
        for outcomes in play(self.method, self.samples.table, arms, self.protocol):
            for one in outcomes:
                name = one.arm.acquisition
                who = self.who(one)
                curve.append(who | {
                    "n_measured": len(one.measured),
                    "top_200": one.found,
                    "probable_200": one.probable,
                    "measured_top": one.measured_top,
                    "rmse": None if np.isnan(one.rmse) else one.rmse,
                })  # fmt: skip
                fresh = one.measured[len(before.get(name, ())) :]
                chosen.append(picked(self.samples, who, fresh))
                before[name] = one.measured
            found = ", ".join(f"{one.arm.acquisition} {one.found}" for one in outcomes)
            self.progress.note(f"seed {seed}, round {outcomes[0].round}: {found} found")
        frame = pl.DataFrame(curve, schema=CURVE)
        return {"curve": frame, "chosen": pl.concat(chosen)}

    def who(self, one: Outcome) -> dict[str, Any]:
        """The columns that name a round."""
        values = (self.options.model, one.arm.acquisition, one.arm.seed, one.round)
        return dict(zip(WHO, values, strict=True))

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader should know before the run."""
        sizes, q = self.protocol.sizes, len(self.samples.value)
        line = (
            f"{q:,} rows of {self.samples.seen:,} genes; {sizes[0]:,} at random, {sizes[-1]:,} "
            f"after {len(sizes) - 1} rounds; sought are the {self.protocol.top} strongest"
        )
        return (line, *self.known.remarks)


def quietly(*parts: Any) -> Rounds:
    """The kernel in a worker."""
    return Rounds(*parts, Progress("", quiet=True))


def picked(samples: Samples, who: dict[str, Any], rows: np.ndarray) -> pl.DataFrame:
    """Rows that were measured in a round, with their effects."""
    same = {name: pl.Series([who.get(name)] * len(rows), dtype=kind) for name, kind in WHO.items()}
    genes = labelled(samples.names, samples.genes[rows])
    return pl.DataFrame(same | genes | {"effect": samples.value[rows]})


def design(options: EffectsDiscover, samples: Samples, progress: Progress) -> Rounds:
    """Fill in what the user left open. BadInput for what the rows do not allow."""
    start = options.start or START[samples.seen <= SMALL]
    step = options.step or start
    sizes = tuple(start + step * number for number in range(options.rounds + 1))
    q = len(samples.value)
    free = q - int(options.test_share * q)
    if sizes[-1] > free:
        raise BadInput(
            f"--start, --step: {sizes[-1]:,} rows after {options.rounds} rounds, {free:,} of the "
            f"{q:,} can be measured (--test-share {options.test_share:g}); give fewer"
        )
    if options.top >= q:
        raise BadInput(f"--top: {options.top} of {q:,} rows are sought; give fewer")
    usual = ("probability" if options.model == "default" else "mpe", "uniform")
    seeds = options.seed_list or tuple(range(options.seed, options.seed + options.seeds))
    protocol = Protocol(
        sizes,
        members=methods.members(options.model, options.members, 3),
        test=options.test_share,
        top=options.top,
        direction=options.direction,
    )
    acquisitions = tuple(dict.fromkeys(options.acquisition or usual))
    known = methods.read_known(options, samples.names, options.model)
    made = Rounds(options, samples, known, acquisitions, tuple(dict.fromkeys(seeds)), protocol,
                  progress)  # fmt: skip
    made.method(sizes[-1])
    return made


def summary(study: Rounds, curve: pl.DataFrame) -> dict[str, Any]:
    """By acquisition: how many are found after each round, and what a round gains."""
    found = {name: of(curve.filter(pl.col("acquisition") == name)) for name in study.acquisitions}
    return {
        "step": "discover",
        **described(study.samples),
        "model": study.options.model,
        "members": study.protocol.members,
        "seeds": list(study.seeds),
        "n_measured": list(study.protocol.sizes),
        "top": study.protocol.top,
        "direction": study.protocol.direction,
        "test_share": study.protocol.test,
        "acquisitions": found,
    }


def of(curve: pl.DataFrame) -> dict[str, Any]:
    """One acquisition's figures: lists by round, mean and sd over seeds."""
    runs = curve.sort("seed", "round").partition_by("seed", maintain_order=True)
    rounds = runs[0].height - 1
    columns = {
        name: [spread([float(run[name][k]) for run in runs]) for k in range(rounds + 1)]
        for name in ("top_200", "probable_200", "measured_top", "rmse")
        if not curve[name].null_count()
    }
    gains = [(run["top_200"][-1] - run["top_200"][0]) / rounds for run in runs] if rounds else []
    return columns | {"marginal_gain": spread(gains) if gains else None}
