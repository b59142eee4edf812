"""What a score run found: what was read, each test's figures and best pairs, matrices, pictures."""

from collections.abc import Iterator, Mapping
from typing import Any

from epistax.distributed.report.sections.blocks import (
    OPEN,
    Block,
    Figures,
    Heading,
    Items,
    Section,
    Table,
    Text,
    fixed,
    left_out,
    padded,
    percent,
    plural,
)
from epistax.distributed.report.sections.critic import critic
from epistax.distributed.report.sections.embedding import embedding
from epistax.distributed.report.sections.matrix import matrices
from epistax.distributed.report.sections.outstanding import outstanding
from epistax.distributed.report.sections.pairs import Pairs, symbol
from epistax.distributed.report.sections.pictures import pictures
from epistax.distributed.report.sections.runs import Run
from epistax.distributed.status import DOUBTFUL, UNTESTED

ROWS = 200  # of the strongest pairs of a test
FEWER = 5  # that stand open of a figure that tests nothing


def section(run: Run) -> Section:
    """All of it."""
    pairs = Pairs.of(run)
    folder = run.path / "figures"
    drawn, missing = pictures(pairs, folder)
    blocks: list[Block] = [Text(read(run)), *excluded(run, pairs), found(run), *embedding(run)]
    blocks += [*alike(run), *critic(run), *known(run), Heading("Strongest pairs")]
    blocks += [strongest(pairs, test) for test in pairs.tests]
    blocks += [Heading("Pair matrices"), *matrices(pairs, folder)]
    blocks += outstanding(pairs, folder)
    blocks += [Heading("Pictures"), Figures(drawn)] if drawn else []
    blocks += [Items("Not drawn", missing)] if missing else []
    return Section("Pair tests", tuple(blocks))


def read(run: Run) -> str:
    """What was read, in a paragraph."""
    census = run.summary.get("input") or {}
    said = {
        "observations": "observations",
        "features": "features",
        "control_observations": "observations of control",
        "singles": "perturbations measured alone",
        "pairs": "pairs",
        "batches": "batches",
        "plates": "plates",
        "wells": "wells",
        "guides": "guides",
    }
    counts = [f"{census[k]:,} {w}" for k, w in said.items() if isinstance(census.get(k), int)]
    source, kind = census.get("source", run.record["options"]["data"]), census.get("kind", "screen")
    return f"Read {source}, {kind}: {', '.join(counts)}." if counts else f"Read {source}, {kind}."


def excluded(run: Run, pairs: Pairs) -> Iterator[Block]:
    """What was read and not used, pairs that were not tested, truth that was not there."""
    items = list(left_out((run.summary.get("input") or {}).get("left_out")))
    for test, entry in run.summary["tests"].items():
        items += [
            f"{count:,} – {'pair' if count == 1 else 'pairs'} {UNTESTED.get(why, why)} ({test})"
            for why, count in entry["untested"].items()
        ]
        if entry.get("doubtful"):
            items.append(f"Used, though {entry['doubtful']:,} are {DOUBTFUL} ({test})")
    items += [pairs.known.remark] if pairs.known.remark else []
    if items:
        yield Items("Left out", tuple(items))
    else:
        yield Text("Nothing was left out: every observation read is used and every pair tested.")


def found(run: Run) -> Table:
    """A row a test: how many pairs, how many interact, how well it agrees with the truth."""
    tests = run.summary["tests"]
    levels = {entry["found"]["fdr"] for entry in tests.values() if entry.get("found")}
    level = f"found at FDR {percent(min(levels), 0)}" if levels else "found"
    rows = []
    for test, entry in tests.items():
        count = entry["found"]["pairs"] if entry.get("found") else None
        untested = sum(entry["untested"].values())
        cells = [test, symbol(test), f"{entry['tested']:,}", f"{untested:,}",
                 "" if count is None else f"{count:,}"]  # fmt: skip
        true = entry.get("truth")
        cells += [f"{true} ({entry['positives']:,})" if true else ""]
        cells += [fixed(entry.get("auroc")), fixed(entry.get("average_precision"))]
        rows.append(tuple(cells))
    head = ("test", "statistic", "tested", "not tested", level, "truth (pairs)", "AUROC", "AP")
    kept = [k for k in range(len(head)) if k < 4 or any(row[k] for row in rows)]
    return Table(
        "What each test found",
        tuple(head[k] for k in kept),
        tuple(tuple(row[k] for k in kept) for row in rows),
        names=2,
    )


def alike(run: Run) -> Iterator[Table]:
    """How far the tests rank pairs alike; nothing of one test."""
    found = run.summary.get("agreement")
    if found:
        head = ("", *found["tests"])
        rows = [(name, *(fixed(v, 2) for v in row))
                for name, row in zip(found["tests"], found["spearman"], strict=True)]  # fmt: skip
        over = plural(found["pairs"], "pair")
        yield Table(f"How alike the tests rank {over}: Spearman's correlation", head, tuple(rows))


def known(run: Run) -> Iterator[Table]:
    """A table a relation: how the known pairs rank in each test."""
    tests = run.summary["tests"]
    relations = dict.fromkeys(name for e in tests.values() for name in e.get("known") or {})
    for relation in relations:
        rows = []
        for test, entry in tests.items():
            figures = (entry.get("known") or {}).get(relation)
            if figures is not None:
                rows.append((test, *agreement(figures)))
        first = next(e["known"][relation] for e in tests.values() if relation in e.get("known", {}))
        caption, note = f"Known pairs: {relation}", ""
        if "recall" in first:
            null = "the other pairs" if first.get("null") == "rest" else "all pairs"
            note = (
                f"Found and recall: in the top {percent(first['tail'])} of {null}. By chance: "
                "of a random choice; by degree: of genes as often among known pairs."
            )
        head = ("test", "AUROC", "AP", "found", "recall", "95 %", "by chance", "by degree")
        full = any(any(row[3:]) for row in rows)
        cut = len(head) if full else 3
        yield Table(caption, head[:cut], tuple(row[:cut] for row in rows), note=note)


def agreement(figures: Mapping[str, Any]) -> tuple[str, ...]:
    """AUROC, AP and, where it was computed, recall with its range."""
    both = (fixed(figures.get("auroc")), fixed(figures.get("average_precision")))
    if figures.get("recall") is None:
        return (*both, "", "", "", "", "")
    low, high = figures.get("low"), figures.get("high")
    tells = low is not None and high is not None and low < high  # none of no width does
    span = f"{fixed(low, 2)}–{fixed(high, 2)}" if tells else ""
    count = f"{figures['found']:,} of {figures['total']:,}"
    chance = (fixed(figures.get("expected"), 2), fixed(figures.get("by_degree"), 2))
    return (*both, count, fixed(figures["recall"]), span, *chance)


def strongest(pairs: Pairs, test: str) -> Table:
    """The best pairs of a test with all that is known of them."""
    rows, pathway = pairs.strongest(test, ROWS), pairs.known.pathway
    words = pairs.known.words
    flags = [name for name in words if name in rows.columns]
    out = []
    for rank, row in enumerate(rows.iter_rows(named=True), 1):
        where = [" – ".join(dict.fromkeys(pathway.get(row[s], "?") for s in "ab"))]
        out.append((
            f"{rank}",
            f"{row['a']} + {row['b']}",
            *(where if pathway else ()),
            *([", ".join(words[name] for name in flags if row[name])] if flags else ()),
            padded(row["statistic"], 4),
            padded(row["se"]),
            *("" if row[c] is None else f"{row[c]:.2g}" for c in ("p_value", "q_value")),
        ))  # fmt: skip
    names = ("", "pair", *(("pathways",) if pathway else ()), *(("known as",) if flags else ()))
    head = (*names, symbol(test), "se", "p", "q")
    kept = [k for k in range(len(head)) if k <= len(names) or any(row[k] for row in out)]
    total = pairs.count(test)
    which = f"the {len(out):,} strongest of {plural(total, 'pair')}"
    by = "p, then score" if any(row[-2] for row in out) else "score"
    return Table(
        f"{test}: {which if len(out) < total else plural(total, 'pair')}, by {by}",
        tuple(head[k] for k in kept),
        tuple(tuple(row[k] for k in kept) for row in out),
        names=len(names),
        cut=OPEN if by.startswith("p") else FEWER,
    )
