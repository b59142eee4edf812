"""Options of `epistax submit`."""

from dataclasses import dataclass
from typing import ClassVar

from epistax.distributed.flags import option
from epistax.distributed.options.shared import Options


@dataclass(frozen=True, kw_only=True)
class Submit(Options):
    """Run a verb as a job of a Ray cluster: logs come back, and its exit code."""

    verb: ClassVar[str] = "submit"
    example: ClassVar[str] = (
        "epistax submit --address http://head:8265 -- score screen.npz --out /shared/run"
    )

    words: tuple[str, ...] = option(
        ...,
        "the verb and its options, after --; the cluster reads and writes the same folders",
        metavar="-- VERB ...",
        positional=True,
    )
    address: str = option(
        "http://127.0.0.1:8265", "of the cluster's jobs", metavar="URL", group="job"
    )
    wheel: str | None = option(
        None,
        "wheel of epistax to take along",
        metavar="FILE",
        path=True,
        group="job",
        auto="made of the one that runs here",
    )
