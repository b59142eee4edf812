"""Settings of models given by hand: NAME=VALUE, by the names that their records have.

A name is that of a field of the model, of its training, its widths or its relations, such as
rate or clip; one that several parts have is written with its part: relations.depth.
"""

import dataclasses
import types
import typing
from collections.abc import Iterator, Sequence
from typing import Any

from epistax.distributed.errors import BadInput
from epistax.distributed.flags import did_you_mean
from epistax.distributed.formats.where import short

WORDS = {"true": True, "false": False, "none": None}


def changed(config: Any, given: Sequence[str]) -> Any:
    """The settings with those given that they have. BadInput for values that they refuse."""
    for text in given:
        name, value = parsed(text)
        for path in paths(config, name):
            config = replaced(config, path, name, value)
    return config


def refuse(configs: Sequence[Any], given: Sequence[str]) -> None:
    """BadInput for a name that none of the models has, or that is not one alone."""
    for text in given:
        name, _ = parsed(text)
        found = [paths(config, name) for config in configs]
        if not any(found):
            known = sorted({path[-1] for config in configs for path, _ in fields(config)})
            raise BadInput(
                f"--setting: {short(name)} is no setting of the models{did_you_mean(name, known)}; "
                f"they have {', '.join(known)}"
            )
        if any(len(one) > 1 for one in found):
            several = ", ".join(".".join(p[-2:]) for one in found for p in one)
            raise BadInput(f"--setting: {short(name)} is of several parts; write one of {several}")


def parsed(text: str) -> tuple[str, str]:
    """Name and value."""
    name, sign, value = (part.strip() for part in text.partition("="))
    if not (name and sign and value):
        raise BadInput(f"--setting: {short(text)} is not NAME=VALUE, such as rate=0.001")
    return name, value


def fields(config: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every setting, by its path through the records, and what values it takes."""
    hints = typing.get_type_hints(type(config))
    for field in dataclasses.fields(config):
        inner = getattr(config, field.name)
        if dataclasses.is_dataclass(inner):
            for path, kind in fields(inner):
                yield (field.name, *path), kind
        else:
            yield (field.name,), hints[field.name]


def paths(config: Any, name: str) -> list[tuple[str, ...]]:
    """The settings of this name; a dotted name is the end of a path."""
    parts = tuple(name.split("."))
    return [path for path, _ in fields(config) if path[-len(parts) :] == parts]


def replaced(config: Any, path: tuple[str, ...], name: str, text: str) -> Any:
    """The same with one setting changed."""
    if len(path) > 1:
        inner = replaced(getattr(config, path[0]), path[1:], name, text)
        return dataclasses.replace(config, **{path[0]: inner})
    kind = dict(fields(config))[path]
    value = read(kind, text)
    if value is REFUSED:
        raise BadInput(f"--setting: {name}={short(text)}: give {told(kind)}")
    try:
        return dataclasses.replace(config, **{path[0]: value})
    except ValueError as error:
        raise BadInput(f"--setting: {name}={short(text)}: {error}") from None


REFUSED = object()


def read(kind: Any, text: str) -> Any:
    """The value that a text is as one of a kind; REFUSED where it is none."""
    word = WORDS.get(text.lower(), text)
    for one in kinds(kind):
        if typing.get_origin(one) is typing.Literal and text in typing.get_args(one):
            return text
        if one in (bool, types.NoneType) and isinstance(word, one):
            return word
        if typing.get_origin(one) is tuple and text.replace(",", "").isdigit():
            return tuple(int(part) for part in text.split(",") if part)
        if one in (int, float) and isinstance(word, str):
            try:
                return one(text)
            except ValueError:
                continue
    return REFUSED


def kinds(kind: Any) -> tuple[Any, ...]:
    """The parts of a union."""
    unions = (typing.Union, types.UnionType)
    return typing.get_args(kind) if typing.get_origin(kind) in unions else (kind,)


def told(kind: Any) -> str:
    """What values a kind has, in words."""
    words = []
    for one in kinds(kind):
        if typing.get_origin(one) is typing.Literal:
            words += typing.get_args(one)
        else:
            names = {bool: "true or false", int: "a whole number", float: "a number",
                     types.NoneType: "none"}  # fmt: skip
            words.append(names.get(one, "whole numbers with commas between them"))
    return " or ".join(words)
