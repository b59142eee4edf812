"""How the models are trained: epochs of shuffled minibatches, each with a look at its end.

One step of `engine.fit` is one epoch. A look reconstructs samples from the means of their
posteriors: the mean square error per feature of the validation samples, and that of as many
training samples. Nothing is decided by it. With `stop` some training environments are held out,
and their own error decides which epoch is kept; never the validation samples.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy import ndarray

from epistax.engine.causal.families import Batch, Family, Pace, Parts
from epistax.engine.causal.gate import annealed
from epistax.engine.causal.objective import warm
from epistax.engine.causal.records import Data, Samples
from epistax.engine.causal.settings import Settings
from epistax.engine.fit import Hook
from epistax.engine.nets.embedding import Params
from epistax.engine.protocols import Step
from epistax.engine.types import Info, Key, Keys, Scalar

BLOCK = 1024  # samples that a look reconstructs at once
PACKED = 16  # bits of a row's number, at most, that leave enough of a word to shuffle by
TENTH = 10  # every so many of the training environments is held out


class Known(NamedTuple):
    """The data; place counts the environments that are trained on."""

    vectors: Float[Array | ndarray, "e v"]
    train: Samples
    place: Int[Array | ndarray, "n"]
    again: Samples  # training samples that are looked at, as many as validation samples
    validation: Samples
    held: Samples  # of the environments held out; without `stop` none


class Fitted(NamedTuple):
    """What embeds: of one fit, or of many along the leading axis."""

    params: Params
    temperature: Scalar | Float[Array, "m"]


class State(NamedTuple):
    """One fit: what is trained, and with `stop` what is kept."""

    parts: Parts
    wanted: Scalar  # the temperature of the end,
    now: Scalar  # and that of now
    epochs: Scalar  # done
    kept: Fitted | None
    least: Scalar  # the error of `kept`
    since: Scalar  # epochs since


def known(data: Data, *, stop: bool) -> tuple[Known, int]:
    """The arrays of the data, and how many environments are trained on."""
    train = Samples(np.asarray(data.train.x), np.asarray(data.train.environment))
    vectors = np.asarray(data.vectors, np.float32)
    out = np.isin(train.environment, held_out(train, vectors) if stop else [])
    held, train = taken(train, np.flatnonzero(out)), taken(train, np.flatnonzero(~out))
    own, place = np.unique(train.environment, return_inverse=True)
    n, looked = len(train.x), len(data.validation.x)
    some = np.linspace(0, n, min(n, looked or n), endpoint=False).astype(np.int32)
    validation = taken(data.validation, np.arange(looked))
    arrays = Known(vectors, train, place.astype(np.int32), taken(train, some), validation, held)
    return arrays, len(own)


def taken(samples: Samples, rows: Int[ndarray, "k"]) -> Samples:
    """Some of the samples, in single precision."""
    x = np.asarray(samples.x)[rows]
    return Samples(x.astype(np.float32), np.asarray(samples.environment)[rows].astype(np.int32))


def reference(known: Known) -> int | None:
    """The environment of the zero vector, where samples of it are trained on."""
    own = np.unique(known.train.environment)
    plain = own[~np.any(known.vectors[own] != 0, axis=1)]
    return int(plain[0]) if len(plain) else None


def held_out(train: Samples, vectors: Float[ndarray, "e v"]) -> Int[ndarray, "h"]:
    """A tenth of the training environments, evenly; never the reference, and one at least."""
    own = np.unique(train.environment)
    treated = own[np.any(vectors[own] != 0, axis=1)]
    if len(treated) < 2:
        raise ValueError(
            f"`stop` is on with {len(treated)} training environments beside the reference; "
            "one is held out and one must remain: turn it off"
        )
    return treated[min(TENTH, len(treated)) // 2 :: TENTH]


def started(parts: Parts, temperature: Scalar, *, stop: bool) -> State:
    """One fit before its first step."""
    none = jnp.float32(0)
    kept = Fitted(parts["model"].params, temperature) if stop else None
    return State(parts, temperature, temperature, none, kept, jnp.float32(jnp.inf), none)


@functools.lru_cache(maxsize=64)
def stepper(family: Family, settings: Settings) -> Step:
    """One epoch and a look; the data are what is `Known`."""

    def step(key: Key, state: State, data: Known) -> tuple[State, Info]:
        now = state.wanted
        if settings.anneal:
            now = annealed(now, state.epochs / settings.epochs)
        parts, info = epoch(key, state.parts, data, family, settings, now, state.epochs)
        model = Fitted(parts["model"].params, now)
        looks = {"error": data.again, "validation": data.validation}
        for name, samples in looks.items():
            info[name] = error(family, model, samples, data.vectors)
        state = state._replace(parts=parts, now=now, epochs=state.epochs + 1)
        if not settings.stop:
            return state, info
        info["held"] = error(family, model, data.held, data.vectors)
        better = info["held"] < state.least
        kept = jax.tree.map(lambda a, b: jnp.where(better, a, b), model, state.kept)
        least = jnp.where(better, info["held"], state.least)
        return state._replace(
            kept=kept, least=least, since=jnp.where(better, 0.0, state.since + 1)
        ), info

    return step


def epoch(
    key: Key,
    parts: Parts,
    data: Known,
    family: Family,
    settings: Settings,
    temperature: Scalar,
    done: Scalar,
) -> tuple[Parts, Info]:
    """All minibatches, and the mean of what they told; samples that fill none wait for another."""
    k_order, k_run = jax.random.split(key)
    n = len(data.place)
    size = min(settings.batch, n)
    rounds = n // size
    rows = shuffled(k_order, n)[: rounds * size].reshape(rounds, size)
    beta = warm(settings.beta, done, settings.warmup)

    keys = jax.random.split(k_run, (rounds, family.keys))

    def turn(parts: Parts, at: tuple[Array, Array, Keys]) -> tuple[Parts, Info]:
        own, place, keys = at
        late = done * rounds + place >= settings.irm_after
        pace = Pace(temperature, beta, jnp.where(late, settings.irm, 0.0))
        e = data.vectors[data.train.environment[own]]
        batch = Batch(data.train.x[own], e, data.place[own], keys, pace)
        return family.turn(keys[0], parts, batch)

    parts, info = jax.lax.scan(turn, parts, (rows, jnp.arange(rounds), keys))
    return parts, jax.tree.map(jnp.mean, info)


def shuffled(key: Key, n: int) -> Int[Array, "n"]:
    """The rows in a random order; the key is used.

    Sorted are words whose high bits are drawn and whose low bits are the row: a tenth of the time
    of `jax.random.permutation`, which longer data need, for the fewer bits drawn tie more often.
    """
    bits = (n - 1).bit_length()
    if bits > PACKED:
        return jax.random.permutation(key, n)
    words = jax.random.bits(key, (n,), jnp.uint32) >> bits << bits
    low = jax.lax.sort(words | jnp.arange(n, dtype=jnp.uint32)) & jnp.uint32((1 << bits) - 1)
    return low.astype(jnp.int32)


def error(family: Family, model: Fitted, samples: Samples, vectors: Float[Array, "e v"]) -> Scalar:
    """Mean square per feature of what the means of the posteriors miss; nan without samples."""
    n, features = samples.x.shape
    if not n:
        return jnp.float32(jnp.nan)
    size = min(BLOCK, n)
    more = -n % size
    # the last block is filled up with rows that count for nothing
    x = jnp.pad(samples.x, ((0, more), (0, 0))).reshape(-1, size, features)
    environment = jnp.pad(samples.environment, (0, more)).reshape(-1, size)
    keep = jnp.pad(jnp.ones(n), (0, more)).reshape(-1, size)

    def block(rows: tuple[Array, Array, Array]) -> Scalar:
        x, environment, keep = rows
        e = vectors[environment]
        mean, _ = family.encode(model.params, model.temperature, x, e)
        squares = jnp.sum((family.decode(model.params, mean, e) - x) ** 2, axis=1)
        return jnp.sum(jnp.where(keep > 0, squares, 0.0))

    return jnp.sum(jax.lax.map(block, (x, environment, keep))) / (n * features)


def fitted(state: State) -> Fitted:
    """What embeds from now on."""
    if state.kept is not None:
        return state.kept
    return Fitted(state.parts["model"].params, state.now)


def patient(settings: Settings) -> Hook:
    """Ends the training once no fit has had a better epoch for so long."""

    def hook(done: int, state: Any, info: Info) -> bool:
        del done, info
        return settings.stop and bool(jnp.min(state.since) > settings.patience)

    return hook
