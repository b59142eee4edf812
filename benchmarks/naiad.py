"""The tables and figures of "NAIAD: Gene Interaction Prediction using Active Learning" on a screen.

    python -m epistax.benchmarks.naiad norman_gamma.csv --name norman > norman.jsonl
    python -m epistax.benchmarks.naiadpages norman.jsonl k562.jsonl --out pages

One line a fit or a round: `curve` (Tables 1 and 4, Figures 2, 3 and 6: error, correlation and
strongest found on the 30 % of the rows kept for testing, by training rows), `branch` (Figure 5:
the branch of single effects and that of embeddings against the linear model), `rounds` (Tables 2
and 3, Figures 4 and 7) and `fall` (Figure 8: where chosen rows lie). Networks are told at the epoch
that is best on the 10 % of the rows for validation, as in the authors' notebooks; in `rounds` at
their last epoch.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from epistax.benchmarks import harness
from epistax.distributed.effects.splits import split
from epistax.engine import effectrounds
from epistax.engine.effects import catalogue
from epistax.engine.effects.neural import Neural
from epistax.engine.effects.records import Combos, Jobs, Method, Predicted
from epistax.engine.policy.acquisitions import NAMES as ACQUISITIONS
from epistax.engine.stats import prediction

if TYPE_CHECKING:
    from epistax.distributed.effects.reading import Samples

MODELS = (
    "linear", "pheno", "mlp", "recover", "recover-symmetric", "gears", "gears-alone", "naiad",
    "naiad-4", "naiad-code", "naiad-symmetric", "transformer", "transformer-cls", "default",
)  # fmt: skip
SIZES = {  # the paper's: for screens of up to 200 genes, and beyond
    False: (100, 200, 350, 500, 750, 1000, 1250, 1500),
    True: (100, 500, 1000, 2000, 3000, 4000, 5000, 6000),
}
ROUNDS = {False: (100, 200, 300, 400, 500), True: (500, 1000, 1500, 2000, 2500)}
EPOCHS = {False: 400, True: 200}  # of the rounds
SEEDS = (89, 773, 654)  # of the rounds: the first of numpy's default_rng(42)


def settings(model: str, data: "Samples", n: int) -> Any:
    """The settings of a model, or of a variant of one that only the figures know."""
    p = len(data.names)
    name = model.removesuffix("-4").removesuffix("-code").removesuffix("-alone")
    config = catalogue.settings(name, genes=p, n=n, widths="code" if "code" in model else "paper")
    if model == "naiad-4":
        return replace(config, net=replace(config.net, width=4))
    return replace(config, nearest=10) if model == "gears" else config


def build(config: Any, data: "Samples") -> Method:
    """The method of these settings."""
    return catalogue.method(config, singles=data.singles)


def curve(
    data: "Samples", models: Sequence[str], sizes: Sequence[int], seeds: int
) -> Iterator[dict[str, Any]]:
    """Every model at every size; sizes of equal settings train side by side, as seeds do."""
    q = len(data.value)
    splits = [split(seed, data.genes, "pair") for seed in range(seeds)]
    for model in models:
        groups: dict[Any, list[int]] = {}
        for n in sizes:
            groups.setdefault(settings(model, data, n), []).append(n)
        for config, members in groups.items():
            work = [(n, seed) for n in members for seed in range(seeds)]
            train = np.full((len(work), max(members)), -1, np.int32)
            for row, (n, seed) in zip(train, work, strict=True):
                row[:n] = splits[seed].pool[:n]
            own = np.stack([splits[seed].validation for _, seed in work]).astype(np.int32)
            keys = jax.vmap(jax.random.key)(np.array([seed for _, seed in work]))
            method = build(config, data)
            began = time.monotonic()
            fits = jax.block_until_ready(method.fit(keys, data.table, Jobs(train, own)))
            seconds = (time.monotonic() - began) / len(work)
            for at, (n, seed) in enumerate(work):
                test = splits[seed].test
                rows = Combos(*(np.asarray(x)[test] for x in data.combos))
                told = method.predict(jax.tree.map(lambda x, at=at: x[at : at + 1], fits), rows)
                yield {
                    "name": "curve", "model": model, "n_train": n, "seed": seed,
                    "gene_frequency": round(n * data.frequency, 2), "rows": q,
                    **judged(told, data.value[test]), "seconds": round(seconds, 3),
                    "settings": repr(config),
                }  # fmt: skip


def judged(told: Predicted, measured: np.ndarray) -> dict[str, float]:
    """The figures of one job on its test rows."""
    mean, sd = (np.asarray(x[0], np.float64) for x in told)
    half = prediction.reach() * sd
    found = {
        "rmse": prediction.rmse(measured, mean),
        "pearson": prediction.pearson(measured, mean),
        "tpr_200": prediction.lowest_shared(measured, mean, 200),
    }
    if sd.any():
        found["covered_90"] = prediction.covered(mean - measured, half)
        found["width_90"] = prediction.relative_width(mean - measured, half)
    return {name: round(value, 5) for name, value in found.items()}


def branches(data: "Samples", sizes: Sequence[int], seeds: int) -> Iterator[dict[str, Any]]:
    """Correlations on test rows: single-effect branch and linear model, embeddings and residual."""
    for n in sizes:
        config = settings("naiad", data, n)
        assert isinstance(config, Neural)
        splits = [split(seed, data.genes, "pair") for seed in range(seeds)]
        jobs = Jobs(*(np.stack(x).astype(np.int32) for x in zip(
            *((one.pool[:n], one.validation) for one in splits), strict=True)))  # fmt: skip
        keys = jax.vmap(jax.random.key)(np.arange(seeds))
        method = build(config, data)
        fits = method.fit(keys, data.table, jobs)
        alone = alone_of(config, fits, data.combos)
        line = build(settings("linear", data, n), data)
        plain = line.predict(line.fit(keys, data.table, jobs), data.combos).mean
        whole = method.predict(fits, data.combos).mean
        for seed, one in enumerate(splits):
            a, b, c = (np.asarray(x[seed], np.float64)[one.test] for x in (alone, whole, plain))
            yield {
                "name": "branch", "model": "naiad", "n_train": n, "seed": seed,
                "singles_linear": round(prediction.pearson(c, a), 4),
                "embeddings_residual": round(
                    prediction.pearson(data.value[one.test] - c, b - a), 4),
            }  # fmt: skip


def alone_of(config: Neural, fits: Any, combos: Combos) -> Any:
    """What the branch of single effects alone says."""
    own = replace(config, net=replace(config.net, embedded=None))
    return catalogue.method(own).predict(fits, combos).mean


def rounds(
    data: "Samples", models: Sequence[str], acquisitions: Sequence[str], test: float, members: int
) -> Iterator[dict[str, Any]]:
    """Campaigns of every acquisition; seeds, members and acquisitions train side by side."""
    large = len(data.names) > 200
    arms = [effectrounds.Arm(name, seed) for name in acquisitions for seed in SEEDS]
    for model in models:
        single = model in ("default", "linear")
        protocol = effectrounds.Protocol(ROUNDS[large], 1 if single else members, test)
        began = time.monotonic()

        def method(n: int, model: str = model) -> Method:
            config = settings(model, data, n)
            if isinstance(config, Neural):
                training = replace(config.training, keep="last", epochs=EPOCHS[large])
                config = replace(config, training=training)
            return build(config, data)

        for outcomes in effectrounds.play(method, data.table, arms, protocol):
            seconds = round(time.monotonic() - began, 1)
            for out in outcomes:
                yield {
                    "name": "rounds", "model": model, "acquisition": out.arm.acquisition,
                    "seed": out.arm.seed, "round": out.round, "n_measured": len(out.measured),
                    "test_share": test, "top_200": out.found, "probable_200": out.probable,
                    "measured_200": out.measured_top, "rmse": round(out.rmse, 5),
                    "members": protocol.members, "seconds_so_far": seconds,
                }  # fmt: skip
                if out.round + 1 == len(protocol.sizes) and out.arm.seed == SEEDS[0]:
                    yield fallen(data, model, out, test)


def fallen(data: "Samples", model: str, out: effectrounds.Outcome, test: float) -> dict[str, Any]:
    """The measured rows of an arm: their sums of single effects and their effects."""
    sums = np.asarray(data.combos.singles)[out.measured].sum(1)
    return {
        "name": "fall", "model": model, "acquisition": out.arm.acquisition, "test_share": test,
        "sum_of_singles": np.round(sums, 3).tolist(),
        "effect": np.round(data.value[out.measured], 3).tolist(),
    }  # fmt: skip


def main() -> None:
    """One JSON object a line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pairs", help="the screen: id1, id2, score")
    parser.add_argument("--name", required=True, help="of the screen, in the results")
    parser.add_argument("--control", default="negative")
    parser.add_argument("--what", action="append", choices=("curve", "branch", "rounds"))
    parser.add_argument("--model", action="append", choices=MODELS)
    parser.add_argument("--n-train", action="append", type=int)
    parser.add_argument("--acquisition", action="append", choices=ACQUISITIONS)
    parser.add_argument("--test", type=float, default=0.3, help="share that rounds never measure")
    parser.add_argument("--members", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    # here: the other suites run where polars is not installed
    from epistax.distributed.effects.reading import read_samples
    from epistax.distributed.options.shared import TableOptions

    data = read_samples(options.pairs, TableOptions(control=(options.control,)))
    what = options.what or ["curve", "branch", "rounds"]
    sizes = options.n_train or SIZES[len(data.names) > 200]
    facts = {"dataset": options.name, "genes": len(data.names), "device": harness.device(),
             "versions": harness.versions()}  # fmt: skip
    rows: list[Iterator[dict[str, Any]]] = []
    if "curve" in what:
        rows.append(curve(data, options.model or MODELS, sizes, options.seeds))
    if "branch" in what:
        rows.append(branches(data, sizes, options.seeds))
    if "rounds" in what:
        chosen = options.acquisition or ACQUISITIONS
        models = options.model or ("naiad", "default")
        rows.append(rounds(data, models, chosen, options.test, options.members))
    for part in rows:
        for row in part:
            print(json.dumps(row | facts), flush=True)
            print({k: v for k, v in row.items() if not isinstance(v, list)}, file=sys.stderr)


if __name__ == "__main__":
    main()
