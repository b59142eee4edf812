"""Options of `epistax demo`."""

from dataclasses import dataclass
from typing import ClassVar

from epistax.distributed.flags import POSITIVE, option
from epistax.distributed.options.shared import RunOptions


@dataclass(frozen=True, kw_only=True)
class Demo(RunOptions):
    """The whole loop on a simulated 50-gene screen: simulate, check, score, discover, report."""

    verb: ClassVar[str] = "demo"
    example: ClassVar[str] = "epistax demo --seed 1 --out demo"

    out: str = option(
        "epistax-demo",
        "directory for the results; new or empty",
        metavar="DIR",
        result=False,
        group="run",
    )
    genes: int = option(50, "genes of the screen", metavar="N", rule=POSITIVE, group="experiment")
    rounds: int = option(
        49, "rounds of 10 pairs after round 0", metavar="T", rule=POSITIVE, group="experiment"
    )
    seeds: int = option(2, "runs of each policy", metavar="K", rule=POSITIVE, group="experiment")
