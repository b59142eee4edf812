"""Labels and doses of cells as arms: `A` at dose 0.3, `A+B` at 0.1+0.3.

A dose is written as its label is: as many numbers, joined alike. A cell without a dose has dose 1.
An arm is called by its label, and by `@` and its doses where they are not all 1.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from epistax.distributed.errors import BadInput
from epistax.distributed.flags import did_you_mean
from epistax.distributed.formats.where import Where, listed, short
from epistax.distributed.labels import encode, role

CONTROL = "control"


@dataclass(frozen=True)
class Arms:
    """What was done, to whom: arm 0 is the control, and perturbation 0 too."""

    perturbations: tuple[str, ...]  # the columns of doses
    doses: np.ndarray  # float32 [a, r]
    names: tuple[str, ...]  # [a]
    labels: tuple[str, ...]  # combinations, whatever their doses; "control" is the first
    label: np.ndarray  # int32 [a], of each arm
    of: np.ndarray  # int32 [n], arm of each cell; -1 where nobody knows
    unassigned: tuple[str, ...]
    undosed: int  # perturbed cells without a dose in a column of doses


def read_arms(
    label: pl.Series,
    dose: pl.Series | None,
    flagged: np.ndarray | None,
    where: Where,
    *,
    sep: str,
    control: tuple[str, ...],
) -> Arms:
    """The arms of n cells; flagged: controls by a column of their own. BadInput as found."""
    label = label.cast(pl.String).fill_null("").str.strip_chars()
    if flagged is not None:
        control = controls_of(label, flagged, where, control, sep)
    encode([label], where, sep=sep, control=control)
    text = pl.Series([""] * len(label)) if dose is None else dose.cast(pl.String).fill_null("")
    both = pl.DataFrame({"label": label, "dose": text.str.strip_chars()})
    distinct = both.with_row_index("row").group_by("label", "dose", maintain_order=True).first()
    code = both.join(
        distinct.with_row_index("code"), on=["label", "dose"], how="left", maintain_order="left"
    )["code"].to_numpy()
    parsed = [
        parse(word, amount, int(row), where, sep, control)
        for word, amount, row in distinct.select("label", "dose", "row").iter_rows()
    ]
    found = sorted({p for p in parsed if p}, key=order)
    place = {one: k + 1 for k, one in enumerate(found)} | {(): 0}
    names = sorted({name for one in found for name, _ in one})
    column = {name: k + 1 for k, name in enumerate(names)}
    doses = np.zeros((len(found) + 1, len(names) + 1), np.float32)
    doses[0, 0] = 1.0
    for k, one in enumerate(found):
        for name, amount in one:
            doses[k + 1, column[name]] += amount
    words = [sep.join(name for name, _ in one) for one in found]
    labels = (CONTROL, *dict.fromkeys(words))
    of = np.array([-1 if p is None else place[p] for p in parsed], np.int32)[code]
    blank = (both["dose"] == "").to_numpy() & (of > 0) if dose is not None else np.zeros(1, bool)
    return Arms(
        perturbations=(CONTROL, *names),
        doses=doses,
        names=(CONTROL, *(name_of(one, sep) for one in found)),
        labels=labels,
        label=np.array([0, *(labels.index(word) for word in words)], np.int32),
        of=of,
        unassigned=tuple({word or "(empty)": 0 for word, _, p in
                          zip(distinct["label"], distinct["dose"], parsed, strict=True)
                          if p is None}),
        undosed=int(blank.sum()),
    )  # fmt: skip


def controls_of(
    label: pl.Series, flagged: np.ndarray, where: Where, given: tuple[str, ...], sep: str
) -> tuple[str, ...]:
    """The labels of the cells that a column of its own calls controls, which no other cell has.

    In a combination the usual names count too: `A+ctrl` is A.
    """
    own = set(label.filter(pl.Series(flagged)).unique()) | set(given)
    mixed = np.flatnonzero(label.is_in(list(own)).to_numpy() & ~flagged)
    if len(mixed):
        remedy = "correct one of the two columns"
        problem = "is the label of control cells, and the column of controls does not say so here"
        raise where.fault(mixed, label[int(mixed[0])], problem, remedy)
    joined = [word.split(sep) for word in label.unique() if sep in word]
    usual = {part.strip() for parts in joined for part in parts if role(part.strip()) == "control"}
    return tuple(sorted(own | usual))


def parse(
    word: str, amount: str, row: int, where: Where, sep: str, control: tuple[str, ...]
) -> tuple[tuple[str, float], ...] | None:
    """(name, dose) by name; nothing of a control, None where a part is unassigned."""
    parts = [part.strip() for part in word.split(sep)]
    kinds = [role(part, control) for part in parts]
    if "unassigned" in kinds:
        return None
    names = [name for name, kind in zip(parts, kinds, strict=True) if kind == "perturbation"]
    cells = amount.split(sep)
    if len(cells) == len(parts) > len(names):  # a dose of the control says nothing
        cells = [cell for cell, kind in zip(cells, kinds, strict=True) if kind == "perturbation"]
    doses = numbers(cells, names, row, where, sep) if amount and names else [1.0] * len(names)
    return tuple(sorted(zip(names, doses, strict=True)))


def numbers(cells: list[str], parts: list[str], row: int, where: Where, sep: str) -> list[float]:
    """The doses of a label's parts."""
    rows, shown = np.array([row]), f"dose {sep.join(cells)} of {sep.join(parts)}"
    if len(cells) != len(parts):
        few = "number is" if len(cells) == 1 else "numbers are"
        problem = f"does not match: {len(cells)} {few} given for {len(parts)} perturbations"
        remedy = f"write a dose a perturbation, as in {sep.join(['0.1'] * len(parts))}"
        raise where.fault(rows, shown, problem, remedy)
    try:
        found = [float(cell) for cell in cells]
    except ValueError:
        raise where.fault(rows, shown, "is no number", "write doses as numbers") from None
    if not all(0 < one < float("inf") for one in found):
        raise where.fault(rows, shown, "is not above 0", "label undosed cells as controls")
    return found


def order(one: tuple[tuple[str, float], ...]) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """By names, then by doses."""
    return tuple(name for name, _ in one), tuple(dose for _, dose in one)


def name_of(one: tuple[tuple[str, float], ...], sep: str) -> str:
    """How an arm is called."""
    word = sep.join(name for name, _ in one)
    if all(dose == 1 for _, dose in one):
        return word
    return f"{word}@{sep.join(f'{dose:g}' for _, dose in one)}"


def dosed(
    text: str, perturbations: tuple[str, ...], sep: str, control: tuple[str, ...]
) -> np.ndarray:
    """The doses [r] of an arm that a user names, as `A+B@0.1+0.3`. BadInput."""
    word, _, amount = text.partition("@")
    one = parse(word.strip(), amount.strip(), 0, Where("--to", text, "arm", 1), sep, control)
    if one is None:
        raise BadInput(f"--to: {short(text)} names no perturbation; give one of the data")
    doses = np.zeros(len(perturbations), np.float32)
    for name, dose in one:
        if name not in perturbations:
            near = did_you_mean(name, perturbations[1:])
            raise BadInput(
                f"--to: {short(name)} is not one of the {len(perturbations) - 1:,} perturbations"
                f"{near}; there are {listed([*perturbations[1:]])}"
            )
        doses[perturbations.index(name)] += dose
    if not one:
        doses[0] = 1.0
    return doses
