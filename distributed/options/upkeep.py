"""Options of `epistax status`, `verify`, `repair` and `retry-failed`."""

from dataclasses import dataclass
from typing import ClassVar

from epistax.distributed.flags import option
from epistax.distributed.options.shared import Options


@dataclass(frozen=True, kw_only=True)
class DirectoryOptions(Options):
    """Shared by the verbs that look after a run."""

    directory: str = option(..., "run directory, as --out named it", metavar="DIR", positional=True)


@dataclass(frozen=True, kw_only=True)
class Status(DirectoryOptions):
    """How far a run is: chunks done and failed, pace, workers and where they are."""

    verb: ClassVar[str] = "status"
    example: ClassVar[str] = "epistax status runs/scores"


@dataclass(frozen=True, kw_only=True)
class Verify(DirectoryOptions):
    """Check every shard of a run against its seal and the manifest; exit 3 if one is bad."""

    verb: ClassVar[str] = "verify"
    example: ClassVar[str] = "epistax verify runs/scores"


@dataclass(frozen=True, kw_only=True)
class Repair(DirectoryOptions):
    """Throw away what is damaged in a run and compute it again, and nothing else."""

    verb: ClassVar[str] = "repair"
    example: ClassVar[str] = "epistax repair runs/scores"


@dataclass(frozen=True, kw_only=True)
class RetryFailed(DirectoryOptions):
    """Try again what a run had to list as failed, such as after more memory was given."""

    verb: ClassVar[str] = "retry-failed"
    example: ClassVar[str] = "epistax retry-failed runs/scores"
