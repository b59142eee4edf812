"""Options of `epistax check`."""

from dataclasses import dataclass
from typing import ClassVar

from epistax.distributed.flags import option
from epistax.distributed.options.shared import ScreenOptions, TableOptions


@dataclass(frozen=True, kw_only=True)
class Check(TableOptions, ScreenOptions):
    """Read files and say what is in them, what will be dropped and why."""

    verb: ClassVar[str] = "check"
    example: ClassVar[str] = "epistax check screen.h5ad --known complexes.txt"

    files: tuple[str, ...] = option(
        ...,
        "pair tables, square matrices or screens to read",
        metavar="FILE",
        positional=True,
        path=True,
    )
    known: tuple[str, ...] = option(
        (),
        "file of known interactions, or of gene sets, to match with the labels; repeat for more",
        metavar="FILE",
        path=True,
        group="reading",
    )
