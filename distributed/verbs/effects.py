"""`epistax effects fit | predict | benchmark | discover`: effects of combinations, predicted.

`fit` learns from a table and says how far its predictions hold, `predict` uses it, `benchmark`
compares models on rows left out, `discover` replays rounds of measuring what a model chooses.

fit.npz, heldout.parquet        of fit: what is learned; every row, predicted without it
predictions.parquet             of predict: a row a combination; `unseen` counts its genes that no
                                row of the fit had
results.parquet                 of benchmark: a row a model, size and seed; `seconds` are those of
                                fitting a seed, of which many are fitted side by side, without
                                `compile_seconds`; tpr_200 is of the `n_lowest` lowest
curve.parquet, chosen.parquet   of discover: a row a seed, round and acquisition; top_200 and
                                probable_200 are of the --top strongest; every row in its round
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from epistax.distributed import backends
from epistax.distributed.beforehand import inputs
from epistax.distributed.chunked import left_out, shared
from epistax.distributed.effects import benchmark as comparing
from epistax.distributed.effects import fitting, methods, predicting, rounds, stored
from epistax.distributed.effects.reading import Samples, read_samples
from epistax.distributed.options.effects import (
    EffectsBenchmark,
    EffectsDiscover,
    EffectsFit,
    EffectsPredict,
)
from epistax.distributed.progress import Progress
from epistax.distributed.report import page
from epistax.distributed.report.effects import describe
from epistax.distributed.rundir import RunDir

__all__ = ["benchmark", "describe", "discover", "fit", "predict"]

Shared = EffectsBenchmark | EffectsDiscover


def fit(options: EffectsFit) -> dict[str, Any]:
    """Learn from all rows, and from all but each part of them."""
    samples = read_samples(options.pairs, options, apart=True)
    known = methods.read_known(options, samples.names, options.model)
    fitting.refuse(options, samples)
    with RunDir.open(options, inputs=[options.pairs, *inputs(options)]) as directory:
        if directory.finished:
            return directory.summary
        with Progress(options.verb, quiet=options.quiet) as progress:
            tell(progress, samples, known.remarks)
            begun = time.monotonic()
            learned, heldout, summary = fitting.learn(options, samples, known)
        directory.write(stored.NAME, stored.encode(learned))
        directory.write_table("heldout", heldout)
        directory.note(seconds=round(time.monotonic() - begun, 1))
        return page.finish(directory, summary)


def predict(options: EffectsPredict) -> dict[str, Any]:
    """Ask a fit."""
    learned = stored.read(Path(options.directory))
    wanted = predicting.read_wanted(options, learned)
    more = [options.singles] if options.singles else []
    files = [Path(options.directory) / stored.NAME, options.wanted, *more]
    with RunDir.open(options, inputs=files) as directory:
        if directory.finished:
            return directory.summary
        with Progress(options.verb, quiet=options.quiet) as progress:
            for entry in wanted.left_out:
                progress.say(left_out(entry))
            frame, summary = predicting.predict(learned, wanted)
        path = directory.write_table("predictions", frame)
        return directory.finish(summary | {"predictions": str(path)})


def benchmark(options: EffectsBenchmark) -> dict[str, Any]:
    """Models, by how many rows they learn from."""

    def design(samples: Samples, _: Progress, settled: EffectsBenchmark) -> comparing.Benchmark:
        return comparing.design(settled, samples)

    def finish(study: comparing.Benchmark, frames: dict[str, pl.DataFrame]) -> dict[str, Any]:
        return comparing.summary(study, frames["results"])

    return played(options, design, ("results",), finish)


def discover(options: EffectsDiscover) -> dict[str, Any]:
    """Rounds of measuring what a model chooses."""

    def design(samples: Samples, progress: Progress, settled: EffectsDiscover) -> rounds.Rounds:
        return rounds.design(settled, samples, progress)

    def finish(study: rounds.Rounds, frames: dict[str, pl.DataFrame]) -> dict[str, Any]:
        return rounds.summary(study, frames["curve"])

    return played(options, design, rounds.TABLES, finish)


def played(
    options: Shared,
    design: Callable[[Samples, Progress, Any], Any],
    tables: Sequence[str],
    finish: Callable[[Any, dict[str, pl.DataFrame]], dict[str, Any]],
) -> dict[str, Any]:
    """Read, plan, share the chunks, summarise. Nothing is written before all is found good."""
    options = backends.settled(options)
    samples = read_samples(options.pairs, options)
    with Progress(options.verb, quiet=options.quiet) as progress:
        study = design(samples, progress, options)
        with RunDir.open(options, inputs=[options.pairs, *inputs(options)]) as directory:
            if directory.finished:
                return directory.summary
            begun = time.monotonic()
            tell(progress, samples, study.remarks)
            frames = shared(directory, study.work(), study, tables, progress, options)
            for name, frame in frames.items():
                directory.write_table(name, frame)
            directory.note(seconds=round(time.monotonic() - begun, 1))
            return page.finish(directory, finish(study, frames))


def tell(progress: Progress, samples: Samples, remarks: Sequence[str]) -> None:
    """What was left out, and what is going to happen."""
    for entry in samples.left_out:
        progress.say(left_out(entry))
    for line in remarks:
        progress.say(line)
