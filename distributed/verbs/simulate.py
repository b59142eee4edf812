"""`epistax simulate`: data of known truth, by kind."""

from collections.abc import Mapping
from typing import Any

from epistax.distributed.errors import BadInput
from epistax.distributed.flags import specs
from epistax.distributed.options import Simulate
from epistax.distributed.rundir import RunDir
from epistax.distributed.simulated import (
    cells,
    disjointness,
    guides,
    images,
    l1000,
    matrix,
    morphology,
    scm,
    separability,
)

KINDS = {
    "matrix": matrix,
    "separability": separability,
    "disjointness": disjointness,
    "images": images,
    "guides": guides,
    "morphology": morphology,
    "cells": cells,
    "scm": scm,
    "l1000": l1000,
}


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
        kinds, value = spec.flag.group.split(", "), getattr(options, spec.field)
        foreign = set(kinds) <= set(KINDS) and options.kind not in kinds
        if foreign and value != spec.default:
            of = " and ".join(kinds)
            raise BadInput(f"{spec.shown}: is an option of {of}, not of {options.kind}; drop it")


def describe(summary: Mapping[str, Any]) -> str:
    """What was made, where it is, and what can be done with it."""
    return KINDS[summary["kind"]].describe(summary)
