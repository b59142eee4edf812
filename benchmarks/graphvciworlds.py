"""Simulated cells, divided as the published benchmark divides them, and how predictions do there.

The worlds of `epistax simulate cells`: the perturbations that are hardest are held out in the
first cell type, 80 % of all other cells train. Groups are judged by R2 as published (over all genes
and over DE genes, with R2 and correlation of the change beside it), cells by what they would truly
have expressed, and distributions by how far predicted cells of a group are from measured ones.
"""

from typing import Any, NamedTuple

import jax
import numpy as np

from epistax.engine.nets.regulation import Edges
from epistax.engine.response import averages, differential, evaluation, individual, splits, strata
from epistax.engine.response.records import Cells, Data, Design, Method, rows
from epistax.engine.response.strata import Groups
from epistax.engine.simulate import cells
from epistax.engine.simulate.cells_world import Size

HARDEST = 6  # of 16 perturbations; 8 of 24
FEWEST = {"train": 30, "test": 5, "ood": 30}  # cells that a group has more than
REFERENCE = {"train": "train", "test": "test", "ood": "test"}
INPUTS, FOLLOWED = 200, 200  # cells a group is predicted from; cells judged one by one


class World(NamedTuple):
    """One draw of genes and cells, and its division."""

    size: Size
    made: cells.Simulated
    everyone: Cells
    data: Data
    graph: Edges
    hits: np.ndarray  # gene of each perturbation, the control's -1
    held: np.ndarray  # bool [c, a]
    split: splits.Split
    parts: dict[str, Cells]
    groups: Groups
    strongest: np.ndarray  # DE genes, bool [c, a, g]


def world(seed: int, size: Size) -> World:
    """The world of a seed."""
    made = cells.simulate(jax.random.key(seed), size)
    everyone = Cells(*(np.asarray(x) for x in (made.y, made.arm, made.stratum)))
    design = Design(np.asarray(made.arms), np.asarray(made.strata))
    c, a = len(design.strata), len(design.arms)
    groups = strata.grouped(everyone, strata=c, arms=a)
    far = splits.distances(groups, np.arange(a), a, np.ones(c, bool))
    count = max(1, round(HARDEST * size.perturbations / 16))
    hard = splits.hardest(far, np.arange(a) > 0, count)
    held = (np.asarray(design.strata)[:, 0] == 0)[:, None] & hard[None, :]
    split = splits.split(everyone, held)
    parts = {name: rows(everyone, getattr(split, name)) for name in FEWEST}
    strongest = differential.strongest(differential.welch(groups))
    target, source = np.nonzero(np.asarray(made.prior))
    return World(
        size, made, everyone,
        Data(design, parts["train"], parts["test"], strongest & ~held[:, :, None]),
        Edges(source, target), np.concatenate([[-1], np.asarray(made.world.hit)]),
        held, split, parts, groups, strongest,
    )  # fmt: skip


def targets(w: World, split: str) -> evaluation.Targets:
    """The groups of a split with enough cells."""
    c, a = w.held.shape
    groups = strata.grouped(w.parts[split], strata=c, arms=a)
    there = groups.count > FEWEST[split]
    there[:, 0] = False
    s, t = np.nonzero(there)
    control = w.groups.mean[:, 0]
    return evaluation.Targets(
        s, t, groups.count[s, t], groups.mean[s, t], control[s], w.strongest[s, t]
    )


def of_means(w: World, table: np.ndarray, split: str) -> dict[str, float]:
    """The figures of means [c, a, g], of cells none."""
    goal = targets(w, split)
    scores = evaluation.scored(goal, table[goal.stratum, goal.arm][None])
    return {name: float(x[0]) for name, x in scores._asdict().items()}


def of_method(w: World, method: Method, fits: Any, split: str, protocol: Any) -> list[dict]:
    """The figures of every fit's group means."""
    goal, reference = targets(w, split), w.parts[REFERENCE[split]]
    chosen = averages.inputs(reference, goal.stratum, protocol=protocol, most=INPUTS)
    told = averages.averaged(method, fits, reference, chosen, goal.stratum, goal.arm)
    scores = evaluation.scored(goal, told)
    number = len(told)
    return [{k: float(x[m]) for k, x in scores._asdict().items()} for m in range(number)]


def followed(w: World) -> tuple[np.ndarray, np.ndarray]:
    """Test controls, and what each would express under every arm without noise: rows, [e, a, g]."""
    control = w.split.test[w.everyone.arm[w.split.test] == 0][:FOLLOWED]
    clean, _ = cells.outcomes(w.made, jax.numpy.asarray(control), w.size)
    return control, np.asarray(clean)


def of_cells(
    w: World, method: Method, fits: Any, control: np.ndarray, truth: np.ndarray
) -> list[dict]:
    """How well each fit tells the effects on single cells, all groups and those held out."""
    some = rows(w.everyone, control)
    told = np.stack(
        [
            np.asarray(method.predict(fits, some, np.full(len(control), a, np.int32)).mean)
            for a in range(w.held.shape[1])
        ],
        axis=2,
    )
    told, true = (x - x[..., :1, :] for x in (told, truth))
    every = [(int(c), int(a)) for c, a in np.argwhere(np.ones_like(w.held)) if a > 0]
    out = [(int(c), int(a)) for c, a in np.argwhere(w.held)]
    found = []
    for fit in told:
        all_of, held = (
            individual.judged(true, fit, some.stratum, tuple(g))._asdict() for g in (every, out)
        )
        found.append(all_of | {f"{name}_ood": value for name, value in held.items()})
    return found


def distance(w: World, method: Method, fits: Any, split: str = "ood") -> list[float]:
    """Mean distance (Wasserstein 1) of predicted from measured cells, per DE gene of each group.

    Predicted cells are the reference's controls of the stratum, each a normal draw of its mean and
    sd, not below 0; as many quantiles of both sides are compared.
    """
    goal, reference = targets(w, split), w.parts[REFERENCE[split]]
    measured, rng = w.parts[split], np.random.default_rng(0)
    levels = (np.arange(100) + 0.5) / 100
    total: list[list[float]] = []
    for c, a, genes in zip(goal.stratum, goal.arm, goal.strongest, strict=True):
        own = np.flatnonzero((reference.stratum == c) & (reference.arm == 0))
        told = method.predict(fits, rows(reference, own), np.full(len(own), a, np.int32))
        mean, sd = (np.asarray(x)[:, :, genes] for x in told)
        drawn = np.maximum(mean + sd * rng.normal(size=sd.shape[1:]), 0)
        here = (measured.stratum == c) & (measured.arm == a)
        true = np.quantile(measured.y[here][:, genes], levels, axis=0)
        ours = np.quantile(drawn, levels, axis=1)
        total.append(list(np.abs(ours - true[:, None]).mean((0, 2))))
    return [float(x) for x in np.mean(total, axis=0)]
