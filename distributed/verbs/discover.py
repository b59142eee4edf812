"""`epistax discover PAIRS`: replay the choice of pairs on a measured table, policy by policy.

One chunk of work is one policy and seed: round 0 measures a random batch that all policies of
the seed share, every further round fits the belief to what is measured and picks a batch.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import polars as pl

from epistax.distributed.backends import backend
from epistax.distributed.driver import execute
from epistax.distributed.formats.relations import Relations, read_relations
from epistax.distributed.formats.tables import read_pairs
from epistax.distributed.options import Discover
from epistax.distributed.plan import Chunk, Plan
from epistax.distributed.pool import Pool, pool
from epistax.distributed.progress import Progress
from epistax.distributed.report import curves, summaries
from epistax.distributed.rundir import RunDir
from epistax.distributed.store import Store
from epistax.distributed.study import Study, design
from epistax.engine import rounds
from epistax.engine.policy import catalogue as policies
from epistax.engine.posterior.ignorant import IGNORANT
from epistax.engine.protocols import Posterior
from epistax.engine.stats import metrics

TABLES = ("curve", "known", "chosen")
describe = summaries.describe


def run(options: Discover) -> dict[str, Any]:
    """Read, plan, replay, summarise. Nothing is written before the input has been found good."""
    table = read_pairs(
        options.pairs,
        columns=options.columns,
        control=options.control,
        sep=options.sep,
        test=options.test,
    )
    study = design(options, pool(table, options.reward, source=options.pairs))
    relations = known_pairs(options.known, study.pool)
    with RunDir.open(options, inputs=[options.pairs, *options.known]) as directory:
        if directory.finished:
            return directory.summary
        directory.note(**study.facts())
        plan = Plan.of(directory.key, study.work())
        store = Store(directory.folder("shards"), tables=TABLES)
        begun = time.monotonic()
        with Progress("discover", quiet=options.quiet) as progress:
            for line in study.remarks():
                progress.say(line)
            kernel = Replay(study, relations, study.posterior(), progress)
            runner = backend(options.executor, options.workers)
            execute(plan, kernel, store, backend=runner, progress=progress)
        frames = {name: store.read(plan, name) for name in TABLES}
        for name, frame in frames.items():
            directory.write_table(name, frame)
        summary = summaries.of_discovery(study, frames, relations, census=table.census)
        directory.note(seconds=round(time.monotonic() - begun, 1))
        figures = curves.draw(directory.folder("figures"), study, frames, relations)
        return directory.finish(summary | {"figures": figures})


def known_pairs(paths: tuple[str, ...], data: Pool) -> dict[str, tuple[Relations, np.ndarray]]:
    """Each relation file by its stem, numbered where stems repeat: what it holds of the pool."""
    found: dict[str, tuple[Relations, np.ndarray]] = {}
    p = len(data.names)
    code = data.pairs.i.astype(np.int64) * p + data.pairs.j
    for path in paths:
        relations = read_relations(path, data.names, measured=data.pairs)
        stem = path.rsplit("/", 1)[-1].split(".")[0]
        name = stem if stem not in found else f"{stem}-{len(found) + 1}"
        inside = np.isin(code, relations.i.astype(np.int64) * p + relations.j)
        found[name] = (relations, inside)
    return found


@dataclass(frozen=True)
class Replay:
    """The kernel of a chunk: one run of one policy, as three tables."""

    study: Study
    relations: Mapping[str, tuple[Relations, np.ndarray]]
    belief: Posterior  # one for all runs, which so share what is compiled
    progress: Progress

    def __call__(self, chunk: Chunk) -> dict[str, pl.DataFrame]:
        """Play the rounds and write down each."""
        name, seed = chunk.work["policy"], chunk.work["seed"]
        data, study = self.pool, self.study
        measured, history = np.zeros(len(data.score), bool), []
        curve: list[dict[str, Any]] = []
        known: list[dict[str, Any]] = []
        who = {"policy": name, "seed": seed}
        any_known = np.zeros(len(measured), bool)
        for _, inside in self.relations.values():
            any_known |= inside
        for played in self.play(name, seed):
            measured[played.chosen] = True
            history.append(played)
            at = who | {"round": played.number, "n_measured": int(measured.sum())}
            found = metrics.recall(measured, study.wanted)
            hits = int((measured & any_known).sum()) if self.relations else None
            curve.append(at | {"top_fraction": found, "regret": 0.0, "known_found": hits})
            for relation, (_, inside) in self.relations.items():
                known.append(
                    at | {"relation": relation, **metrics.known(measured, inside)._asdict()}
                )
            left = f"round {played.number} of {study.rounds}"
            self.progress.note(f"{name}, seed {seed}: {left}, {found:.1%} of the top found")
        lost = metrics.regret(data.reward, [played.chosen for played in history])
        for row, value in zip(curve, lost, strict=True):
            row["regret"] = float(value)
        return {
            "curve": pl.DataFrame(curve, schema=CURVE),
            "known": pl.DataFrame(known, schema=KNOWN),
            "chosen": self.chosen(who, history),
        }

    @property
    def pool(self) -> Pool:
        """The study's pairs."""
        return self.study.pool

    def play(self, name: str, seed: int) -> Iterator[rounds.Round]:
        """The rounds of one run; only `measure` can reach a score."""
        data, study = self.pool, self.study
        k_first, k_rounds = jax.random.split(jax.random.key(seed))
        first = rounds.shared_first(k_first, len(data.score), study.batch)
        return rounds.campaign(
            k_rounds,
            IGNORANT if name == "random" else self.belief,
            policies.policy(name, study.settings, p=len(data.names)),
            data.pairs,
            lambda chosen: (data.score[chosen], data.se[chosen]),
            batch=study.batch,
            rounds=study.rounds,
            first=np.asarray(first),
        )

    def chosen(self, who: dict[str, Any], history: list[rounds.Round]) -> pl.DataFrame:
        """Every measured pair in the order of choice, with its reward and acquisition value."""
        data = self.pool
        at = np.concatenate([played.chosen for played in history])
        names = np.array(data.names)
        return pl.DataFrame(
            {
                "policy": [who["policy"]] * len(at),
                "seed": [who["seed"]] * len(at),
                "round": np.repeat(
                    [played.number for played in history], [len(h.chosen) for h in history]
                ),
                "a": names[data.pairs.i[at]],
                "b": names[data.pairs.j[at]],
                "reward": data.reward[at],
                "acquisition": np.concatenate([played.value for played in history]),
            },
            schema=CHOSEN,
        )


WHO = {"policy": pl.String, "seed": pl.Int64, "round": pl.Int64}
CURVE = WHO | {
    "n_measured": pl.Int64,
    "top_fraction": pl.Float64,
    "regret": pl.Float64,
    "known_found": pl.Int64,
}
KNOWN = WHO | {
    "n_measured": pl.Int64,
    "relation": pl.String,
    "found": pl.Int64,
    "total": pl.Int64,
    "expected": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
}
CHOSEN = WHO | {"a": pl.String, "b": pl.String, "reward": pl.Float64, "acquisition": pl.Float32}
