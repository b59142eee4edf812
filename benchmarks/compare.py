"""Two files of measurements beside each other: what became faster, what slower, what is missing.

Where a measurement has a reference, its ratios to it are compared, for a machine that was slower on
one day was so for both; where it has none, the seconds are, which mean something on an equally idle
machine of the same kind only.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

Record = dict[str, Any]


def read(path: Path) -> list[Record]:
    """The measurements of a file: JSON lines; lines without seconds are left out.

    Raises ValueError naming the line that is not a measurement.
    """
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict) or "name" not in record:
            raise ValueError(f"line {number} is not a measurement")
        if isinstance(record.get("ours_seconds"), int | float):
            found.append(record)
    return found


def key(record: Mapping[str, Any]) -> str:
    """What makes two measurements the same one: name, size, reference, kind of device."""
    parts = (record["name"], record.get("size"), record.get("reference"), record.get("device"))
    return json.dumps(parts, sort_keys=True)


def compare(before: Sequence[Record], after: Sequence[Record], gate: float) -> Record:
    """Every measurement of both files; a `change` above 1 is slower by as much."""
    old, new = ({key(r): r for r in records} for records in (before, after))
    rows = [changed(old[k], new[k], gate) for k in old if k in new]
    return {
        "gate": gate,
        "compared": rows,
        "slower": sum(row["slower"] for row in rows),
        "only_before": named(old[k] for k in old if k not in new),
        "only_after": named(new[k] for k in new if k not in old),
    }


def changed(before: Record, after: Record, gate: float) -> Record:
    """One measurement in both files."""
    by_ratio = bool(before.get("ratio")) and bool(after.get("ratio"))
    seconds = after["ours_seconds"] / before["ours_seconds"]
    change = before["ratio"] / after["ratio"] if by_ratio else seconds
    about = {name: after.get(name) for name in ("name", "size", "reference")}
    sides = {"before": before, "after": after}
    figures = {
        f"{which}_{name}": side.get(name)
        for which, side in sides.items()
        for name in ("ours_seconds", "ratio", "peak_rss_mb")
    }
    by = "ratio" if by_ratio else "seconds"
    return about | figures | {"by": by, "change": change, "slower": change > gate}


def named(records: Iterable[Record]) -> list[Record]:
    """What is in one file only."""
    return [{name: r.get(name) for name in ("name", "size", "reference")} for r in records]
