"""`epistax causal fit | predict | benchmark`: latents of which an environment changes few.

fit.npz                 of fit: what is learned, and the samples that predictions start from
embedding.parquet       of fit: a row an environment and latent: mean and sd of the encoded samples;
                        how far the mean is from the reference's, in sds of that (`shift`); the
                        prior
shifts.parquet          of fit: a row a perturbation, its shifts as columns: what --side reads; of
                        benchmark: a row a fit, environment and latent
latents.h5ad            of fit --embed: the latents of every sample, obsm X_causal
predictions.parquet     of predict: mean profiles in the features' own units; `sd` over samples;
                        `control` is the measured mean of the samples that the prediction starts
                        from, `change` what the model makes of the environment
environments.parquet    of predict: the prior of every latent, and which latent is moved most
results.parquet         of benchmark: a row a model, seed and environment: mean square error per
                        scaled feature of reconstructions from posterior means and from draws
                        (`sampled`), and of the predicted mean profile
models.parquet          of benchmark: a row a fit, over all samples that validate; how well latents
                        and targets are found where the truth is beside the data; `seconds` are
                        those of one fit, many side by side, without `compile_seconds`
curve.parquet           of both: loss and errors of every epoch
ood, rotation, turned   of benchmark, of known linear worlds: errors outside the range of training
                        beside those of the best linear models; the decoder's rows beside the true
                        ones, turned
"""

import time
from pathlib import Path
from typing import Any

from epistax.distributed import backends
from epistax.distributed.causal import benchmark as comparing
from epistax.distributed.causal import fitting, predicting, stored
from epistax.distributed.causal.reading import EnvironmentTable, read_environments
from epistax.distributed.causal.summary import summed
from epistax.distributed.causal.tables import SCHEMAS, WORLD
from epistax.distributed.causal.truth import beside, read_truth
from epistax.distributed.chunked import left_out, shared
from epistax.distributed.options.causal import (
    CausalBenchmark,
    CausalFit,
    CausalPredict,
    EnvironmentOptions,
)
from epistax.distributed.progress import Progress
from epistax.distributed.report import page
from epistax.distributed.report.causal import describe
from epistax.distributed.rundir import RunDir

__all__ = ["benchmark", "describe", "fit", "predict"]


def fit(options: CausalFit) -> dict[str, Any]:
    """Learn from all environments that train."""
    table = read_environments(options.data, options, options.seed)
    division, truth = fitting.divide(options, table), read_truth(options.data, table)
    with RunDir.open(options, inputs=inputs(options, options.data)) as directory:
        if directory.finished:
            return directory.summary
        with Progress(options.verb, quiet=options.quiet) as progress:
            tell(progress, table, (division.told, *fitting.methods.remarks(division)))
            begun = time.monotonic()
            made = fitting.learn(options, division, truth)
        directory.write(stored.NAME, stored.encode(made.learned))
        for name in ("embedding", "shifts", "curve"):
            directory.write_table(name, getattr(made, name))
        if options.embed:
            directory.write("latents.h5ad", fitting.samples(division, made.latents))
        directory.note(seconds=round(time.monotonic() - begun, 1))
        return page.finish(directory, made.summary)


def predict(options: CausalPredict) -> dict[str, Any]:
    """Ask a fit."""
    learned = stored.read(Path(options.directory))
    wanted = predicting.read_wanted(options, learned)
    more = [one for one in (options.environments, options.vectors) if one and Path(one).exists()]
    with RunDir.open(options, inputs=[Path(options.directory) / stored.NAME, *more]) as directory:
        if directory.finished:
            return directory.summary
        frame, priors, summary = predicting.predict(learned, wanted)
        path = directory.write_table("predictions", frame)
        directory.write_table("environments", priors)
        return directory.finish(summary | {"predictions": str(path)})


def benchmark(options: CausalBenchmark) -> dict[str, Any]:
    """Models and trivial predictions, on environments left out."""
    options = backends.settled(options)
    table = read_environments(options.data, options, options.seed)
    study = comparing.design(options, table, read_truth(options.data, table))
    with (
        Progress(options.verb, quiet=options.quiet) as progress,
        RunDir.open(options, inputs=inputs(options, options.data)) as directory,
    ):
        if directory.finished:
            return directory.summary
        begun = time.monotonic()
        tell(progress, table, study.remarks)
        frames = shared(directory, study.work(), study, tuple(SCHEMAS), progress, options)
        for name, frame in frames.items():
            if frame.height or name not in WORLD:
                directory.write_table(name, frame)
        directory.note(seconds=round(time.monotonic() - begun, 1))
        return page.finish(directory, summed(study, frames))


def inputs(options: EnvironmentOptions, path: str) -> list[str]:
    """The files that are read."""
    given = options.vectors
    more = [given] if given is not None and Path(given).exists() else []
    return [path, *more, *beside(path)]


def tell(progress: Progress, table: EnvironmentTable, remarks: tuple[str, ...]) -> None:
    """What was left out, and what is going to happen."""
    for entry in table.census.left_out:
        progress.say(left_out(entry))
    for line in remarks:
        progress.say(line)
