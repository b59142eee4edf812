"""The state of a campaign as text for a terminal."""

from collections.abc import Iterator, Mapping
from typing import Any

SHOWN, WIDTH = 10, 80  # rows of a proposal, columns of a terminal
IN_WORDS = ("acquisition", "predicted", "sd")  # figures that the reason of a pair repeats


def describe(summary: Mapping[str, Any]) -> str:
    """What a step did, where the campaign stands, what comes next."""
    parts = {"new": begun, "propose": proposed, "record": recorded, "status": stands}
    lines = [*parts[summary["step"]](summary)]
    lines += [f"note: {text}" for text in summary["notices"]]
    lines += [f"damaged: {f['file']} {f['problem']}: {f['remedy']}" for f in summary["damaged"]]
    return "\n".join([*lines, state(summary), f"next: {summary['next']}"])


def state(summary: Mapping[str, Any]) -> str:
    """The pairs, in one line."""
    return (
        f"now: {summary['measured']:,} of {summary['pairs']:,} pairs measured, "
        f"{summary['pending']:,} pending, {summary['failed']:,} failed, {summary['open']:,} open"
    )


def begun(summary: Mapping[str, Any]) -> Iterator[str]:
    """What was decided."""
    yield f"campaign {summary['campaign']} in {summary['directory']}"
    yield (
        f"{summary['perturbations']:,} genes ({summary['genes']}), {summary['pairs']:,} pairs; "
        f"{summary['batch']:,} a round, {summary['rounds_planned']} rounds after round 0"
    )
    yield (
        f"policy {summary['policy']}, belief {summary['belief']}, reward {summary['reward']}, "
        f"seed {summary['seed']}"
    )
    told = {k: v for k, v in summary["constraints"].items() if k != "batch"}
    if told:
        yield "rules: " + ", ".join(rule(name, value) for name, value in told.items())


def rule(name: str, value: Any) -> str:
    """A rule of the batches, lists by their length."""
    words = name.replace("_", " ")
    return f"{len(value):,} {words}" if isinstance(value, list | tuple) else f"{words} {value:g}"


def proposed(summary: Mapping[str, Any]) -> Iterator[str]:
    """The head of the batch."""
    cost = "" if summary["cost"] is None else f", cost {summary['cost']:g}"
    yield (
        f"round {summary['round']}: {summary['batch_pairs']:,} pairs, {len(summary['rows']):,} "
        f"wells{cost}"
    )
    *names, _ = summary["columns"]  # the last is the campaign
    kept = [k for k, name in enumerate(names) if name not in IN_WORDS]
    cells = [[row[k] for k in kept] for row in (names, *summary["rows"][:SHOWN])]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        line = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        yield line.rstrip() if len(line.rstrip()) <= WIDTH else f"{line[: WIDTH - 1]}…"
    if len(summary["rows"]) > SHOWN:
        yield f"... {len(summary['rows']) - SHOWN:,} more rows in {summary['proposed']}"


def recorded(summary: Mapping[str, Any]) -> Iterator[str]:
    """What a file of results brought."""
    if not summary["recorded"]:
        yield "nothing was recorded"
        return
    counts = summary["counts"]
    yield (
        f"recorded {counts['rows']:,} rows: {counts['measured']:,} pairs measured, "
        f"{counts['failed']:,} failed ({summary['read']})"
    )


def stands(summary: Mapping[str, Any]) -> Iterator[str]:
    """Rounds, results and the best pairs so far."""
    yield (
        f"campaign {summary['campaign']}: {summary['perturbations']:,} genes, policy "
        f"{summary['policy']}, belief {summary['belief']}, reward {summary['reward']}"
    )
    yield (
        f"{summary['rounds_proposed']} rounds proposed; planned were round 0 and "
        f"{summary['rounds_planned']} more"
    )
    if summary["rounds"]:
        yield ""
        names = ("round", "proposed", "measured", "pending", "failed")
        yield "".join(f"{name:>10}" for name in (*names, "mean", "best"))
        for entry in summary["rounds"]:
            scores = (number(entry["mean_score"]), number(entry["best_score"]))
            yield "".join(f"{cell:>10}" for cell in (*(entry[name] for name in names), *scores))
    if summary["best"]:
        yield ""
        width = max(len(entry["a"]) + len(entry["b"]) + 1 for entry in summary["best"])
        yield f"{'best pairs':<{max(width, 10)}}{'reward':>10}{'score':>10}{'se':>10}{'wells':>7}"
        for entry in summary["best"]:
            cells = "".join(f"{number(entry[name]):>10}" for name in ("reward", "score", "se"))
            yield f"{entry['a']}+{entry['b']}".ljust(max(width, 10)) + f"{cells}{entry['wells']:>7}"
    yield ""
    yield f"report: {summary['report']}"


def number(value: float | None) -> str:
    """Three digits, a dash for nothing."""
    return "-" if value is None else f"{value:.3g}"
