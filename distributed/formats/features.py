"""Which columns are features: named, by pattern, or numbered alike (emb_0, emb_1, ...)."""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from epistax.distributed.errors import BadInput
from epistax.distributed.flags import did_you_mean
from epistax.distributed.formats.where import listed

NUMBERED = re.compile(r"(.*?)(\d+)", re.DOTALL)
BUT = "!"  # before a name or pattern: leave it out


def pick(source: str, names: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Positions of the wanted names and patterns, in the order of the file; nothing wanted: all.

    `!NAME` leaves out; where nothing else is wanted, out of all names. Each must match something.
    """
    if not wanted:
        return [*range(len(names))]
    place: dict[str, list[int]] = {}
    for k, name in enumerate(names):
        place.setdefault(name, []).append(k)

    def matches(word: str) -> list[int]:
        found = place.get(word) or [k for k, name in enumerate(names) if fnmatchcase(name, word)]
        if not found:
            has = listed([repr(name) for name in names])
            raise BadInput(
                f"{source}: no feature is {word!r}{did_you_mean(word, names)};"
                f" it has {has} (--features)"
            )
        return found

    without = {k for word in wanted if word.startswith(BUT) for k in matches(word[len(BUT) :])}
    asked = [word for word in wanted if not word.startswith(BUT)]
    within = {k for word in asked for k in matches(word)} if asked else set(range(len(names)))
    if not within - without:
        raise BadInput(f"{source}: --features leaves no feature of {len(names):,}; name some")
    return sorted(within - without)


def only_without(wanted: Sequence[str]) -> bool:
    """Whether names are left out, and none is asked for."""
    return bool(wanted) and all(word.startswith(BUT) for word in wanted)


def numbered(names: Sequence[str]) -> dict[str, list[int]]:
    """Positions of names that are one prefix and an integer, at least two of them, by prefix."""
    groups: dict[str, list[int]] = {}
    for k, name in enumerate(names):
        parts = NUMBERED.fullmatch(name)
        if parts:
            groups.setdefault(parts[1], []).append(k)
    return {prefix: members for prefix, members in groups.items() if len(members) > 1}
