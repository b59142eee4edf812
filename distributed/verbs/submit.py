"""`epistax submit -- VERB ...`: the same run as a job of a Ray cluster."""

from collections.abc import Mapping
from typing import Any

from epistax.distributed import submit
from epistax.distributed.options import Submit


def run(options: Submit) -> dict[str, Any]:
    """Send, follow, return the job's exit code."""
    return submit.submit(options)


def describe(summary: Mapping[str, Any]) -> str:
    """How it ended."""
    return f"job {summary['job']}: {summary['status'].lower()}, exit code {summary['exit_code']}"
