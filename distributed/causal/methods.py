"""A model of causal embeddings by its name: the one place that asks the engine for one."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from epistax.distributed import settings as by_hand
from epistax.distributed.causal.dividing import Division
from epistax.distributed.causal.vectors import MADE_UP
from epistax.distributed.errors import BadInput
from epistax.distributed.options.causal import EnvironmentOptions
from epistax.engine.causal import catalogue
from epistax.engine.causal.records import Method
from epistax.engine.types import Info, Keys

Settings: TypeAlias = catalogue.Settings
GATED = ("environment", "translation", "adversarial", "structured")  # that have a temperature


def settings(
    name: str, options: EnvironmentOptions, division: Division, temperature: float | None = None
) -> Settings:
    """The settings of a model for such data, those given by hand among them. BadInput."""
    table = division.table
    given = {
        "latents": options.latents,
        "epochs": options.epochs,
        "temperature": temperature if name in GATED else None,
    }
    changes: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    if options.latents is not None and options.latents > len(table.genes):
        raise BadInput(
            f"--latents: {options.latents} latents are more than the {len(table.genes)} features "
            f"of {table.census.source}; give at most as many"
        )
    found = catalogue.settings(
        name,
        samples=int((~division.validating).sum()),
        features=len(table.genes),
        vector=table.every.vectors.shape[1],
        preset=options.preset,
        **changes,
    )
    changed: Settings = by_hand.changed(found, options.setting)
    return changed


def refuse(
    names: Sequence[str], options: EnvironmentOptions, division: Division, *, cooled: bool
) -> None:
    """BadInput for settings by hand that no model has, or that one refuses.

    cooled: a temperature is given.
    """
    bare = catalogue.settings(
        names[0], samples=1, features=len(division.table.genes), vector=1, preset=options.preset
    )
    by_hand.refuse([bare], options.setting)
    if cooled and not set(names) & set(GATED):
        raise BadInput(
            f"--temperature: {', '.join(names)} has no gate; drop it, or choose one of "
            f"{', '.join(GATED)}"
        )
    for name in names:
        settings(name, options, division)


def method(name: str, config: Settings, temperatures: Sequence[float] = ()) -> Method:
    """The model of these settings; temperatures: one a fit."""
    return catalogue.method(name, config, temperatures=tuple(temperatures) or None)


def keys(first: int, count: int) -> Keys:
    """One a fit, of seeds that follow one another."""
    return jnp.stack([jax.random.key(seed) for seed in range(first, first + count)])


def curve(info: Info) -> Iterator[tuple[int, int, float, float, float]]:
    """(fit, epoch, loss, error, validation) of every epoch."""
    names = ("loss", "error", "validation")
    values = np.stack([np.asarray(info[name], np.float64) for name in names])
    for fit in range(values.shape[2]):
        for epoch in range(values.shape[1]):
            loss, error, validation = values[:, epoch, fit]
            yield fit, epoch + 1, loss, error, validation


def remarks(division: Division) -> tuple[str, ...]:
    """What the vectors are, and what is compared with what."""
    table, lines = division.table, []
    if table.coding.kind in MADE_UP:
        lines.append(
            f"vectors are made up ({table.coding.kind}): they tell environments apart and say "
            "nothing of those that are not trained on"
        )
    if not table.every.reference.any():
        lines.append("no environment is the reference: none is a control, and no vector is zero")
    elif (table.every.perturbation >= 0).all():
        name = table.every.names[int(np.flatnonzero(table.every.reference)[0])]
        lines.append(f"no environment is a control: the reference is {name}, whose vector is zero")
    return tuple(lines)
