"""What to do next: a command for the end of a verb's text, never in its JSON.

`simulate`, `score` and `campaign` name it among their own lines, since their data decide it.
"""

import shlex
from collections.abc import Callable, Mapping
from typing import Any

from epistax.distributed.flags import asked, specs
from epistax.distributed.options import VERBS, Options
from epistax.engine.pairs import count

Summary = Mapping[str, Any]
WHOLE = 0.75  # of all pairs: a table that has as many is one to replay
READING = ("reading", "screen")  # groups of options that the next verb needs as well


def next_step(options: Options, summary: Any) -> str:
    """`next: ...`, or nothing."""
    make = STEPS.get(options.verb)
    if make is None or not isinstance(summary, Mapping):
        return ""
    try:
        text = make(options, summary)
    except LookupError:  # an older run's summary: what is done is done, advice or not
        return ""
    return f"next: {text}" if text else ""


def after_check(options: Any, summary: Summary) -> str:
    """Score a screen, rank one without pairs, go on from some pairs, replay a whole table."""
    first = summary["files"][0]
    if first["kind"] == "pair table" and not options.columns and few(first):
        source = first["source"]
        return command("campaign new", "DIR", "--genes", source, "--start", source)
    screen = "score" if first.get("pairs", True) else "rank"
    verb = screen if first["kind"].startswith("screen") else "discover"
    table = {
        name: spec
        for name, spec in specs(type(options)).items()
        if spec.flag.group in READING and name in specs(VERBS[verb])
    }
    given = asked(table, vars(options))
    return command(verb, first["source"], *given, "--out", "DIR")


def few(table: Summary) -> bool:
    """Whether a table lacks so many pairs that the others are what is asked for."""
    return table["pairs"] < WHOLE * count(table["perturbations"])


def after_rank(options: Any, summary: Summary) -> str:
    """Measure what is at the top."""
    then = command("score", "SCREEN", "--out", "DIR")
    return f"measure pairs from the top of {summary['ranked']}, then {then}"


def after_discover(options: Any, summary: Summary) -> str:
    """Use the policy that found most."""
    areas = {name: of["area_under_discovery_curve"]["mean"] for name, of in
             summary["policies"].items()}  # fmt: skip
    best = max(areas, key=areas.__getitem__)
    given = ["--genes", "FILE", "--policy", best, "--batch", str(summary["batch"])]
    return command("campaign new", "DIR", *given)


def after_benchmark(family: str, figure: str, data: str) -> Callable[[Any, Summary], str]:
    """Fit the model whose error is least."""

    def step(options: Any, summary: Summary) -> str:
        found = {name: least(of, figure) for name, of in summary["models"].items()}
        allowed = specs(VERBS[f"{family} fit"])["model"].flag.choices
        ours = {name: value for name, value in found.items() if name in allowed}
        best = ["--model", min(ours, key=ours.__getitem__)] if ours else []
        return command(f"{family} fit", getattr(options, data), *best, "--out", "DIR")

    return step


def least(of: Mapping[str, Any], figure: str) -> float:
    """The least mean of a figure in one model's entry, infinite where it has none."""
    if figure in of:
        return float("inf") if of[figure] is None else of[figure]["mean"]
    return min((least(one, figure) for one in of.values() if isinstance(one, Mapping)),
               default=float("inf"))  # fmt: skip


def after_status(options: Any, summary: Summary) -> str:
    """Look at what is finished."""
    return command("report", options.directory) if summary["state"] == "finished" else ""


def after_verify(options: Any, summary: Summary) -> str:
    """Look at what is whole; what is not names its remedy."""
    return "" if summary["bad"] else command("status", options.directory)


def after_export(options: Any, summary: Summary) -> str:
    """What it reads as."""
    if options.to == "mageck":
        if summary["verb"] == "effects fit":
            return command("campaign new", "DIR", "--genes", options.out)
        return command("check", options.out, "--columns", "id,pos|lfc")
    if options.to == "anndata" and options.data is None:
        return f"open it: anndata.read_h5ad({options.out!r})"
    return command("check", options.out)


def command(verb: str, *words: str) -> str:
    """As a shell takes it."""
    return shlex.join(["epistax", *verb.split(), *words])


STEPS: dict[str, Callable[[Any, Summary], str]] = {
    "check": after_check,
    "rank": after_rank,
    "discover": after_discover,
    "effects fit": lambda o, s: command("effects predict", o.out, "WANTED.csv", "--out", "DIR"),
    "effects predict": lambda o, s: command("campaign new", "DIR", "--genes", "FILE"),
    "effects benchmark": after_benchmark("effects", "rmse", "pairs"),
    "effects discover": lambda o, s: command("campaign new", "DIR", "--genes", "FILE"),
    "response fit": lambda o, s: command("response predict", o.out, "--to", "NAME", "--out", "DIR"),
    "response predict": lambda o, s: "how far to trust it: epistax response benchmark --help",
    "response refine": lambda o, s: command(
        "response fit", o.data, "--graph", s["graph"], "--out", "DIR"
    ),
    "causal fit": lambda o, s: command(
        "causal predict", o.out, "--environments", "FILE", "--out", "DIR"
    ),
    "causal predict": lambda o, s: "how far to trust it: epistax causal benchmark --help",
    "causal benchmark": after_benchmark("causal", "reconstruction", "data"),
    "response benchmark": lambda o, s: command("response fit", o.data, "--out", "DIR"),
    "status": after_status,
    "verify": after_verify,
    "repair": lambda o, s: command("verify", o.directory),
    "retry-failed": lambda o, s: command("report", o.directory),
    "export": after_export,
    "report": lambda o, s: f"open {s['report']} in a browser",
    "demo": lambda o, s: command("check", "YOUR_SCREEN"),
}
