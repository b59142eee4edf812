"""`epistax repair DIR`: compute again what is damaged or missing in a run."""

from collections.abc import Mapping
from typing import Any

from epistax.distributed import upkeep
from epistax.distributed.options import Repair


def run(options: Repair) -> dict[str, Any]:
    """Only the bad shards, and what is concluded from them."""
    return upkeep.repair(options.directory, quiet=options.quiet)


def describe(summary: Mapping[str, Any]) -> str:
    """What was thrown away."""
    lines = [f"computed again: {name}" for name in summary["removed"]]
    return "\n".join(lines or ["nothing was damaged"])
