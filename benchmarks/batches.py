"""What rules cost, and what the way of filling a batch is worth, in rounds of a simulated screen.

R_ij = a_i + a_j + sum_r s_r u_ir u_jr of 2,000 genes (rank 4, s of both signs), measured with noise
of half its sd. Sought are the 2,000 strongest of 1,999,000 pairs, from 20,000 random ones and 8
rounds of 384. Rules are kept by `ucb`: a quota of each gene, a tenth of the genes left out, a
budget of half of what 384 random pairs cost where a gene's price is log-normal. Ways of filling
a batch: the best by one score (`greedy`, `ucb`, `ids-var`, `ids-self`), draws in turn (`ts-par`,
`ids-ts`) and deflation, which looks at what a batch has before it adds to it (`ids-defl`). One
line a policy, rule and seed.

    python -m epistax.benchmarks.batches --seeds 3 > batches.jsonl
"""

import argparse
import json
import sys
import time
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from epistax.benchmarks import harness
from epistax.engine import stream, streamed
from epistax.engine.pairs import Pairs, count, rank, unrank
from epistax.engine.policy import rules
from epistax.engine.policy.catalogue import Settings
from epistax.engine.policy.rules import Rules
from epistax.engine.posterior import informed, moments
from epistax.engine.screen import gather

RANK, EFFECT, NOISE, STRONGEST, START, LONGER = 4, 0.5, 0.6, 2000, 20_000, 16
NONE = Pairs(np.zeros(0, np.int32), np.zeros(0, np.int32))
RULES = ("none", "quota 8", "quota 4", "quota 2", "tenth out", "budget")
POLICIES = ("greedy", "ids-var", "ids-self", "ids-defl", "ids-ts", "ts-par")


class World(NamedTuple):
    """What is true, the strongest pairs, and what genes cost."""

    truth: moments.Factors  # of sd 0
    best: np.ndarray  # positions
    price: np.ndarray


def world(p: int, seed: int) -> World:
    """One screen."""
    rng = np.random.default_rng([seed, p])
    u, a = rng.normal(size=(p, RANK)), EFFECT * rng.normal(size=p)
    s = jnp.asarray((-1.0) ** np.arange(RANK) / np.sqrt(RANK), jnp.float32)
    zero, factors = jnp.zeros(()), jnp.asarray(u, jnp.float32)
    level = jnp.asarray(a, jnp.float32)
    truth = moments.Factors(zero, zero, level, 0 * level, s, 0 * s, factors, 0 * factors)
    top = stream.ranked(stream.confidence, stream.space(p, NONE), truth, jnp.float32(0), p=p,
                        batch=STRONGEST)  # fmt: skip
    return World(truth, np.sort(rank(top.pairs, p)), rng.lognormal(0, 0.7, p))


def rule(name: str, screen: World, size: int, seed: int) -> Rules:
    """The rules of every batch by this name."""
    p = len(screen.price)
    made = rules.rules(p, size)
    if name.startswith("quota"):
        return made._replace(quota=int(name.split()[1]))
    if name == "tenth out":
        return made._replace(closed=np.random.default_rng([seed, 2]).random(p) < 0.1)
    if name == "budget":
        money = screen.price.mean() * size  # a pair costs two genes
        return made._replace(price=screen.price, budget=float(money))
    return made


def batch(
    policy: str, settings: Settings, key: Any, factors: moments.Factors, rule: Rules, done: Pairs
) -> Pairs:
    """One batch under the rules, asked for as a campaign does."""
    p = len(rule.price)
    bound = rule.quota is not None or bool(np.isfinite(rule.budget))
    size = rule.size * (LONGER if bound else 1)
    barred = np.union1d(rule.barred, rank(done, p))

    def ask(number: int, room: rules.Room) -> tuple[Pairs, np.ndarray]:
        out = unrank(np.union1d(barred, room.taken), p)
        how = {"allowed": rules.affordable_genes(rule, room)}
        now = replace(settings, batch=size)
        found = streamed.choose(policy, now, jax.random.fold_in(key, number), factors, out, **how)
        return found.pairs, found.value

    return rules.fill(rule._replace(barred=barred), rules.empty(rule), ask)[0]


def play(policy: str, name: str, screen: World, *, size: int, rounds: int, seed: int) -> Any:
    """Rounds of one policy under one rule: what is found after each, and what was spent."""
    p, rng = len(screen.price), np.random.default_rng([seed, 1])
    kept, key = rule(name, screen, size, seed), jax.random.key(seed)
    posterior = informed.informed(informed.Informed(), p=p, reward="score")
    h, settings = informed.known(None, p), Settings(batch=size, draws=128)
    first = rng.permutation(np.unique(rng.integers(0, count(p), 2 * START)))[:START]
    done, spent, belief, curve = unrank(first, p), 0.0, None, []
    score = measured(screen, done, rng)
    for number in range(rounds + 1):
        found = float(np.isin(screen.best, rank(done, p)).mean())
        curve.append({"round": number, "n_measured": len(score), "found": found})
        print(f"{policy}, {name}, round {number}: {found:.4f}", file=sys.stderr, flush=True)
        if number == rounds:
            return curve, spent
        k_fit, k_choose = jax.random.split(jax.random.fold_in(key, number))
        table = gather(done, score, np.zeros_like(score), np.arange(len(score)),
                       length=START + size * rounds)  # fmt: skip
        belief, _ = posterior.fit(k_fit, belief, table)
        factors = informed.factors(belief, h)
        new = batch(policy, settings, k_choose, factors, kept, done)
        done = Pairs(np.r_[done.i, new.i], np.r_[done.j, new.j])
        score = np.r_[score, measured(screen, new, rng)]
        spent += float((screen.price[new.i] + screen.price[new.j]).sum())


def measured(screen: World, pairs: Pairs, rng: np.random.Generator) -> np.ndarray:
    """Noisy scores."""
    true = np.asarray(moments.of_pairs(screen.truth, Pairs(*map(jnp.asarray, pairs)))[0])
    return (true + NOISE * rng.normal(size=len(true))).astype(np.float32)


def main() -> None:
    """One JSON object a line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--genes", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=384)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    cases = [("ucb", name) for name in RULES] + [(name, "none") for name in POLICIES]
    for seed in range(options.seeds):
        screen = world(options.genes, seed)
        for policy, name in cases:
            began = time.monotonic()
            how = {"size": options.batch, "rounds": options.rounds, "seed": seed}
            curve, spent = play(policy, name, screen, **how)
            record = {
                "name": "batches",
                "policy": policy,
                "rule": name,
                "seed": seed,
                "genes": options.genes,
                "found": curve[-1]["found"],
                "measured": curve[-1]["n_measured"],
                "spent": round(spent, 1),
                "seconds": round(time.monotonic() - began, 1),
                "curve": curve,
                "device": harness.device(),
                "versions": harness.versions(),
            }
            print(json.dumps(record), flush=True)


if __name__ == "__main__":
    main()
