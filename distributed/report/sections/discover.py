"""What a discover run found: who competes on what, shares found, known pairs, curves."""

from collections.abc import Iterator, Mapping
from typing import Any

from epistax.distributed.errors import BadInput
from epistax.distributed.report.sections.blocks import (
    Block,
    Figure,
    Figures,
    Items,
    Section,
    Table,
    Text,
    fixed,
    left_out,
    number,
    padded,
    percent,
    plural,
    spread,
)
from epistax.distributed.report.sections.runs import Run

CURVES = ("discovery", "regret")
TITLES = {
    "discovery": "Share of the top pairs found as pairs are measured; bands span the seeds.",
    "regret": "Reward lost to an oracle, per measured pair; bands span the seeds.",
}


def section(run: Run) -> Section:
    """All of it."""
    if not isinstance(run.summary.get("policies"), dict) or not run.summary["policies"]:
        raise BadInput(f"{run.path / 'summary.json'}: names no policies; it is not of discover")
    labels = headed(run.summary)
    blocks: list[Block] = [Text(competes(run.summary)), *excluded(run.summary)]
    blocks += [shares(run.summary, labels), *truly(run.summary, labels)]
    blocks += [*paired(run.summary, labels), *known(run.summary, labels)]
    drawn = curves(run)
    blocks += [Figures(drawn)] if drawn else []
    test = (run.summary.get("input") or {}).get("test")
    return Section("Which pairs next" + (f": {test}" if test else ""), tuple(blocks))


def competes(summary: Mapping[str, Any]) -> str:
    """The experiment, in a paragraph."""
    measured, q = summary["pairs_measured"], summary["pairs"]
    seeds, rounds = plural(summary["seeds"], "seed"), plural(summary["rounds"], "round")
    return (
        f"{', '.join(summary['policies'])} choose among {plural(q, 'pair')} of "
        f"{plural(summary['perturbations'], 'perturbation')}, {summary['batch']:,} at a time: a "
        f"random round 0, then {rounds}, {measured:,} pairs or {percent(measured / q)} in the end; "
        f"{seeds}. Reward: {summary['reward']}; belief: {summary['belief']}. Sought are the top "
        f"{percent(summary['top'])}, {plural(summary['top_pairs'], 'pair')}."
    )


def excluded(summary: Mapping[str, Any]) -> Iterator[Block]:
    """What was read and not used."""
    census = summary.get("input") or {}
    items = (*left_out(census.get("left_out")), *left_out(summary.get("left_out")))
    if items:
        yield Items("Left out", items)


def headed(summary: Mapping[str, Any]) -> dict[str, str]:
    """The shares reported, by label, as heads of columns; one that reads as the end is the end."""
    first = next(iter(summary["policies"].values()))["top_fraction"]
    end = percent(summary["pairs_measured"] / summary["pairs"])
    heads = {label: end if label == "end" else percent(float(label)) for label in first}
    return {k: head for k, head in heads.items() if k == "end" or head != end}


def shares(summary: Mapping[str, Any], labels: Mapping[str, str]) -> Table:
    """Share of the top found by each policy."""
    rows = []
    for name, found in summary["policies"].items():
        cells = [spread(found["top_fraction"].get(label)) for label in labels]
        area = spread(found.get("area_under_discovery_curve"))
        regret = (found.get("regret_per_pair") or {}).get("mean")
        rows.append((name, *cells, area, padded(regret)))
    return Table(
        f"Share of the top {percent(summary['top'])} found when this share of pairs is measured",
        ("policy", *labels.values(), "area", "regret per pair"),
        tuple(rows),
        note="Mean ± sd over seeds." if summary["seeds"] > 1 else "",
    )


def truly(summary: Mapping[str, Any], labels: Mapping[str, str]) -> Iterator[Table]:
    """The same by the true reward, where a simulated screen has one."""
    policies = summary["policies"]
    rows = [
        (name, *(spread(found["true_top_fraction"].get(label)) for label in labels))
        for name, found in policies.items()
        if isinstance(found.get("true_top_fraction"), dict)
    ]
    if not rows:
        return
    ceiling = summary.get("ceiling")
    if isinstance(ceiling, dict):
        rows.append(("best by the observed reward", *(fixed(ceiling.get(k)) for k in labels)))
    caption = f"Share of the top {percent(summary['top'])} by the true reward"
    yield Table(caption, ("policy", *labels.values()), tuple(rows))


def paired(summary: Mapping[str, Any], labels: Mapping[str, str]) -> Iterator[Table]:
    """The first policy against each other one, seed by seed."""
    if summary["seeds"] < 2 or not isinstance(summary.get("paired"), dict):
        return
    heads = {**labels, "area": "area"}
    rows = []
    for other, entries in summary["paired"]["against"].items():
        for label in heads:
            entry = entries[label]
            counts = [f"{entry[key]:,}" for key in ("wins", "losses", "ties")]
            rows.append((other, heads[label], *counts, number(entry["p"], 2)))
    if rows:
        caption = f"{summary['paired']['first']} against the others, seed by seed (sign test)"
        head = ("against", "at", "wins", "losses", "ties", "p")
        yield Table(caption, head, tuple(rows), names=2)


def known(summary: Mapping[str, Any], labels: Mapping[str, str]) -> Iterator[Table]:
    """A table a relation: known pairs found by each policy, and by chance."""
    for relation, found in (summary.get("known") or {}).items():
        at = found["at"]
        there = [label for label in labels if label in at]
        rows = [
            (name, *(spread(at[label].get(name), 1) for label in there))
            for name in summary["policies"]
        ]
        chance = [at[label]["random_chance"] for label in there]
        rows.append(
            (
                "by chance (95 %)",
                *(f"{c['expected']:,.1f} ({c['low']:,.0f}–{c['high']:,.0f})" for c in chance),
            )
        )
        yield Table(
            f"Known pairs found: {relation} ({found['total']:,} among the pairs)",
            ("policy", *(labels[label] for label in there)),
            tuple(rows),
        )


def curves(run: Run) -> tuple[Figure, ...]:
    """The figures that the run drew."""
    folder = run.path / "figures"
    there = {path.stem: path for path in sorted(folder.glob("*.svg")) if path.is_file()}
    names = [name for name in CURVES if name in there]
    names += [name for name in there if name.startswith("known-")]
    return tuple(
        Figure(name, TITLES.get(name, f"Known pairs found: {name.removeprefix('known-')}; grey is "
                                "the 95 % range of a random choice."), there[name].read_bytes())
        for name in names
    )  # fmt: skip
