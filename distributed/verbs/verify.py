"""`epistax verify DIR`: whether every file of a run is what was written."""

from collections.abc import Mapping
from typing import Any

from epistax.distributed import upkeep
from epistax.distributed.options import Verify


def run(options: Verify) -> dict[str, Any]:
    """Read all of it."""
    return upkeep.verify(options.directory)


def describe(summary: Mapping[str, Any]) -> str:
    """What is wrong, and how to mend it."""
    lines = [f"{entry['file']}: {entry['why']}" for entry in summary["bad"]]
    lines += [f"{path}: has changed since the run read it" for path in summary["inputs_changed"]]
    whole = summary["shards"] - sum("shards/" in e["file"] for e in summary["bad"])
    lines.append(f"{max(whole, 0):,} of {summary['shards']:,} shards are whole")
    if summary["bad"]:
        lines.append(f"mend them: epistax repair {summary['directory']}")
    return "\n".join(lines)
