"""One field of a frozen dataclass is one flag, one TOML key and one entry of run.json.

`option` declares it, `build` makes the dataclass from raw values (strings of a command line or
values of a TOML file) with one wording of every complaint. Standard library only: a usage error
must not wait for an array library.
"""

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from epistax.distributed.errors import BadInput

T = TypeVar("T")


@dataclass(frozen=True)
class Rule:
    """A test of a value and how a value that passes is called."""

    holds: Callable[[Any], bool]
    phrase: str


POSITIVE = Rule(lambda v: v > 0, "a positive number")
NON_NEGATIVE = Rule(lambda v: v >= 0, "zero or a positive number")
FRACTION = Rule(lambda v: 0 < v <= 1, "a fraction above 0 and at most 1")
SHARE = Rule(lambda v: 0 <= v < 1, "a fraction from 0 to below 1")


@dataclass(frozen=True)
class Flag:
    """What a field says about itself beyond its name, type and default."""

    help: str
    choices: tuple[str, ...] = ()
    metavar: str = ""
    rule: Rule | None = None
    group: str = ""
    auto: str = ""  # what a default of None means, in words
    positional: bool = False
    split: bool = False  # one flag may carry several values, separated by commas
    path: bool = False  # an input file: the run key takes its content, not its name
    result: bool = True  # whether it can change the figures of a run


def option(default: Any, help: str, **about: Any) -> Any:
    """A field with its flag; a default of `...` makes it required."""
    metadata = {"flag": Flag(help, **about)}
    if default is ...:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Spec:
    """A field, read: how its raw value becomes a value."""

    field: str
    kind: type  # bool, int, float or str
    words: tuple[str, ...]  # words allowed beside numbers, such as auto
    repeat: bool
    default: Any  # dataclasses.MISSING where required
    flag: Flag
    own: bool  # declared by the verb itself, not shared

    @property
    def shown(self) -> str:
        """How the user writes it: PAIRS or --lam."""
        if self.flag.positional:
            return self.flag.metavar or self.field.upper()
        return "--" + self.field.replace("_", "-")


def specs(cls: type) -> dict[str, Spec]:
    """The flags of an options class by field name."""
    hints = typing.get_type_hints(cls)
    found = {}
    for field in dataclasses.fields(cls):
        if "flag" in field.metadata:
            kind, words, repeat = shape(hints[field.name])
            own = field.name in cls.__dict__.get("__annotations__", {})
            flag = field.metadata["flag"]
            found[field.name] = Spec(field.name, kind, words, repeat, field.default, flag, own)
    # the verb's own first, what every verb has last: the order of --help
    order = {name: (not s.own, s.flag.group == "output") for name, s in found.items()}
    return {name: found[name] for name in sorted(found, key=order.__getitem__)}


def shape(hint: Any) -> tuple[type, tuple[str, ...], bool]:
    """Kind, allowed words and whether it repeats, from an annotation such as int | None."""
    if typing.get_origin(hint) is tuple:
        kind, words, _ = shape(typing.get_args(hint)[0])
        return kind, words, True
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    parts = [p for p in (typing.get_args(hint) if union else (hint,)) if p is not type(None)]
    words = tuple(w for p in parts if typing.get_origin(p) is Literal for w in typing.get_args(p))
    kinds = [p for p in parts if p in (bool, int, float, str)]
    return (kinds[0] if kinds else str), words, False


def build(cls: type[T], raw: Mapping[str, Any], place: Callable[[Spec], str]) -> T:
    """The options from raw values by field name; place words where a value was written."""
    table = specs(cls)
    values = {name: convert(table[name], value, place(table[name])) for name, value in raw.items()}
    for name, spec in table.items():
        missing = name not in values and spec.default is dataclasses.MISSING
        if missing or (spec.repeat and spec.flag.positional and not values.get(name, True)):
            raise BadInput(f"{spec.shown} is missing: {spec.flag.help}")
    return cls(**values)


def convert(spec: Spec, raw: Any, place: str) -> Any:
    """One raw value, checked; a list or a repeated flag gives a tuple."""
    if spec.repeat:
        items = raw if isinstance(raw, list | tuple) else [raw]
        if spec.flag.split:
            items = [p for r in items for p in (r.split(",") if isinstance(r, str) else [r])]
        return tuple(single(spec, item, place) for item in items)
    if isinstance(raw, list | tuple | dict):
        raise BadInput(f"{place}: one value is needed, not {raw!r}")
    return single(spec, raw, place)


def single(spec: Spec, raw: Any, place: str) -> Any:
    """One element: a word, or a value of the field's kind that keeps the field's rule."""
    if raw in spec.words:
        return raw
    if spec.flag.choices and raw not in spec.flag.choices:
        known = ", ".join(spec.flag.choices)
        raise BadInput(
            f"{place}: {raw!r} is not one of {known}{did_you_mean(str(raw), spec.flag.choices)}"
        )
    value = parse(spec, raw, place)
    if spec.flag.rule is not None and not spec.flag.rule.holds(value):
        raise BadInput(f"{place}: {raw} is not {spec.flag.rule.phrase}")
    return value


def parse(spec: Spec, raw: Any, place: str) -> Any:
    """Text or a TOML value as the field's kind."""
    or_word = "".join(f" or {word}" for word in spec.words)
    if spec.kind is bool:
        if not isinstance(raw, bool):
            raise BadInput(f"{place}: {raw!r} is not true or false")
        return raw
    if spec.kind is str:
        if not isinstance(raw, str) or not raw:
            raise BadInput(f"{place}: {raw!r} is not a name; give some text")
        return raw
    noun = "a whole number" if spec.kind is int else "a number"
    try:
        value = spec.kind(raw) if isinstance(raw, str) else raw
        if isinstance(value, bool) or not math.isfinite(value) or spec.kind(value) != value:
            raise ValueError
    except (ValueError, TypeError, OverflowError):
        raise BadInput(f"{place}: {raw!r} is not {noun}{or_word}") from None
    return spec.kind(value)


def asked(table: Mapping[str, Spec], given: Mapping[str, Any]) -> list[str]:
    """Words of a command line that say these values; what is the default goes unsaid."""
    words: list[str] = []
    for name, spec in sorted(table.items(), key=lambda item: not item[1].flag.positional):
        value = listed(given.get(name, spec.default))
        if value is None or value == listed(spec.default):
            continue
        values = [typed(one) for one in (value if isinstance(value, list) else [value])]
        if spec.flag.positional:
            words += values
        elif spec.kind is bool:
            words.append(spec.shown)
        elif spec.flag.split:
            words += [spec.shown, ",".join(values)]
        else:
            words += [word for one in values for word in (spec.shown, one)]
    return words


def typed(value: Any) -> str:
    """A value as a flag takes it."""
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` (did you mean X?)` where something close exists, else nothing."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]}?)" if close else ""


def as_json(options: Any) -> dict[str, Any]:
    """Every option by name, as run.json holds it."""
    return {f.name: listed(getattr(options, f.name)) for f in dataclasses.fields(options)}


def decisive(options: Any) -> dict[str, Any]:
    """The options that can change the figures; input files are left to their content."""
    keep = [n for n, s in specs(type(options)).items() if s.flag.result and not s.flag.path]
    return {name: listed(getattr(options, name)) for name in sorted(keep)}


def listed(value: Any) -> Any:
    """Tuples as lists, as JSON gives them back."""
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
