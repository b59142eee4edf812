"""Causal embeddings on environments left out: one chunk of work is a model, all fits at once.

Trivial predictions are the first chunk. Samples that validate move no parameter, nor do they
decide which are kept.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl

from epistax.distributed.causal import encoding, methods, moving, outside, tables, trivial
from epistax.distributed.causal.dividing import Division, divide
from epistax.distributed.causal.encoding import Missed, by_environment
from epistax.distributed.causal.methods import Settings
from epistax.distributed.causal.reading import EnvironmentTable
from epistax.distributed.causal.tables import Fit
from epistax.distributed.causal.truth import Truth
from epistax.distributed.effects.stopwatch import Stopwatch
from epistax.distributed.options.causal import MODELS, CausalBenchmark
from epistax.distributed.plan import Chunk
from epistax.engine.causal import curves
from epistax.engine.causal.records import Method
from epistax.engine.causal.scaling import Scaling
from epistax.engine.types import Info, Keys

TRIVIAL = "trivial"  # the chunk of what needs no model
DRAWS = 1  # folded into the key of a fit: that of its draws


@dataclass(frozen=True)
class Benchmark:
    """What is compared on which samples; the kernel of its chunks."""

    options: CausalBenchmark
    division: Division
    truth: Truth | None
    models: tuple[str, ...]
    seeds: tuple[int, ...]

    @property
    def table(self) -> EnvironmentTable:
        """The samples."""
        return self.division.table

    def work(self) -> list[dict[str, Any]]:
        """What needs no model, then model by model."""
        again = (False, True) if self.options.shuffle else (False,)
        every = [{"model": name, "shuffled": one} for name in self.models for one in again]
        return [{"model": TRIVIAL, "shuffled": False}, *every]

    def fits(self, name: str, shuffled: bool) -> list[Fit]:
        """Those of a chunk: temperature by temperature, all seeds of each."""
        word = f"{name} shuffled" if shuffled else name
        if not self.options.temperature or name not in methods.GATED:
            return [Fit(word, seed) for seed in self.seeds]
        return [Fit(f"{word} T={t:g}", seed, t) for t in self.options.temperature
                for seed in self.seeds]  # fmt: skip

    def widths(self) -> dict[str, int]:
        """Latents of every model."""
        return {name: methods.settings(name, self.options, self.division).latents
                for name in self.models}  # fmt: skip

    def __call__(self, chunk: Chunk) -> dict[str, pl.DataFrame]:
        """The tables of a model, or of what needs none."""
        scale = encoding.scale_of(self.division, self.options.scale)
        x = encoding.put(scale, self.table.x)
        if chunk.work["model"] == TRIVIAL:
            return tables.frames(self.without(x))
        return tables.frames(self.fitted(chunk.work["model"], chunk.work["shuffled"], x, scale))

    def without(self, x: np.ndarray) -> dict[str, list[Any]]:
        """Errors of profiles and of principal components."""
        found: dict[str, list[Any]] = {"results": [], "models": []}
        for name, square, profile in trivial.rows(self.division, x, set(self.widths().values())):
            fit = Fit(name, self.seeds[0])
            found["results"].append(tables.results(fit, self.division, square, profile))
            figures = {"reconstruction": self.final(square)}
            found["models"].append({"model": name, "seed": fit.seed, **figures})
        return found

    def fitted(
        self, name: str, shuffled: bool, x: np.ndarray, scale: Scaling | None
    ) -> dict[str, list[Any]]:
        """One model, its seeds and temperatures side by side."""
        config = methods.settings(name, self.options, self.division)
        each = self.fits(name, shuffled)
        method = methods.method(name, config, [f.temperature for f in each if f.temperature])
        told = self.division.shuffled(self.seeds[0]) if shuffled else self.table.environment
        keys = jnp.stack([jax.random.key(fit.seed) for fit in each])
        with Stopwatch() as watch:
            fits, info = jax.block_until_ready(method.fit(keys, self.division.data(x, told), ()))
        vectors = self.table.every.vectors
        draws = jax.vmap(jax.random.fold_in, (0, None))(keys, DRAWS)
        lost = encoding.missed(draws, method, fits, x, told, vectors)
        mean, figures, moved = self.moved(method, fits, x, told)
        spent = {
            "latents": config.latents,
            "seconds": watch.seconds / len(each),
            "compile_seconds": watch.compiling,
        }
        rise = rises(info, config.warmup)
        return {
            "results": [
                tables.results(fit, self.division, lost.mean[k], mean[k], lost.sampled[k])
                for k, fit in enumerate(each)
            ],
            "curve": [(*each[k][:2], *values) for k, *values in methods.curve(info)],
            "shifts": [
                tables.shifts(fit, self.division, one) for fit, one in zip(each, moved, strict=True)
            ],
            "models": [
                {**self.row(fit, lost, k), "worst_rise": rise[k], **figures[k]._asdict(), **spent}
                for k, fit in enumerate(each)
            ],
        } | self.known(each, draws, method, fits, scale, config)

    def moved(
        self, method: Method, fits: Any, x: np.ndarray, told: np.ndarray
    ) -> tuple[np.ndarray, list[moving.Named], list[moving.Moves]]:
        """Errors of predicted mean profiles [m, e], and what became of the latents."""
        table, base, truth = self.table, self.division.base, self.truth
        vectors, of = table.every.vectors, table.environment
        measured = by_environment(x.T.astype(np.float64), of, len(vectors)).T
        starts = [x[rows] for rows in moving.bases(self.division)]
        width = table.coding.table.shape[1]
        profile = moving.profiles(method, fits, vectors, starts, vectors[base], width)
        latents = encoding.encoded(method, fits, x, told, vectors)
        every = moving.moves(method, fits, latents, self.division)
        held = self.division.held
        judged = held if held.any() else ~base
        named = [
            moving.named(
                one,
                latents.mean[k],
                None if truth is None else truth.c,
                None if truth is None else truth.target,
                base[of],
                judged,
            )
            for k, one in enumerate(every)
        ]
        return ((profile.mean - measured[None]) ** 2).mean(2), named, every

    def known(
        self,
        each: list[Fit],
        keys: Keys,
        method: Method,
        fits: Any,
        scale: Scaling | None,
        config: Settings,
    ) -> dict[str, list[Any]]:
        """Where the world is known and linear: errors outside, and how M is turned."""
        world = outside.world(self.division, self.truth, scale)
        if world is None:
            return {}
        found = {"ood": outside.curve(each, keys, method, fits, world, config.latents)}
        if config.latents == world.added.shape[1] == 2:
            columns = outside.columns(method, fits, len(each), config.latents, 2)
            if columns is not None:
                both = outside.turned(each, columns, world)
                found |= dict(zip(("rotation", "turned"), both, strict=True))
        return found

    def row(self, fit: Fit, lost: Missed, place: int) -> dict[str, Any]:
        """What a fit is, and its error."""
        return {
            "model": fit.label,
            "seed": fit.seed,
            "temperature": fit.temperature,
            "reconstruction": self.final(lost.mean[place]),
        }

    def final(self, square: np.ndarray) -> float | None:
        """The error of all samples that validate; of all that train where none does."""
        held = self.division.validating
        value = float(square[held].mean() if held.any() else square.mean())
        return value if np.isfinite(value) else None

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader should know before the run."""
        lines = [self.division.told, *methods.remarks(self.division)]
        if self.truth is not None:
            lines.append("the truth is beside the data: latents and targets are judged too")
        return tuple(lines)


def rises(info: Info, warmup: int) -> list[float | None]:
    """The worst rise of each fit once the divergence has its weight; none if it never has."""
    validation = np.asarray(info["validation"], np.float64)
    if len(validation) <= warmup:
        return [None] * validation.shape[1]
    return [curves.worst_rise(one, warmup) for one in validation.T]


def design(options: CausalBenchmark, table: EnvironmentTable, truth: Truth | None) -> Benchmark:
    """Fill in what the user left open. BadInput for what the samples do not allow."""
    models = tuple(dict.fromkeys(options.model or MODELS))
    division = divide(table, options.seed, models)
    methods.refuse(models, options, division, cooled=bool(options.temperature))
    seeds = tuple(range(options.seed, options.seed + options.seeds))
    return Benchmark(options, division, truth, models, seeds)
