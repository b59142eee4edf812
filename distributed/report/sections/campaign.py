"""Where a campaign stands: rounds, results, the best pairs, damage, how it was begun."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from epistax.distributed.report.sections.blocks import (
    Block,
    Figure,
    Figures,
    Items,
    Section,
    Table,
    Text,
    number,
    padded,
    percent,
    plural,
)

MAP = "belief"  # the picture that `campaign propose` draws
SHOWN = 400  # rows of a batch


def section(summary: Mapping[str, Any], batch: Mapping[str, Any] | None, folder: Path) -> Section:
    """All of it; batch is the record of the last round, folder holds the pictures of it."""
    blocks: list[Block] = [Text(state(summary)), Text(f"Next: {summary['next']}")]
    blocks += [*damage(summary), *chosen(batch), *believed(batch, folder)]
    blocks += [*rounds(summary), *best(summary), *results(summary)]
    blocks.append(facts(summary))
    return Section("Campaign", tuple(blocks))


def state(summary: Mapping[str, Any]) -> str:
    """The campaign in a paragraph."""
    share = percent(summary["measured"] / summary["pairs"])
    return (
        f"{plural(summary['pairs'], 'pair')} of {plural(summary['perturbations'], 'gene')}: "
        f"{summary['measured']:,} measured ({share}), {summary['pending']:,} pending, "
        f"{summary['failed']:,} failed, {summary['open']:,} open. "
        f"{plural(summary['rounds_proposed'], 'round')} proposed; planned were round 0 and "
        f"{summary['rounds_planned']} more."
    )


def damage(summary: Mapping[str, Any]) -> Iterator[Block]:
    """Files that are not as they were written."""
    found = tuple(f"{f['file']} {f['problem']}: {f['remedy']}" for f in summary["damaged"])
    if found:
        yield Items("Files that are not as they were written", found)


def chosen(batch: Mapping[str, Any] | None) -> Iterator[Block]:
    """The last batch, with the reason of every pair."""
    if batch is None:
        return
    *head, _ = batch["columns"]  # the last is the campaign
    rows = tuple(tuple(row[: len(head)]) for row in batch["rows"][:SHOWN])
    left = len(batch["rows"]) - len(rows)
    note = f"{left:,} more rows are in proposed.csv." if left else ""
    yield Table(f"Chosen in round {batch['round']}", tuple(head), rows, names=2, words=1, note=note)


def believed(batch: Mapping[str, Any] | None, folder: Path) -> Iterator[Block]:
    """What was believed when it was chosen, where that was drawn."""
    path = folder / f"{MAP}-{batch['round']:04d}.svg" if batch else folder
    if path.is_file() and not path.is_symlink():
        caption = (
            f"Belief that chose round {batch['round'] if batch else ''}: expected and sd of "
            "rewards in the units of the scores, among the perturbations most often chosen."
        )
        yield Figures((Figure(path.stem, caption, path.read_bytes()),), wide=True)


def rounds(summary: Mapping[str, Any]) -> Iterator[Block]:
    """A row a round."""
    rows = tuple(
        (
            str(entry["round"]),
            *(f"{entry[name]:,}" for name in ("proposed", "measured", "pending", "failed")),
            padded(entry["mean_score"]),
            padded(entry["best_score"]),
            number(entry["cost"], 4),
        )
        for entry in summary["rounds"]
    )
    head = ("round", "proposed", "measured", "pending", "failed", "mean score", "highest", "cost")
    if rows:
        yield Table("Rounds", head, rows)


def best(summary: Mapping[str, Any]) -> Iterator[Block]:
    """The pairs of the highest reward."""
    rows = tuple(
        (
            entry["a"],
            entry["b"],
            padded(entry["reward"]),
            padded(entry["score"]),
            padded(entry["se"]),
            str(entry["wells"]),
            "" if entry["round"] is None else str(entry["round"]),
        )
        for entry in summary["best"]
    )
    if rows:
        note = f"Reward: {summary['reward']}. Repeated measurements are combined."
        head = ("a", "b", "reward", "score", "se", "wells", "round")
        yield Table("Best pairs so far", head, rows, names=2, note=note)


def results(summary: Mapping[str, Any]) -> Iterator[Block]:
    """A row a recorded file."""
    names = ("rows", "measured", "failed", "again", "unproposed", "repeated")
    rows = tuple(
        (entry["file"], entry["given"], *(f"{entry[name]:,}" for name in names))
        for entry in summary["results"]
    )
    if rows:
        note = "again: measured before; repeated: rows that another file holds."
        yield Table("Results recorded", ("file", "given as", *names), rows, names=2, note=note)


def facts(summary: Mapping[str, Any]) -> Table:
    """How it was begun."""
    names = ("campaign", "policy", "belief", "reward", "seed", "batch")
    rules = {
        name.replace("_", " "): f"{len(value):,} entries" if isinstance(value, list) else value
        for name, value in summary["constraints"].items()
        if name != "batch"
    }
    told = {name: summary[name] for name in names} | rules
    return Table("How it was begun", ("fact", "value"),
                 tuple((name, str(value)) for name, value in told.items()), names=2)  # fmt: skip
