"""What a run on responses of cells has read, and what it left out."""

from collections.abc import Mapping
from typing import Any

from epistax.distributed.report.sections.blocks import Block, Items, left_out, plural


def cells_of(found: Mapping[str, Any]) -> str:
    """How many cells of what."""
    return (
        f"{plural(found['cells'], 'cell')} of {plural(found['genes'], 'gene')}, "
        f"{plural(found['perturbations'], 'perturbation')} "
        f"({plural(found['arms'], 'arm')} with their doses) in "
        f"{plural(found['strata'], 'stratum', 'strata')}"
    )


def lacking(found: Mapping[str, Any]) -> list[Block]:
    """What was left out of the file, if anything was."""
    items = left_out(found.get("left_out"))
    return [Items("Left out", items)] if items else []
