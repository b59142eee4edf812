"""Models of effects by how many rows they learn from: one chunk of work is a model and a size.

All seeds of a chunk are fitted side by side. Nothing but the rows that train and validate can
reach a model.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl

from epistax.distributed.effects import methods, splits
from epistax.distributed.effects.methods import Known
from epistax.distributed.effects.reading import Samples, described
from epistax.distributed.effects.splits import Split
from epistax.distributed.effects.stopwatch import Stopwatch
from epistax.distributed.errors import BadInput
from epistax.distributed.options.effects import EffectsBenchmark
from epistax.distributed.plan import Chunk
from epistax.distributed.report.summaries import spread
from epistax.engine.effectrounds import only
from epistax.engine.effects.records import Jobs
from epistax.engine.stats import prediction

MODELS = ("default", "naiad", "linear")
LOWEST, TENTH = 200, 10  # sought among the tested: 200, or a tenth of them
FEWEST = 5  # tested rows without which there is no figure
RESULTS = {
    "dataset": pl.String,
    "model": pl.String,
    "n_train": pl.Int64,
    "gene_frequency": pl.Float64,
    "seed": pl.Int64,
    "rmse": pl.Float64,
    "pearson": pl.Float64,
    "tpr_200": pl.Float64,
    "seconds": pl.Float64,
    "hold_out": pl.String,
    "covered_90": pl.Float64,
    "width_90": pl.Float64,
    "n_test": pl.Int64,
    "n_lowest": pl.Int64,
    "compile_seconds": pl.Float64,
}  # fmt: skip
FIGURES = ("rmse", "pearson", "tpr_200", "covered_90", "width_90", "seconds")


@dataclass(frozen=True)
class Benchmark:
    """What is compared on which rows; the kernel of its chunks."""

    options: EffectsBenchmark
    samples: Samples
    known: Mapping[str, Known]  # by model
    sizes: tuple[int, ...]
    seeds: tuple[int, ...]
    remarks: tuple[str, ...] = ()

    @property
    def dataset(self) -> str:
        """The name of the file, without its endings."""
        return Path(self.options.pairs).name.split(".")[0]

    def work(self) -> list[dict[str, Any]]:
        """Model by model, size by size."""
        return [{"model": m, "n_train": n} for m in self.known for n in self.sizes]

    def split(self, seed: int) -> Split:
        """The rows of a seed."""
        return splits.split(seed, self.samples.genes, self.options.hold_out)

    def __call__(self, chunk: Chunk) -> pl.DataFrame:
        """A row of figures a seed."""
        name, n = chunk.work["model"], chunk.work["n_train"]
        found, parts = self.samples, [self.split(seed) for seed in self.seeds]
        train = np.stack([part.pool[:n] for part in parts]).astype(np.int32)
        jobs = Jobs(train, ragged([part.validation for part in parts]))
        rows = np.unique(np.r_[train.ravel(), jobs.validation.ravel()])
        table = only(found.table, rows[rows >= 0])
        keys = jnp.stack([jax.random.key(splits.FIRST + seed) for seed in self.seeds])
        config = methods.settings(name, self.options, found, n)
        model = methods.method(config, found.singles, self.known[name])
        with Stopwatch() as watch:
            fits = jax.block_until_ready(model.fit(keys, table, jobs))
        told = model.predict(fits, found.combos)
        about = {
            "dataset": self.dataset,
            "model": name,
            "n_train": n,
            "gene_frequency": n * found.frequency,
            "hold_out": self.options.hold_out,
            "seconds": watch.seconds / len(self.seeds),
            "compile_seconds": watch.compiling,
        }
        mean, sd = (np.asarray(x, np.float64) for x in told)
        figures = [
            about | {"seed": seed} | judged(found.value, mean[at], sd[at], parts[at])
            for at, seed in enumerate(self.seeds)
        ]
        return pl.DataFrame(figures, schema=RESULTS)


def judged(value: np.ndarray, mean: np.ndarray, sd: np.ndarray, part: Split) -> dict[str, Any]:
    """The figures of the tested rows; an sd that the model does not tell is that of validation."""
    y, told, looked = value[part.test], mean[part.test], part.validation
    count = max(1, min(LOWEST, len(y) // TENTH))
    if not sd.any() and len(looked):
        sd = np.full_like(mean, prediction.rmse(value[looked], mean[looked]))
    half = prediction.reach() * sd[part.test]
    known = {
        "covered_90": prediction.covered(y - told, half),
        "width_90": prediction.relative_width(y - told, half),
    }
    return {
        "rmse": prediction.rmse(y, told),
        "pearson": prediction.pearson(y, told),
        "tpr_200": prediction.lowest_shared(y, told, count),
        "n_test": len(y),
        "n_lowest": count,
    } | (known if half.any() else {})


def ragged(rows: list[np.ndarray]) -> np.ndarray:
    """Rows of unequal length, -1 behind the shorter ones."""
    full = np.full((len(rows), max(1, *map(len, rows))), -1, np.int32)
    for at, row in enumerate(rows):
        full[at, : len(row)] = row
    return full


def design(options: EffectsBenchmark, samples: Samples) -> Benchmark:
    """Fill in what the user left open. BadInput for what the rows do not allow."""
    models = tuple(dict.fromkeys(options.model or MODELS))
    seeds = tuple(range(options.seed, options.seed + options.seeds))
    study = Benchmark(options, samples, {}, (), seeds)
    parts = [study.split(seed) for seed in seeds]
    free, tested = (min(len(getattr(p, name)) for p in parts) for name in ("pool", "test"))
    if tested < FEWEST:
        raise BadInput(
            f"--hold-out: {options.hold_out} leaves {tested} rows to test on, at least {FEWEST} "
            "are needed; add rows, or choose --hold-out pair"
        )
    large = [n for n in options.n_train if n > free]
    if large:
        raise BadInput(
            f"--n-train: {large[0]:,} of the {len(samples.value):,} rows are asked for, {free:,} "
            "are left beside those that test and validate; give at most that"
        )
    sizes = tuple(sorted(set(options.n_train))) or splits.sizes(samples.frequency, free) or (free,)
    known = {name: methods.read_known(options, samples.names, name) for name in models}
    for name in models:
        methods.settings(name, options, samples, sizes[0])
    listed = ", ".join(f"{n:,}" for n in sizes)
    lines = [
        f"{len(samples.value):,} rows of {samples.seen:,} genes; {listed} "
        f"train, {tested:,} test; held out: {options.hold_out}"
    ]
    lines += [line for one in known.values() for line in one.remarks]
    return replace(study, known=known, sizes=sizes, remarks=tuple(dict.fromkeys(lines)))


def summary(study: Benchmark, results: pl.DataFrame) -> dict[str, Any]:
    """Mean, sd and se over the seeds, by model and size."""
    models: dict[str, dict[str, Any]] = {}
    for (name, n), part in results.group_by("model", "n_train", maintain_order=True):
        models.setdefault(str(name), {})[str(n)] = {
            "gene_frequency": part["gene_frequency"][0],
            **{figure: over(part[figure]) for figure in FIGURES},
        }
    return {
        "step": "benchmark",
        **described(study.samples),
        "dataset": study.dataset,
        "hold_out": study.options.hold_out,
        "seeds": len(study.seeds),
        "n_train": list(study.sizes),
        "n_test": int(results["n_test"].min()),
        "n_lowest": int(results["n_lowest"].min()),
        "models": models,
    }


def over(values: pl.Series) -> dict[str, float | None] | None:
    """Mean, sd and se; nothing where a seed has no figure."""
    return None if values.null_count() or values.is_nan().any() else spread(values.to_list())
