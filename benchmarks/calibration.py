"""Are the pair tests' p-values what they say, and how small an interaction do they find.

Levels of every null distribution on independent null quadruples (quadruples.py) and on whole null
screens, power over shifts and numbers of cells, and the smallest shift that is found.

    python -m epistax.benchmarks.calibration --out calibration.json

Needs jax, numpy and scipy only, so that it runs where the rest of the house is not installed.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import scipy.stats
from jaxtyping import Float
from numpy import ndarray

from epistax.benchmarks import harness
from epistax.benchmarks.harness import Record
from epistax.benchmarks.quadruples import FAR, D, Design, common, p_values
from epistax.engine.interaction import paired
from epistax.engine.interaction.resampling import METHODS as RESAMPLED
from epistax.engine.screen import Screen, screen
from epistax.engine.stats.fdr import benjamini_hochberg

LEVELS = {"level_05": 0.05, "level_01": 0.01, "level_001": 0.001}
BAND, LEAST_KS = (0.0435, 0.0565), 1e-3  # of the default p-value, at 10,000 quadruples
CELLS, WANTED = (20, 40, 80, 160, 320, 640), 0.8
STEPS = (0.0, 0.7, 1.0, 1.3, 1.6, 2.0, 2.5, 3.2, 4.0, 5.0)  # shifts at 80 cells; else by 1/sqrt(n)
FINER = {"mmd": 1.0, "additive": 0.4}
GENES, CONTROL, SINGLE, DOUBLE = 20, 400, 80, 40  # of a whole screen, and its cells
WIDE = 100  # features of an additive screen: more than the null distribution is built from

MUST = [
    Design(test, n, wells, shifted=shifted)
    for test in FINER
    for shifted in (True, False)
    for n, wells in ((80, 0), (300, 0), (80, 16), (300, 20))
]
MORE = [Design("mmd", 80, kernel="matern52"), Design("mmd", 80, 10), Design("additive", 80, 10)]
WELLS = (("mmd", 80, 16), ("mmd", 300, 20), ("additive", 80, 16))
BLIND = [Design(*of, blind=True) for of in WELLS]


def rates(p: Float[ndarray, "q"]) -> Record:
    """How often p is at or below each level; 1 / 1000 in single precision is a little more."""
    return {name: float(np.mean(p <= level * (1 + 1e-6))) for name, level in LEVELS.items()}


def levels(p: Float[ndarray, "q"]) -> Record:
    """The same, and the distance from uniform."""
    ks = scipy.stats.kstest(p, "uniform")
    return rates(p) | {"ks_distance": float(ks.statistic), "ks_p": float(ks.pvalue)}


def calibration(quadruples: int, *, quick: bool, seed: int) -> Iterator[Record]:
    """One row a design and method; methods that are slower and no musts get fewer quadruples."""
    for number, design in enumerate(MUST + MORE + BLIND):
        if quick and design.n > 80:
            continue
        parts = {("spectral",): 5 if design.blind else 1}
        if design in MUST and (design.test == "mmd" or design.n == 80):
            parts[RESAMPLED] = 1 if number == 0 else 5 if design.n == 80 else 10
        shared = common(design, seed=seed)
        for part, (methods, share) in enumerate(parts.items()):
            key = jax.random.fold_in(jax.random.key(seed), 2 * number + part)
            found = p_values(key, design, shared, methods, quadruples // share, 0.0)
            for method, p in found.items():
                row: Record = {"scenario": design.name, "method": method, **design._asdict()}
                row |= {"must": design in MUST and method == "spectral"}
                yield row | {"quadruples": len(p), **levels(p)}


def kept(row: Record) -> bool:
    """Whether a row of 10,000 default p-values is as uniform as it must be."""
    return row["ks_p"] > LEAST_KS and BAND[0] <= row["level_05"] <= BAND[1]


def screens(count: int, *, seed: int) -> Iterator[Record]:
    """Whole null screens, whose pairs share control and singles, by the screen's own functions."""
    for test, shifted in (("mmd", True), ("mmd", False), ("additive", True)):
        below, discoveries = [], []
        for k in range(count):
            null = null_screen(np.random.default_rng([seed, k]), test, shifted=shifted)
            pairs = np.arange(len(null.pairs.i))
            if test == "mmd":
                scale = paired.bandwidth(null, seed=k)
                run = paired.disjoint(null, kernel="rbf", length_scale=scale, seed=k)
            else:
                run = paired.additive(null, residual=False, seed=k).test
            p = np.asarray(run(pairs).p, np.float64)
            below.append(list(rates(p).values()))
            discoveries.append(np.sum(benjamini_hochberg(p) <= 0.1))
        row: Record = {"scenario": f"{test} screen, p_0 {'!=' if shifted else '='} p_i"}
        row |= {"screens": count, "pairs": len(pairs)}
        row |= dict(zip(LEVELS, np.mean(below, axis=0).tolist(), strict=True))
        row |= {"level_05_se": float(scipy.stats.sem(below)[0])}
        row |= {"discoveries": float(np.mean(discoveries))}
        yield row | {"with_any": float(np.mean(np.array(discoveries) > 0))}


def null_screen(rng: np.random.Generator, test: str, *, shifted: bool) -> Screen:
    """No pair interacts: of two genes one acts on either state of the cells, or shifts add."""
    i, j = np.triu_indices(GENES, 1)
    if test == "mmd" and shifted:
        across = (i < GENES // 2) & (j >= GENES // 2)
        i, j = i[across], j[across]
    control, single = np.full((CONTROL, 2), -1), [(-1, g) for g in range(GENES)]
    double = np.repeat(np.stack([i, j], axis=1), DOUBLE, axis=0)
    codes = np.concatenate([control, np.repeat(single, SINGLE, axis=0), double])
    d = D if test == "mmd" else WIDE
    shift = rng.normal(size=(GENES + 1, d))
    shift *= FAR * shifted / np.linalg.norm(shift, axis=1, keepdims=True)
    shift[-1] = 0  # of no gene: code -1
    x, state = rng.normal(size=(len(codes), d)), rng.integers(0, 2, len(codes))
    acts = np.ones(codes.shape, bool)
    if test == "mmd":
        x[:, 0] += FAR * state
        acts = (codes >= GENES // 2) == state[:, None]
    else:
        x /= np.sqrt(1 + np.arange(d))
    x += np.einsum("ng,ngd->nd", acts, shift[codes])
    return screen(x.astype(np.float32), codes, p=GENES, well=None)


def power(quadruples: int, *, quick: bool, seed: int) -> Iterator[Record]:
    """How often shifts of the double are found, by cells an arm; effect is MMD^2, or R."""
    for test in FINER:
        for n in (20, 80) if quick else CELLS:
            design = Design(test, n)
            shared = common(design, seed=seed)
            methods = ("spectral", "permutation") if (test, n) == ("mmd", 80) else ("spectral",)
            for k, delta in enumerate(np.array(STEPS) * FINER[test] * np.sqrt(80 / n)):
                key = jax.random.fold_in(jax.random.key(seed), 1000 * n + k)
                found = p_values(key, design, shared, methods, quadruples, float(delta))
                size = effect(test, float(delta), float(shared.embedding.bandwidth))
                for method, p in found.items():
                    row: Record = {"test": test, "method": method, "n": n, "shift": float(delta)}
                    yield row | {"effect": size, "quadruples": quadruples, **levels(p)}


def effect(test: str, delta: float, bandwidth: float) -> float:
    """R, or MMD^2: half of the double's cells move by delta, and half of the mixture is doubles,
    so that it is 1/16 of that of two Gaussians so far apart.
    """  # noqa: D205
    scale = bandwidth**2 + 2
    apart = -2 * np.expm1(-(delta**2) / (2 * scale)) * (bandwidth**2 / scale) ** (D / 2)
    return float(apart / 16) if test == "mmd" else delta**2


def detectable(rows: list[Record]) -> Iterator[Record]:
    """The smallest shift found with probability WANTED; None where none of the grid's is."""
    wanted = scipy.stats.norm.ppf(WANTED)
    for test, n in dict.fromkeys((row["test"], row["n"]) for row in rows):
        curve = [r for r in rows if (r["test"], r["n"], r["method"]) == (test, n, "spectral")]
        row: Record = {"test": test, "n": n}
        for level in ("level_05", "level_001"):
            rate = np.maximum.accumulate([r[level] for r in curve])
            score = scipy.stats.norm.ppf(np.clip(rate, 1e-3, 1 - 1e-3))
            for what in ("shift", "effect"):
                at = np.interp(wanted, score, [r[what] for r in curve])
                row[f"{what}_{level}"] = float(at) if rate[-1] >= WANTED else None
        yield row


def study(*, quadruples: int, quick: bool, seed: int) -> Record:
    """Everything, printed as it comes."""
    started = time.perf_counter()
    found: Record = {"device": harness.device(), "versions": harness.versions(), "seed": seed}
    parts = {
        "calibration": calibration(quadruples, quick=quick, seed=seed),
        "screens": screens(3 if quick else 20, seed=seed),
        "power": power(quadruples // 20, quick=quick, seed=seed),
    }
    for part, rows in parts.items():
        found[part] = [show(row) for row in rows]
    found["detectable"] = [show(row) for row in detectable(found["power"])]
    missed = [row["scenario"] for row in found["calibration"] if row["must"] and not kept(row)]
    print("musts " + ("missed: " + "; ".join(missed) if missed else "kept"))
    return found | {"seconds": time.perf_counter() - started}


def show(row: Record) -> Record:
    """Prints a row and hands it on."""
    words = [str(row[k]) for k in ("scenario", "test", "method") if k in row and k + "s" not in row]
    numbers = {k: v for k, v in row.items() if v is None or type(v) in (int, float)}
    text = [f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in numbers.items()]
    print("  ".join([*words, *text]), flush=True)
    return row


def main(arguments: list[str] | None = None) -> None:
    """Write the study to a file."""
    parser = argparse.ArgumentParser(description="calibration and power of the pair tests")
    parser.add_argument("--out", type=Path, required=True, help="JSON to write")
    parser.add_argument("--quadruples", type=int, default=10_000, help="of each null scenario")
    parser.add_argument("--quick", action="store_true", help="small arms and few screens only")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    found = study(quadruples=options.quadruples, quick=options.quick, seed=options.seed)
    options.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
