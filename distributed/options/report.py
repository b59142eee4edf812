"""Options of `epistax report`."""

from dataclasses import dataclass
from typing import ClassVar

from epistax.distributed.flags import option
from epistax.distributed.options.shared import Options


@dataclass(frozen=True, kw_only=True)
class Report(Options):
    """Make report.html of a finished run again: one file with tables and pictures."""

    verb: ClassVar[str] = "report"
    example: ClassVar[str] = "epistax report runs/scores"

    directory: str = option(
        ...,
        "run directory of simulate, score or discover, or a directory of such",
        metavar="DIR",
        positional=True,
    )
