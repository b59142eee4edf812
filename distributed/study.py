"""A discovery experiment: what competes on which pairs, for how long, with which settings.

`design` fills in what the user left open, by the size of the data.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import jax
import numpy as np

from epistax.distributed.drawing import believe
from epistax.distributed.errors import BadInput
from epistax.distributed.formats.side import Side
from epistax.distributed.options import Discover
from epistax.distributed.options.shared import BeliefOptions
from epistax.distributed.pool import Pool
from epistax.engine import beliefs
from epistax.engine.policy import catalogue as policies
from epistax.engine.posterior import catalogue as posteriors
from epistax.engine.posterior.pieces import Fan, here
from epistax.engine.protocols import Posterior
from epistax.engine.stats import metrics

SHARE, REACH = 0.025, 0.425  # the papers' scale: rounds of 2.5 % until 42.5 % of the pairs
NOISE = dict.fromkeys(("ame", *beliefs.EFFECTS), 0.01)  # draws hold noise; the scale is 0 to 1
DRAWN = 2**28  # values of all draws together: 1 GiB


@dataclass(frozen=True)
class Study:
    """One discovery experiment: the pool, who competes on it, and for how long."""

    options: Discover
    pool: Pool
    batch: int
    rounds: int
    policies: tuple[str, ...]
    belief_name: str
    belief: beliefs.Settings
    settings: policies.Settings
    truth: np.ndarray | None = None  # float64 [q]: true rewards, where they are known
    side: Side | None = None

    @property
    def total(self) -> int:
        """Pairs measured at the end of a run."""
        return min(len(self.pool.score), self.batch * (self.rounds + 1))

    @property
    def wanted(self) -> np.ndarray:
        """The top pairs, by true reward."""
        return metrics.top(self.pool.reward, self.options.top)

    @property
    def truly_wanted(self) -> np.ndarray:
        """The top pairs by the rewards without noise; `truth` must be there."""
        return metrics.top(np.asarray(self.truth), self.options.top)

    def work(self, tuned: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Policy by policy, seed by seed, each policy with the setting found for it, if any."""
        seeds = range(self.options.seed, self.options.seed + self.options.seeds)
        return [
            {"policy": policy, "seed": seed}
            | ({"setting": dict(tuned[policy])} if policy in tuned else {})
            for policy in self.policies
            for seed in seeds
        ]

    def tuned(self, setting: Mapping[str, Any]) -> "Study":
        """The same with another rank, draws, lam or beta."""
        rank = setting.get("rank")
        belief = self.belief if rank is None else beliefs.of_rank(self.belief, rank)
        rest = {name: value for name, value in setting.items() if name != "rank"}
        return replace(self, belief=belief, settings=replace(self.settings, **rest))

    def posterior(self, fan: Fan = here) -> Posterior:
        """The belief that every policy of the study asks; the fan moves its chains, if any."""
        return believe(
            self.belief,
            fan,
            p=len(self.pool.names),
            reward=self.options.reward,
            singles=self.pool.singles,
            side=None if self.side is None else self.side.values,
        )

    def facts(self) -> dict[str, Any]:
        """Which belief and estimator run, for run.json."""
        estimators = {name: policies.ALIASES.get(name, name) for name in self.policies}
        return {
            "belief": {"name": self.belief_name, **asdict(self.belief)},
            "estimators": estimators,
            "policy_settings": asdict(self.settings)
            | {"lam": {n: policies.weight(n, self.settings) for n in self.policies if "ids" in n}},
            "batch": self.batch,
            "rounds": self.rounds,
            "reward": self.options.reward,
            "single_effects": self.pool.singles is not None,
            "side_information": None if self.side is None else len(self.side.columns),
            "device": jax.devices()[0].device_kind,
        }

    def remarks(self) -> list[str]:
        """What a reader should know before the run."""
        q, p = len(self.pool.score), len(self.pool.names)
        lines = [
            f"{q:,} pairs of {p:,} perturbations; {self.batch:,} a round, "
            f"{self.rounds} rounds after round 0, {self.total / q:.1%} of the pairs at the end"
        ]
        lines += [
            f"left out: {entry.count:,} {entry.reason}"
            + (f" ({', '.join(entry.examples)})" if entry.examples else "")
            for entry in self.pool.left_out
        ]
        asked = self.options.rounds
        if asked is not None and self.batch * (asked + 1) > q:
            possible = math.ceil(q / self.batch) - 1
            if possible < asked:
                lines.append(f"{asked} rounds were asked for; the pairs end after {possible}")
        return lines


def design(
    options: Discover, data: Pool, truth: np.ndarray | None = None, side: Side | None = None
) -> Study:
    """Fill in what the user left to us, by the size of the data."""
    q, p = len(data.score), len(data.names)
    batch = min(q, options.batch or max(1, round(SHARE * q)))
    longest = math.ceil(q / batch) - 1
    rounds = max(1, round(REACH * q / batch) - 1) if options.rounds is None else options.rounds
    chosen = tuple(dict.fromkeys(options.policy or ("ids", "random")))
    name, belief, settings = decided(options, p=p, q=q, batch=batch, top=options.top)
    if name in beliefs.EFFECTS and data.singles is None:
        raise BadInput(
            f"--belief: {name!r} starts from the single effects of all perturbations, and the "
            "table lacks some; add rows (gene, control), or name the control with --control"
        )
    longest = min(rounds, longest)
    return Study(options, data, batch, longest, chosen, name, belief, settings, truth, side)


def decided(
    options: BeliefOptions, *, p: int, q: int, batch: int, top: float
) -> tuple[str, beliefs.Settings, policies.Settings]:
    """The belief by name, its settings and those of the policies, over q pairs of p names."""
    rank = None if options.rank == "auto" else options.rank
    name = posteriors.choose(options.belief, p=p)
    given = "--side" if options.side is not None else "--graph" if options.graph else None
    if given and name not in beliefs.INFORMED:
        instead = " or ".join(beliefs.INFORMED)
        raise BadInput(f"{given}: belief {name} does not use it; choose --belief {instead}")
    belief = beliefs.settings(name, p=p, rank=rank, guide=options.guide, top=top)
    draws = options.draws or max(32, min(policies.Settings.draws, DRAWN // q))
    given = {"draws": draws, "lam": options.lam, "beta": options.beta, "noise": NOISE.get(name)}
    settings = policies.Settings(
        batch=batch, **{name: value for name, value in given.items() if value is not None}
    )
    return name, belief, settings
