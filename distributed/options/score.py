"""Options of `epistax score`."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from epistax.distributed.flags import POSITIVE, Rule, option
from epistax.distributed.options.shared import ScaleOptions, ScreenOptions

# the plain name is the default form: mmd has the RBF kernel, severity that of the sum, knn one k,
# kl the bridge
TESTS = (
    "additive",
    "mmd",
    "mmd:rbf",
    "mmd:matern",
    "cosine",
    "severity",
    "severity:min",
    "severity:max",
    "severity:sum",
    "severity:double",
    "knn",
    "knn:adaptive",
    "kl",
    "kl:bridge",
    "kl:smile",
    "kl:mile",
    "kl:mc",
    "kl:ts",
    "logform",
    "logrms",
    "latent",
)
CRITIC = ("kl", "logform", "logrms")  # tests that a critic answers
TAIL = Rule(lambda v: 0 < v <= 0.5, "a share above 0 and at most 0.5")


@dataclass(frozen=True, kw_only=True)
class Score(ScaleOptions, ScreenOptions):
    """Test every measured pair of a screen: does the double do what its singles say it should."""

    verb: ClassVar[str] = "score"
    example: ClassVar[str] = (
        "epistax score screen.h5ad --obsm X_pca --test additive --test mmd --out run"
    )

    data: str = option(
        ...,
        "screen: h5ad, zarr, npz, csv or parquet of observations, or guide-pair counts",
        metavar="DATA",
        positional=True,
        path=True,
    )
    test: tuple[str, ...] = option(
        (),
        "what to compute: {choices}; repeat for more; knn is KL(ab) - KL(a) - KL(b) against the "
        "control by 5 nearest neighbours, knn:adaptive by a number that follows the density: less "
        "biased, more scattered; both without p-values; kl is the same by a critic, logform and "
        "logrms are the critic's own log-ratios; latent is the largest shift of one latent that "
        "both singles make, by a causal embedding that never sees doubles: without p-values",
        choices=TESTS,
        metavar="NAME",
        group="tests",
        auto="additive and mmd",
    )
    kernel: str | None = option(
        None,
        "of mmd: {choices}",
        choices=("rbf", "matern52"),
        metavar="NAME",
        group="tests",
        auto="rbf",
    )
    bandwidth: float | None = option(
        None,
        "of mmd's kernel, in units of the features",
        metavar="L",
        rule=POSITIVE,
        group="tests",
        auto="median distance of 2,000 observations",
    )
    scale: float | Literal["auto"] = option(
        1.0,
        "of additive: compare a double with this times the sum of its singles; auto is the factor "
        "that doubles have in common",
        metavar="C",
        rule=POSITIVE,
        group="tests",
    )
    null: str = option(
        "spectral",
        "where p-values come from: {choices}; spectral is calibrated and costs next to nothing; "
        "for kl and logform it is normal, of the wells' and the critic's error, and multiplier and "
        "permutation draw weights or signs of the wells",
        choices=("spectral", "gamma", "multiplier", "permutation", "none"),
        metavar="NAME",
        group="tests",
    )
    draws: int = option(
        1000,
        "of multiplier and permutation: the smallest p-value is 1 / (1 + B)",
        metavar="B",
        rule=POSITIVE,
        group="tests",
    )
    fdr: str = option(
        "bh",
        "how q-values are made: {choices} (by holds under any dependence)",
        choices=("bh", "by"),
        metavar="NAME",
        group="tests",
    )
    units: str = option(
        "auto",
        "what counts as one independent draw in p-values: {choices}; auto is wells where known",
        choices=("auto", "wells", "observations"),
        metavar="NAME",
        group="tests",
    )
    log2: bool = option(False, "take log2 of the features", group="features")
    center: str | None = option(
        None,
        "what to subtract: {choices}; batch is each batch's control mean, fit a fit of batch and "
        "main effects, for screens of doubles without controls",
        choices=("none", "batch", "fit"),
        metavar="NAME",
        group="features",
        auto="batch where batches are known, else none",
    )
    whiten: bool = option(
        False,
        "divide out the covariance of the controls (of replicates with --center fit); always done "
        "with --embed",
        group="features",
    )
    embed: str = option(
        "none",
        "what tests see in place of the features: {choices}; classifier is the last hidden layer "
        "of one that tells perturbations, and never that of one trained on the same well; pca is "
        "the leading principal components, to compare with",
        choices=("none", "classifier", "pca"),
        metavar="NAME",
        group="embedding",
    )
    embed_classes: str | None = option(
        None,
        "what the classifier is taught to tell from the control: {choices}; with all, doubles too, "
        "which it may learn to make additive",
        choices=("singles", "all"),
        metavar="NAME",
        group="embedding",
        auto="singles",
    )
    embed_features: int | None = option(
        None,
        "size of the embedding",
        metavar="N",
        rule=POSITIVE,
        group="embedding",
        auto="128",
    )
    tau: float | Literal["auto"] = option(
        "auto",
        "clip of kl:smile and kl:ts, in nats; auto is the one by which SMILE is nearest to the "
        "bridge over all classes",
        metavar="X",
        rule=POSITIVE,
        group="critic",
    )
    loss: str | None = option(
        None,
        "what the critic is trained by: {choices}",
        choices=("softmax", "nre_a"),
        metavar="NAME",
        group="critic",
        auto="nre_a up to 100 classes, else softmax",
    )
    encoder: str | None = option(
        None,
        "the critic's network: {choices}; convolutions are for images",
        choices=("mlp", "strided", "pooled"),
        metavar="NAME",
        group="critic",
        auto="mlp; of images pooled where they have more than 3 channels, else strided",
    )
    widths: tuple[int, ...] = option(
        (),
        "hidden units, or channels, of its layers, such as 2048,256",
        metavar="N,N",
        rule=POSITIVE,
        split=True,
        group="critic",
        auto="128,64; of images 16,32,64",
    )
    head: str | None = option(
        None,
        "a class's weights: {choices}; embedding composes those of pairs from their members'",
        choices=("linear", "embedding"),
        metavar="NAME",
        group="critic",
        auto="linear up to 100 classes, else embedding",
    )
    rank: int | None = option(
        None,
        "directions that the log-ratios of a linear head have in common",
        metavar="R",
        rule=POSITIVE,
        group="critic",
        auto="of vectors as many as perturbations, unless more tell held-out classes better",
    )
    folds: int | None = option(
        None,
        "the critic that reads an observation is trained on the wells of the other folds",
        metavar="K",
        rule=Rule(lambda v: v >= 2, "at least 2"),
        group="critic",
        auto="5 where classes are below 1,000 observations, else 3; 2 of images",
    )
    ensemble: int | None = option(
        None,
        "critics a fold, whose log-ratios are averaged",
        metavar="N",
        rule=POSITIVE,
        group="critic",
        auto="3 of vectors up to 100 classes and 100,000 observations, else 1",
    )
    steps: int | None = option(
        None,
        "steps of training; the best of them is kept",
        metavar="N",
        rule=POSITIVE,
        group="critic",
        auto="by the observations",
    )
    rate: float | None = option(
        None,
        "learning rate",
        metavar="X",
        rule=POSITIVE,
        group="critic",
        auto="0.003; of images 0.001",
    )
    truth: tuple[str, ...] = option(
        (),
        "test and column of truth.parquet beside DATA to judge it by; repeat for more",
        metavar="NAME=COLUMN",
        group="judging",
        auto="additive=interacting, mmd=disjoint or interacting, cosine and severity=same_pathway, "
        "kl, logform, logrms, knn and latent=separable or same_gene",
    )
    known: tuple[str, ...] = option(
        (),
        "file of known interactions, or of gene sets, to judge all tests by; repeat",
        metavar="FILE",
        path=True,
        group="judging",
    )
    recall: str = option(
        "rest",
        "the null of --known: {choices}; rest is the pairs that are not known, all is every pair, "
        "efaar is all and ranks single effects too, by signed cosine",
        choices=("rest", "all", "efaar"),
        metavar="NULL",
        group="judging",
    )
    tail: float = option(
        0.05,
        "a known pair counts as found in this share of the null, on each side that counts",
        metavar="F",
        rule=TAIL,
        group="judging",
    )
    compose: bool = option(
        False,
        "also write composed.parquet: predicted effects h_i + h_j of the pairs not measured",
        group="output",
    )
