"""Samples from environments, and what a method of embedding them is.

"Towards Learning Cell Causal-Embeddings": an environment (a drug, a growth medium) changes the law
of few of the latents C that the samples x are generated from; how x follows from C never changes.
A vector e represents what is known of an environment.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from jaxtyping import Array, Float, Int
from numpy import ndarray

from epistax.engine.fit import Hook
from epistax.engine.types import Info, Keys


class Samples(NamedTuple):
    """n samples of g features, and the environment of each: a row of `Data.vectors`."""

    x: Float[Array | ndarray, "n g"]
    environment: Int[Array | ndarray, "n"]


class Data(NamedTuple):
    """What a method learns from, and samples of environments that it never learns from.

    The vector of the reference (untreated) is all zeros. validation is looked at every epoch for
    the curve; it never moves a parameter, nor decides which parameters are kept.
    """

    vectors: Float[Array | ndarray, "e v"]
    train: Samples
    validation: Samples


class Latents(NamedTuple):
    """Normal laws of d independent latents, of each of m fits."""

    mean: Float[Array | ndarray, "m n d"]
    log_sd: Float[Array | ndarray, "m n d"]


class Method(NamedTuple):
    """How samples are embedded: fit trains one model a key, side by side, on the same data.

    Fitted is a pytree of arrays, the fits along the leading axis of every leaf. vectors are the
    rows of the samples' environments. encode and prior speak of the same latents, which decode
    takes: the noises Z of a structured model, else C itself (of translation, after the offset).
    fit's info has, a row an epoch and a column a fit, `loss`, `error` (mean square of training
    samples' reconstruction, per feature) and `validation` (that of validation samples, from their
    posterior means).
    """

    fit: Callable[[Keys, Data, Sequence[Hook]], tuple[Any, Info]]
    encode: Callable[[Any, Float[Array | ndarray, "n g"], Float[Array | ndarray, "n v"]], Latents]
    decode: Callable[
        [Any, Float[Array | ndarray, "m n d"], Float[Array | ndarray, "n v"]],
        Float[Array | ndarray, "m n g"],
    ]
    prior: Callable[[Any, Float[Array | ndarray, "n v"]], Latents]
    variables: Callable[[Any, Float[Array | ndarray, "m n d"]], Float[Array | ndarray, "m n d"]]
