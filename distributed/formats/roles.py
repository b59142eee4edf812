"""Which column of a screen is what: labels, batch, plate, well, guide; named or known by name."""

from collections.abc import Sequence
from dataclasses import dataclass

from epistax.distributed.errors import BadInput
from epistax.distributed.flags import did_you_mean
from epistax.distributed.formats.where import listed
from epistax.distributed.options.shared import ScreenOptions

LABELS = ("perturbation", "condition", "target_gene", "target", "gene", "label")
GUIDES = ("guide", "guide_id", "sgrna")


@dataclass(frozen=True)
class Roles:
    """Names of columns by what they mean."""

    labels: tuple[str, ...]  # one, or two that hold a member of the pair each
    batch: str | None = None
    plate: str | None = None
    well: str | None = None
    guides: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """Every column that is read, once."""
        used = (*self.labels, self.batch, self.plate, self.well, *self.guides)
        return tuple(dict.fromkeys(name for name in used if name is not None))

    def told(self) -> str:
        """`labels a, b; batch plate; well well`."""
        parts = [("labels", ", ".join(self.labels)), ("batch", self.batch), ("plate", self.plate)]
        parts += [("well", self.well), ("guides", ", ".join(self.guides))]
        return "; ".join(f"{role} {name}" for role, name in parts if name)


@dataclass(frozen=True)
class Held:
    """The columns a file has to offer."""

    source: str
    names: tuple[str, ...]
    kind: str = "column"  # how they are called in messages
    any_case: bool = True  # whether known names are found in any case
    pairs: tuple[tuple[str, str], ...] = ()  # known names of two label columns, in lower case

    def named(self, name: str, flag: str) -> str:
        """A column that the user named, which must be there, once."""
        if name not in self.names:
            near = did_you_mean(name, self.names)
            has = f"it has {listed([repr(n) for n in self.names])}" if self.names else "it has none"
            raise BadInput(f"{self.source}: has no {self.kind} {name!r}{near}; {has} ({flag})")
        if self.names.count(name) > 1:
            raise BadInput(f"{self.source}: has two {self.kind}s {name!r}; rename one")
        return name

    def known(self, name: str) -> str | None:
        """The column of a known (lower-case) name, if there is one."""
        if name in self.names:
            return self.named(name, "")
        lower = [other.lower() for other in self.names] if self.any_case else []
        return self.names[lower.index(name)] if name in lower else None

    def first(self, names: Sequence[str]) -> str | None:
        """The first of several known names that is there."""
        return next((found for found in map(self.known, names) if found is not None), None)

    def pair(self, pairs: Sequence[tuple[str, str]]) -> tuple[str, ...]:
        """The first two columns known to belong together, or none."""
        for first, second in pairs:
            a, b = self.known(first), self.known(second)
            if a is not None and b is not None:
                return a, b
        return ()


def choose(held: Held, options: ScreenOptions) -> Roles:
    """The columns the user named, else those known by name; fails without a label column."""
    labels = find_labels(held, options.label_col)
    if not labels:
        known = ", ".join(LABELS)
        has = listed([repr(name) for name in held.names])
        raise BadInput(
            f"{held.source}: has no {held.kind} of labels ({known}); it has {has}:"
            " name one with --label-col"
        )

    def one(name: str | None, flag: str, known: str) -> str | None:
        return held.known(known) if name is None else held.named(name, flag)

    plate = one(options.plate_col, "--plate-col", "plate")
    return Roles(
        labels,
        one(options.batch_col, "--batch-col", "batch") or plate,
        plate,
        one(options.well_col, "--well-col", "well"),
        find_guides(held, options.guide_col, len(labels)),
    )


def find_labels(held: Held, named: Sequence[str]) -> tuple[str, ...]:
    """One label column or two; none where nothing is named and nothing known by name."""
    if len(named) > 2:
        raise BadInput(f"--label-col: {len(named)} names; give one, or two for pairs")
    if named:
        return tuple(held.named(name, "--label-col") for name in named)
    single = held.first(LABELS)
    return (single,) if single is not None else held.pair(held.pairs)


def find_guides(held: Held, named: Sequence[str], labels: int) -> tuple[str, ...]:
    """The columns of the guides: as many as the labels have where those are two."""
    if named and len(named) > 2:
        raise BadInput(f"--guide-col: {len(named)} names; give one, or two for pairs")
    if len(named) == 1 and labels == 2:
        raise BadInput(f"--guide-col: {named[0]} is one column; give two, one for each label")
    if named:
        return tuple(held.named(name, "--guide-col") for name in named)
    single = held.first(GUIDES)
    return () if single is None else (single,)
