"""A picture drawn for a section, kept beside the report."""

from typing import Any

from epistax.distributed.report import pictures
from epistax.distributed.report.sections.blocks import Figure
from epistax.distributed.report.sections.runs import Run


def figure(run: Run, name: str, caption: str, drawn: Any) -> Figure:
    """As SVG and PNG, in the run's own folder."""
    return Figure(name, caption, *pictures.rendered(name, drawn), run.path / "figures")
