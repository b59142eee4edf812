"""What a run of models of effects has read, and what it left out."""

from collections.abc import Mapping
from typing import Any

from epistax.distributed.report.sections.blocks import Block, Items, left_out, plural


def lacking(summary: Mapping[str, Any]) -> list[Block]:
    """What was left out of the file, then of its combinations, if anything was."""
    items = (*left_out(summary["input"].get("left_out")), *left_out(summary["left_out"]))
    return [Items("Left out", items)] if items else []


def rows_of(summary: Mapping[str, Any]) -> str:
    """How many rows of how many genes, and how many of them are no pair of two."""
    kinds = {"a gene with itself": "pairs_of_itself", "three genes or more": "larger"}
    parts = [f"{summary[key]:,} of {words}" for words, key in kinds.items() if summary[key]]
    special = f" ({', '.join(parts)})" if parts else ""
    return f"{plural(summary['rows'], 'row')} of {plural(summary['genes'], 'gene')}{special}"
