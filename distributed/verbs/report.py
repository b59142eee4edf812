"""`epistax report DIR`: report.html of a finished run, of several, or of a campaign, from files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from epistax.distributed.campaign import files
from epistax.distributed.options.campaign import CampaignStatus
from epistax.distributed.options.report import Report
from epistax.distributed.report import page
from epistax.distributed.verbs import campaign


def run(options: Report) -> dict[str, Any]:
    """Make the page, then write it; nothing is written of what cannot be read."""
    if (Path(options.directory) / files.RECORD).is_file():
        status = campaign.status(CampaignStatus(directory=options.directory))
        return {"report": status["report"], "figures": []}
    made = page.compose(Path(options.directory))
    path = page.save(made)
    return {"report": str(path), "figures": [str(figure) for figure in made.figures]}


def describe(summary: Mapping[str, Any]) -> str:
    """Where everything is."""
    figures = (f"figure: {path}" for path in summary["figures"])
    return "\n".join([f"report: {summary['report']}", *figures])
