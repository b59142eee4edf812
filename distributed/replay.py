"""The kernel of `discover`: one chunk of work is one run of one policy with one seed.

Round 0 measures a random batch that all policies of the seed share, every further round fits the
belief to what is measured and picks a batch.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
import polars as pl

from epistax.distributed.formats.relations import Relations
from epistax.distributed.plan import Chunk
from epistax.distributed.pool import Pool
from epistax.distributed.progress import Progress
from epistax.distributed.study import Study
from epistax.engine import rounds
from epistax.engine.policy import catalogue as policies
from epistax.engine.policy.wanted import wanted as draws_of
from epistax.engine.posterior.ignorant import IGNORANT
from epistax.engine.posterior.pieces import Fan, here
from epistax.engine.protocols import Posterior
from epistax.engine.stats import metrics

TABLES = ("curve", "known", "chosen")
WHO = {"policy": pl.String, "seed": pl.Int64, "round": pl.Int64}
CURVE = WHO | {
    "n_measured": pl.Int64,
    "top_fraction": pl.Float64,
    "regret": pl.Float64,
    "known_found": pl.Int64,
    "true_top_fraction": pl.Float64,
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


@dataclass(frozen=True)
class Replay:
    """The kernel of a chunk: one run of one policy, as three tables."""

    study: Study
    relations: Mapping[str, tuple[Relations, np.ndarray]]
    progress: Progress
    fan: Fan = here  # who draws
    beliefs: dict[Any, Posterior] = field(default_factory=dict)  # one a setting: compiled once

    def __reduce__(self) -> tuple[Any, ...]:
        """What a worker is sent."""
        return afar, (self.study, self.relations)

    def __call__(self, chunk: Chunk) -> dict[str, pl.DataFrame]:
        """Play the rounds and write down each."""
        name, seed = chunk.work["policy"], chunk.work["seed"]
        study = self.study.tuned(chunk.work.get("setting", {}))
        data, wanted = study.pool, study.wanted
        measured, history = np.zeros(len(data.score), bool), []
        curve: list[dict[str, Any]] = []
        known: list[dict[str, Any]] = []
        who = {"policy": name, "seed": seed}
        any_known = np.zeros(len(measured), bool)
        for _, inside in self.relations.values():
            any_known |= inside
        for played in self.play(study, name, seed):
            measured[played.chosen] = True
            history.append(played)
            at = who | {"round": played.number, "n_measured": int(measured.sum())}
            found = metrics.recall(measured, wanted)
            hits = int((measured & any_known).sum()) if self.relations else None
            truly = None if study.truth is None else metrics.recall(measured, study.truly_wanted)
            row = {"top_fraction": found, "known_found": hits, "true_top_fraction": truly}
            curve.append(at | row)
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
            "chosen": chosen(data, who, history),
        }

    def play(self, study: Study, name: str, seed: int) -> Iterator[rounds.Round]:
        """The rounds of one run; only `measure` can reach a score."""
        data = study.pool
        k_first, k_rounds = jax.random.split(jax.random.key(seed))
        first = rounds.shared_first(k_first, len(data.score), study.batch)
        return rounds.campaign(
            k_rounds,
            IGNORANT if name == "random" else self.belief(study),
            policies.policy(name, study.settings, p=len(data.names)),
            data.pairs,
            lambda chosen: (data.score[chosen], data.se[chosen]),
            batch=study.batch,
            rounds=study.rounds,
            first=np.asarray(first),
            wanted=draws_of(name, study.settings),
            fan=self.fan,
        )

    def belief(self, study: Study) -> Posterior:
        """The belief of a setting, the same object every time."""
        if study.belief not in self.beliefs:
            self.beliefs[study.belief] = study.posterior(self.fan)
        return self.beliefs[study.belief]


def afar(study: Study, relations: Mapping[str, tuple[Relations, np.ndarray]]) -> Replay:
    """The kernel in a worker: it draws by itself, and has nobody to tell how far it is."""
    return Replay(study, relations, Progress("", quiet=True))


def chosen(data: Pool, who: dict[str, Any], history: list[rounds.Round]) -> pl.DataFrame:
    """Every measured pair in the order of choice, with its reward and acquisition value."""
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
