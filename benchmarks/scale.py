"""Rounds on a genome: the share of the strongest pairs found, with side information and without.

Simulated: R_ij = sum_r s_r u_ir u_jr (rank 8, s of both signs), u_i = sqrt(.95) A' h_i +
sqrt(.05) delta_i with 64 known numbers h of every gene: 5 % of the signal lies outside them. A
measurement has noise of half the sd of R. Sought are the 10,000 strongest of 199,990,000 pairs,
from a random batch and 20 rounds of 2,000; what a random choice finds is the share of the pairs
that it measures. One line a policy, belief and seed.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from epistax.benchmarks import harness
from epistax.engine import stream, streamed
from epistax.engine.pairs import Pairs, count, rank, unrank
from epistax.engine.policy.catalogue import Settings
from epistax.engine.posterior import informed, moments
from epistax.engine.screen import gather

RANK, KNOWN, OUTSIDE, NOISE, STRONGEST = 8, 64, 0.05, 0.5, 10_000
POLICIES = ("ids", "ids-var", "ucb", "ts", "greedy", "random")
NONE = Pairs(np.zeros(0, np.int32), np.zeros(0, np.int32))


class World(NamedTuple):
    """Genes, what is known of them, and what is true."""

    side: np.ndarray
    truth: moments.Factors  # of sd 0
    best: np.ndarray  # positions of the strongest pairs
    noise: float


def world(p: int, seed: int) -> World:
    """One genome."""
    rng = np.random.default_rng([seed, p])
    side = rng.normal(size=(p, KNOWN)).astype(np.float32)
    own = rng.normal(size=(p, RANK))
    u = np.sqrt(1 - OUTSIDE) * side @ rng.normal(size=(KNOWN, RANK)) / np.sqrt(KNOWN)
    u = jnp.asarray(u + np.sqrt(OUTSIDE) * own, jnp.float32)
    s = jnp.asarray((-1.0) ** np.arange(RANK) / np.sqrt(RANK), jnp.float32)
    zero, none = jnp.zeros(()), jnp.zeros(p)
    truth = moments.Factors(zero, zero, none, none, s, 0 * s, u, 0 * u)
    top = stream.ranked(stream.confidence, stream.space(p, NONE), truth, jnp.float32(0), p=p,
                        batch=STRONGEST)  # fmt: skip
    return World(side, truth, np.sort(rank(top.pairs, p)), NOISE)


def run(
    name: str, genome: World, *, informed_by_side: bool, batch: int, rounds: int, seed: int
) -> Iterator[dict[str, Any]]:
    """The rounds of one policy: what is found after each."""
    p = len(genome.side)
    rng = np.random.default_rng([seed, 1])
    key = jax.random.key(seed)
    h = informed.known(genome.side if informed_by_side else None, p)
    side = genome.side if informed_by_side else None
    posterior = informed.informed(informed.Informed(), p=p, reward="score", side=side)
    settings = Settings(batch=batch, draws=128)
    positions = np.unique(rng.integers(0, count(p), 2 * batch))
    done = unrank(rng.permutation(positions)[:batch], p)
    score = measure(genome, done, rng)
    belief = None
    for number in range(rounds + 1):
        taken = rank(done, p)
        found = float(np.isin(genome.best, taken).mean())
        print(f"{name} round {number}: {found:.4f}", file=sys.stderr, flush=True)
        yield {"round": number, "n_measured": len(taken), "found": found}
        if number == rounds:
            return
        k_fit, k_choose = jax.random.split(jax.random.fold_in(key, number))
        table = gather(done, score, np.zeros_like(score), np.arange(len(score)),
                       length=batch * (rounds + 1))  # fmt: skip
        belief, _ = posterior.fit(k_fit, belief, table)
        chosen = streamed.choose(name, settings, k_choose, informed.factors(belief, h), done).pairs
        done = Pairs(np.r_[done.i, chosen.i], np.r_[done.j, chosen.j])
        score = np.r_[score, measure(genome, chosen, rng)]


def measure(genome: World, pairs: Pairs, rng: np.random.Generator) -> np.ndarray:
    """Noisy scores."""
    true = np.asarray(moments.of_pairs(genome.truth, Pairs(*map(jnp.asarray, pairs)))[0])
    return (true + genome.noise * rng.normal(size=len(true))).astype(np.float32)


def main() -> None:
    """One JSON object a line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--genes", type=int, default=20_000)
    parser.add_argument("--batch", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="the first of them")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--policy", action="append", choices=POLICIES)
    parser.add_argument("--side", choices=("with", "without", "both"), default="both")
    options = parser.parse_args()
    which = {"with": (True,), "without": (False,), "both": (True, False)}[options.side]
    play = partial(run, batch=options.batch, rounds=options.rounds)
    for seed in range(options.seed, options.seed + options.seeds):
        genome = world(options.genes, seed)
        for name in options.policy or POLICIES:
            for side in which:
                began = time.monotonic()
                curve = list(play(name, genome, informed_by_side=side, seed=seed))
                by_chance = curve[-1]["n_measured"] / count(options.genes)
                record = {
                    "name": "scale",
                    "policy": name,
                    "side_information": side,
                    "seed": seed,
                    "genes": options.genes,
                    "found": curve[-1]["found"],
                    "times_random": curve[-1]["found"] / by_chance,
                    "seconds": round(time.monotonic() - began, 1),
                    "curve": curve,
                    "device": harness.device(),
                    "versions": harness.versions(),
                }
                print(json.dumps(record), flush=True)


if __name__ == "__main__":
    main()
