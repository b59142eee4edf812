"""Methods by name: what `--model` chooses from.

Fits train side by side, one a key, and where temperatures are given one a temperature too: they
are traced, so that a curve of temperatures compiles once.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy import ndarray

from epistax.engine.causal import training
from epistax.engine.causal.adversarial import adversarial
from epistax.engine.causal.families import Family
from epistax.engine.causal.records import Data, Latents, Method
from epistax.engine.causal.settings import NAMES, Settings, settings
from epistax.engine.causal.start import principal
from epistax.engine.causal.training import Fitted
from epistax.engine.causal.variational import variational
from epistax.engine.fit import Hook, fit
from epistax.engine.types import Info, Keys

__all__ = ["NAMES", "Settings", "method", "settings"]


@functools.lru_cache(maxsize=64)
def method(
    name: str, settings: Settings, *, temperatures: tuple[float, ...] | None = None
) -> Method:
    """The method of these settings; temperatures: one a key, in place of that of the settings."""
    if temperatures is not None and not all(t > 0 for t in temperatures):
        raise ValueError(f"`temperatures` are {temperatures}; they must be above 0")

    def fitted(keys: Keys, data: Data, hooks: Sequence[Hook]) -> tuple[Fitted, Info]:
        refuse(data, settings)
        wanted = temperatures or (settings.temperature,) * len(keys)
        if len(wanted) != len(keys):
            told = f"`temperatures` are {len(wanted)} for {len(keys)} keys; give one each"
            raise ValueError(told)
        arrays, environments = training.known(data, stop=settings.stop)
        rounds = len(arrays.place) // min(settings.batch, len(arrays.place))
        family = built(name, settings, environments, settings.epochs * rounds)
        k_begin, k_run = jax.vmap(jax.random.split, out_axes=1)(keys)
        parts = begin(family)(k_begin)
        if settings.start != "random":
            model, where = parts["model"], ()
            if settings.start == "shifts":
                where = (arrays.train.environment, training.reference(arrays))
            params = principal(model.params, arrays.train.x, *where)
            parts = {**parts, "model": model._replace(params=params)}
        one = functools.partial(training.started, stop=settings.stop)
        state = jax.vmap(one)(parts, jnp.asarray(wanted, jnp.float32))
        ends = (*hooks, training.patient(settings))
        arrays = jax.tree.map(jnp.asarray, arrays)
        step = training.stepper(family, settings)
        state, info = fit(k_run, step, state, arrays, steps=settings.epochs, chunk=1, hooks=ends)
        return training.fitted(state), info

    # what embeds does not depend on how many environments were trained on
    made = built(name, settings, 1, 1)

    def encode(fits: Fitted, x: Array | ndarray, vectors: Array | ndarray) -> Latents:
        return Latents(*over_fits(made, "encode")(fits, *single(x, vectors)))

    def decode(fits: Fitted, z: Array | ndarray, vectors: Array | ndarray) -> Float[Array, "m n g"]:
        return over_fits(made, "decode")(fits, *single(z, vectors))

    def prior(fits: Fitted, vectors: Array | ndarray) -> Latents:
        return Latents(*over_fits(made, "prior")(fits, *single(vectors)))

    def variables(fits: Fitted, z: Array | ndarray) -> Float[Array, "m n d"]:
        return over_fits(made, "variables")(fits, *single(z))

    return Method(fitted, encode, decode, prior, variables)


def built(name: str, settings: Settings, environments: int, updates: int) -> Family:
    """The functions of a model that is trained on so many environments, by so many updates."""
    if name == "adversarial":
        return adversarial(settings, environments, updates)
    return variational(name, settings, environments, updates)


@functools.lru_cache(maxsize=64)
def begin(family: Family) -> Callable[..., Any]:
    """Keys -> the parts of each fit before its first step; jitted."""
    return jax.jit(jax.vmap(family.begin))


@functools.lru_cache(maxsize=256)
def over_fits(family: Family, part: str) -> Callable[..., Any]:
    """One of a family's functions for many fits; latents are each fit's own. Jitted."""
    run = getattr(family, part)

    def one(fit: Fitted, *args: Array) -> Any:
        if part in ("encode", "prior"):
            return run(fit.params, fit.temperature, *args)
        return run(fit.params, *args)

    rest = {"encode": (None, None), "decode": (0, None), "prior": (None,), "variables": (0,)}
    return jax.jit(jax.vmap(one, (0, *rest[part])))


def single(*arrays: Array | ndarray) -> list[Array]:
    """In single precision."""
    return [jnp.asarray(x, jnp.float32) for x in arrays]


def refuse(data: Data, settings: Settings) -> None:
    """ValueError for data of other sizes than the settings are of."""
    told = {
        "features": (np.shape(data.train.x)[1], settings.features),
        "vector": (np.shape(data.vectors)[1], settings.vector),
    }
    for name, (given, wanted) in told.items():
        if given != wanted:
            raise ValueError(f"`{name}` is {wanted}, and the data have {given}; give them settings")
    if not len(data.train.x):
        raise ValueError("there are no training samples")
