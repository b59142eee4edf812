"""`epistax demo`: the whole loop on a screen of known truth, each step a run directory of its own.

screen/               simulate morphology: 50 genes, all pairs, in wells
scores/               score: additive, MMD, cosine, severity of every pair
discover-additive/    discover: which policy finds the best pairs first, by either score
discover-mmd/
report.html           all of it on one page
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from epistax.distributed.options import Check, Demo, Discover, Score, Simulate
from epistax.distributed.progress import Progress
from epistax.distributed.report import discovery, page, scores
from epistax.distributed.rundir import RunDir
from epistax.distributed.simulated import morphology
from epistax.distributed.verbs import check, discover, score, simulate

TESTS = ("additive", "mmd", "cosine", "severity", "severity:min", "severity:max", "severity:double")
REWARDS = ("additive", "mmd")
POLICIES = ("ids", "ucb", "ts", "random")
BATCH, AT = 10, (0.09, 0.171, 0.253)


BRIEF: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "simulate": simulate.describe,
    "score": scores.brief,
    "discover": lambda summary: "\n".join(discovery.found(summary)),
}


def run(options: Demo) -> dict[str, Any]:
    """Every step, or those that a stopped demo has left to do."""
    morphology.refuse(screen_of(options))
    with RunDir.open(options) as directory:
        if directory.finished:
            return directory.summary
        return page.finish(directory, Demonstration(options, directory).play())


class Demonstration:
    """One demo: what its steps share."""

    def __init__(self, options: Demo, directory: RunDir) -> None:
        """Nothing is done yet."""
        self.options, self.directory = options, directory
        self.steps: dict[str, dict[str, Any]] = {}

    def play(self) -> dict[str, Any]:
        """Simulate, check, score, discover, report."""
        genes = self.options.genes
        size = {"genes": genes, "pathways": pathways(genes)}
        made = self.step("screen", simulate, Simulate, kind="morphology", **size)
        self.look(made)
        known = tuple(made["known"])
        data = {"data": made["data"], "test": TESTS, "known": known}
        scored = self.step("scores", score, Score, **data)
        played = {
            reward: self.step(
                f"discover-{reward}",
                discover,
                Discover,
                pairs=scored["scores"],
                test=reward,
                truth=made["truth"],
                policy=POLICIES,
                batch=BATCH,
                rounds=self.options.rounds,
                seeds=self.options.seeds,
                at=AT,
                known=known,
            )
            for reward in REWARDS
        }
        folders = [f"discover-{reward}/figures" for reward in REWARDS]
        return {
            "steps": self.steps,
            "figures": [str(self.directory.path / f / "discovery.png") for f in folders],
            "pairs": scored["pairs"],
            "tests": {name: outcome(entry) for name, entry in scored["tests"].items()},
            "discovery": {
                reward: {name: found["top_fraction"] for name, found in of["policies"].items()}
                for reward, of in played.items()
            },
        }

    def step(self, name: str, verb: Any, options: Callable[..., Any], **given: Any) -> Any:
        """One verb in a directory of its own; its text as it would be alone."""
        out = self.directory.folder(name)
        asked = options(
            out=str(out), seed=self.options.seed, quiet=self.options.quiet, resume=True, **given
        )
        self.tell(f"epistax {asked.verb}", f"{out}")
        begun = time.monotonic()
        summary = verb.run(asked)
        self.show(BRIEF[asked.verb](summary))
        seconds = round(time.monotonic() - begun, 1)
        self.steps[name] = {"verb": asked.verb, "directory": name, "seconds": seconds}
        return summary

    def look(self, made: Mapping[str, Any]) -> None:
        """What is in the screen; the census prints itself."""
        self.tell("epistax check", made["data"])
        asked = Check(files=(made["data"],), known=tuple(made["known"]), json=self.silent)
        self.show(check.describe(check.run(asked)))

    @property
    def silent(self) -> bool:
        """Only the summary is wanted on stdout, or nothing."""
        return self.options.json or self.options.quiet

    def show(self, text: str) -> None:
        """To stdout, as the steps end."""
        if not self.silent:
            print(text, end="\n\n", flush=True)

    def tell(self, verb: str, where: str) -> None:
        """Which step begins."""
        with Progress("demo", quiet=self.options.quiet) as progress:
            progress.say(f"{verb}: {where}")


def screen_of(options: Demo) -> Simulate:
    """The screen of a demo."""
    size = {"genes": options.genes, "pathways": pathways(options.genes)}
    return Simulate(kind="morphology", out=options.out, **size)


def pathways(genes: int) -> int:
    """As many as leave most of them several genes."""
    return max(1, min(morphology.PATHWAYS, genes // 3))


def outcome(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What a test found, without its list of pairs."""
    wanted = ("tested", "found", "truth", "auroc", "average_precision")
    return {name: entry[name] for name in wanted if name in entry}


def describe(summary: Mapping[str, Any]) -> str:
    """Where everything is, pictures first."""
    took = ", ".join(f"{name} {step['seconds']:.0f} s" for name, step in summary["steps"].items())
    lines = [f"done: {took}", *(f"figure: {path}" for path in summary["figures"])]
    return "\n".join([*lines, f"report: {summary['report']}  (open it in a browser)"])
