"""Options of `epistax causal fit`, `predict` and `benchmark`."""

from dataclasses import dataclass
from typing import Any, ClassVar

from epistax.distributed.flags import POSITIVE, option
from epistax.distributed.options.shared import ControlOptions, RunOptions, ScaleOptions

MODELS = ("vae", "conditional", "environment", "translation", "adversarial", "structured")
PRESETS = ("default", "published")


def data() -> Any:
    """The first word; a field of each verb, since a class's own words come first."""
    return option(
        ...,
        "samples from environments: an h5ad file or a zarr folder with, in obs, a column of "
        "environments, or an npz file with x, environment and vectors",
        metavar="DATA",
        positional=True,
        path=True,
    )


@dataclass(frozen=True, kw_only=True)
class VectorOptions(ControlOptions):
    """Shared by every verb that reads environments: what is known of each."""

    environment_col: str | None = option(
        None,
        "obs column of the environments",
        metavar="NAME",
        group="environments",
        auto="environment, perturbation, pert_iname, pert_id, condition, ... found by name",
    )
    vector_key: str | None = option(
        None,
        "obsm entry that holds the vector of each sample's environment",
        metavar="NAME",
        group="environments",
        auto="fingerprint, X_fingerprint, vectors, ... found by name",
    )
    vectors: str | None = option(
        None,
        "other vectors: a table with a row an environment (its name and numbers), or onehot, or "
        "code (64 random bits); of the last two nothing can be said of environments not trained on",
        metavar="FILE|onehot|code",
        group="environments",
        auto="those of the file",
    )
    smiles_col: str | None = option(
        None,
        "obs column of SMILES, of which Morgan fingerprints are made (radius 2, 1,024 bits; needs "
        "the extra epistax[chem])",
        metavar="NAME",
        group="environments",
    )


@dataclass(frozen=True, kw_only=True)
class EnvironmentOptions(VectorOptions):
    """Shared by every verb that learns from samples of environments."""

    layer: str | None = option(
        None, "h5ad, zarr: layer to read in place of X", metavar="NAME", group="environments"
    )
    covariate: tuple[str, ...] = option(
        (),
        "obs columns that belong to an environment beside its perturbation, such as "
        "cell_line,dose,time: words as one column each, numbers standardised, their logarithms "
        "where all are positive",
        metavar="NAME,...",
        group="environments",
        split=True,
    )
    split_col: str | None = option(
        None,
        "obs column (of npz: array) that is train or validation of every sample; none for none",
        metavar="NAME",
        group="environments",
        auto="split where it is there",
    )
    scale: str = option(
        "auto",
        "{choices}; auto: each feature less its median over the controls that train, by their "
        "median absolute deviation, kept within 10",
        choices=("auto", "none"),
        metavar="HOW",
        group="environments",
    )
    latents: int | None = option(
        None, "latent variables", metavar="D", rule=POSITIVE, group="model", auto="by the data"
    )
    epochs: int | None = option(
        None,
        "passes over the training samples",
        metavar="N",
        rule=POSITIVE,
        group="model",
        auto="by the preset",
    )
    preset: str = option(
        "default",
        "{choices}; published is as in the paper: nothing is held back, losses may explode",
        choices=PRESETS,
        metavar="NAME",
        group="model",
    )
    setting: tuple[str, ...] = option(
        (),
        "another setting of the models that have it, such as irm=10, sees=film or rate=0.001; "
        "repeat for more",
        metavar="NAME=VALUE",
        group="model",
    )


@dataclass(frozen=True, kw_only=True)
class CausalFit(RunOptions, EnvironmentOptions):
    """Embed samples in latents of which an environment changes few."""

    verb: ClassVar[str] = "causal fit"
    example: ClassVar[str] = "epistax causal fit l1000.h5ad --out fit"

    data: str = data()
    model: str = option(
        "environment", "what embeds: {choices}", choices=MODELS, metavar="NAME", group="model"
    )
    temperature: float | None = option(
        None,
        "of the gate: the lower, the fewer latents an environment changes",
        metavar="T",
        rule=POSITIVE,
        group="model",
        auto="by the preset",
    )
    members: int = option(
        1, "fits, side by side; predictions are averaged", metavar="M", rule=POSITIVE, group="model"
    )
    embed: bool = option(
        False, "also write the latents of every sample: latents.h5ad", group="model"
    )


@dataclass(frozen=True, kw_only=True)
class CausalPredict(RunOptions, VectorOptions):
    """Predict the mean profile of environments with a fit, those that it has not seen too."""

    verb: ClassVar[str] = "causal predict"
    example: ClassVar[str] = "epistax causal predict fit --environments new.csv --out predictions"

    directory: str = option(
        ..., "run directory of causal fit", metavar="RUN_DIR", positional=True, path=True
    )
    environments: str | None = option(
        None,
        "environments to predict: a table with a row each (name, its vector, and the covariates "
        "of the fit), or a file such as causal fit reads",
        metavar="FILE",
        path=True,
        group="environments",
    )
    to: tuple[str, ...] = option(
        (),
        "environment that the fit has seen; repeat for more",
        metavar="NAME",
        group="environments",
        auto="all, without --environments",
    )


@dataclass(frozen=True, kw_only=True)
class CausalBenchmark(ScaleOptions, EnvironmentOptions):
    """Compare causal embeddings on environments left out."""

    verb: ClassVar[str] = "causal benchmark"
    example: ClassVar[str] = (
        "epistax causal benchmark l1000.h5ad --model environment --model vae --seeds 3 --out run"
    )

    data: str = data()
    model: tuple[str, ...] = option(
        (),
        "what embeds: {choices}; repeat to compare",
        choices=MODELS,
        metavar="NAME",
        group="model",
        auto="all",
    )
    seeds: int = option(
        3,
        "how many fits: --seed and those after it",
        metavar="K",
        rule=POSITIVE,
        group="experiment",
    )
    temperature: tuple[float, ...] = option(
        (),
        "of the gate of the models that have one; repeat to compare",
        metavar="T",
        rule=POSITIVE,
        group="model",
        auto="by the preset",
    )
    shuffle: bool = option(
        False,
        "each model once more with the vectors of the environments shuffled: what it owes to them",
        group="experiment",
    )
