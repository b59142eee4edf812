"""`epistax status DIR`: how far a run is, from its files alone."""

from collections.abc import Mapping
from typing import Any

from epistax.distributed import upkeep
from epistax.distributed.options import Status
from epistax.distributed.progress import clock


def run(options: Status) -> dict[str, Any]:
    """Read; a run that is going on does not notice."""
    return upkeep.status(options.directory)


def describe(summary: Mapping[str, Any]) -> str:
    """Counts, and a line a worker."""
    lines = [f"{summary['directory']}: {summary['verb']}, {summary['state']}"]
    if summary["chunks"]:
        line = f"{summary['done']:,} of {summary['chunks']:,} chunks done"
        if summary["chunks_per_second"]:
            line += f", {summary['chunks_per_second']:.3g}/s, {clock(summary['seconds_left'])} left"
        lines.append(line)
    counts = ((summary[name], name) for name in ("failed", "deaths", "strikes"))
    if trouble := [f"{count} {name}" for count, name in counts if count]:
        lines.append(", ".join(trouble))
    for worker in summary["workers"]:
        where = [f"{key} {worker[key]}" for key in ("pid", "node", "actor") if key in worker]
        end = f"; died: {worker['died']}" if worker["died"] else ""
        lines.append(f"  {worker['name']}: {worker['done']} done; {', '.join(where)}{end}")
    if summary["state"] in ("killed", "stopped"):
        lines.append("the same command with --resume goes on")
    return "\n".join(lines)
