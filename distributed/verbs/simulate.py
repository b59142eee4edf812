"""`epistax simulate`: data of known truth, by kind."""

from collections.abc import Mapping
from typing import Any

from epistax.distributed.errors import BadInput
from epistax.distributed.flags import specs
from epistax.distributed.options import Simulate
from epistax.distributed.rundir import RunDir
from epistax.distributed.simulated import disjointness, matrix, morphology

KINDS = {"matrix": matrix, "disjointness": disjointness, "morphology": morphology}


def run(options: Simulate) -> dict[str, Any]:
    """Write the data and their truth."""
    refuse_foreign(options)
    kind = KINDS[options.kind]
    kind.refuse(options)
    with RunDir.open(options, verb="simulate") as directory:
        if directory.finished:
            return directory.summary
        return directory.finish({"kind": options.kind} | kind.make(options, directory))


def refuse_foreign(options: Simulate) -> None:
    """Options of another kind would do nothing."""
    for spec in specs(Simulate).values():
        group, value = spec.flag.group, getattr(options, spec.field)
        if group in KINDS and group != options.kind and value != spec.default:
            raise BadInput(f"{spec.shown}: is an option of {group}, not of {options.kind}; drop it")


def describe(summary: Mapping[str, Any]) -> str:
    """What was made, where it is, and what can be done with it."""
    return KINDS[summary["kind"]].describe(summary)
