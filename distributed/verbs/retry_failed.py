"""`epistax retry-failed DIR`: try again what a run had to list as failed."""

from collections.abc import Mapping
from typing import Any

from epistax.distributed import upkeep
from epistax.distributed.options import RetryFailed


def run(options: RetryFailed) -> dict[str, Any]:
    """Only the chunks that failed, and what is concluded from all."""
    return upkeep.retry_failed(options.directory, quiet=options.quiet)


def describe(summary: Mapping[str, Any]) -> str:
    """How it went."""
    left = summary["n_failed"]
    return f"{summary['retried']:,} chunks tried again; " + (
        f"{left:,} pairs still fail" if left else "none fails now"
    )
