"""Tables and figures out of the lines of benchmarks/graphvci.py, refinement.py and marginal.py.

    python -m epistax.benchmarks.graphvcipages models.jsonl refinement.jsonl --out DIR

writes DIR/graphvci-tables.md and DIR/graphvci-NAME.png; what the lines do not hold is left out. Of
each model and world the trial of best validation score counts, its fits' mean; means and standard
errors are over worlds.
"""

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from epistax.benchmarks.naiadpages import of, values

Line: TypeAlias = dict[str, Any]
GROUPS = {"r2_all": "R2", "r2_de": "R2, DE", "r2_change_all": "R2 of change",
          "r2_change_de": "R2 of change, DE"}  # fmt: skip
CELLS = {"within_stratum_corr": "within strata, r", "sd_ratio": "sd, of the true one's",
         "rmse_individual": "error", "distance_ood": "distance of distributions, DE"}  # fmt: skip
FOUND = {"micro_all": "all", "micro_prior": "in the prior graph", "micro_new": "new",
         "macro_all": "per regulator"}  # fmt: skip


def main() -> None:
    """Write the pages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", nargs="+", type=Path)
    parser.add_argument("--out", required=True, type=Path)
    options = parser.parse_args()
    lines = [json.loads(line) for path in options.results for line in path.open()]
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "graphvci-tables.md").write_text(tables(lines))
    for name, figure in figures(lines):
        figure.savefig(options.out / f"graphvci-{name}.png", dpi=130)


def tables(lines: Sequence[Line]) -> str:
    """Markdown: combinations held out, single cells, refined graphs, marginal effects."""
    parts: list[str] = []
    for size in values(lines, "size"):
        mine = of(lines, size=size)
        parts += held_out(best(of(mine, name="models")), size)
        parts += weights(of(mine, name="omega"), size)
        parts += refined(of(mine, name="refinement"), size)
        parts += effects(of(mine, name="marginal"), size)
    return "\n".join(parts) + "\n"


def best(lines: Sequence[Line]) -> list[Line]:
    """Of each world and model the trial that validates best, its fits averaged."""
    kept: list[Line] = []
    for world in values(lines, "world"):
        for model in values(of(lines, world=world), "model"):
            own = of(lines, world=world, model=model)
            if "trial" not in own[0]:
                kept += own
                continue
            trials = values([line | {"trial": json.dumps(line["trial"])} for line in own], "trial")
            score = {t: np.mean([x["validation"] for x in own if json.dumps(x["trial"]) == t])
                     for t in trials}  # fmt: skip
            top = max(trials, key=lambda t: score[t])
            kept += averaged([x for x in own if json.dumps(x["trial"]) == top])
    return kept


def averaged(lines: Sequence[Line]) -> list[Line]:
    """Lines of the same split and evaluation as one, the mean of their numbers."""
    found = []
    for split in values(lines, "split"):
        for protocol in values(of(lines, split=split), "evaluation"):
            own = of(lines, split=split, evaluation=protocol)
            numbers = [k for k, v in own[0].items() if isinstance(v, float)]
            mean = {k: float(np.mean([x[k] for x in own if x[k] is not None] or [np.nan]))
                    for k in numbers}  # fmt: skip
            found.append(own[0] | mean)
    return found


def held_out(lines: Sequence[Line], size: str) -> list[str]:
    """Group means of combinations held out, then single cells."""
    if not lines:
        return []
    models = values(lines, "model")
    head = " | ".join(GROUPS.values())
    rows = [f"Combinations held out, {size} size, mean +- se over worlds\n",
            f"| model | {head} | DE, above control-shift | from cells of the stratum: DE | "
            "change, DE | processor s | worlds |", "|---" * (len(GROUPS) + 6) + "|"]  # fmt: skip
    simple = of(lines, model="control-shift", split="ood")
    for model in models:
        own = of(lines, model=model, split="ood")
        classic = [x for x in own if x.get("evaluation", "classic") == "classic"]
        native = of(own, evaluation="native")
        cells = [told(classic, key) for key in GROUPS]
        apart = [{"r2_de": x["r2_de"] - y["r2_de"]} for x in classic
                 for y in of(simple, world=x["world"])]  # fmt: skip
        cells.append("" if model == "control-shift" else told(apart, "r2_de"))
        cells += [told(native, key) for key in ("r2_de", "r2_change_de")]
        cells.append(f"{np.mean([x['cpu_seconds'] for x in native]):.0f}" if native else "")
        rows.append(f"| {model} | " + " | ".join(cells) + f" | {len(classic)} |")
    head = f"| model | {' | '.join(CELLS.values())} |"
    rows += ["", "Effects on single cells, and predicted beside measured distributions\n",
             head, "|---" * (len(CELLS) + 1) + "|"]  # fmt: skip
    for model in models:
        native = of(lines, model=model, split="ood", evaluation="native")
        if native:
            cells = [told(native, key) for key in CELLS]
            rows.append(f"| {model} | " + " | ".join(cells) + " |")
    return [*rows, ""]


def weights(lines: Sequence[Line], size: str) -> list[str]:
    """GraphVCI by the weight of its distribution term."""
    if not lines:
        return []
    shown = {**GROUPS, **CELLS}
    head = f"| weight | {' | '.join(shown.values())} |"
    rows = [f"graphVCI by the weight of its distribution term, {size} size\n",
            head, "|---" * (len(shown) + 1) + "|"]  # fmt: skip
    for weight in values(lines, "omega1"):
        own = of(lines, omega1=weight)
        rows.append(f"| {weight:g} | " + " | ".join(told(own, key) for key in shown) + " |")
    return [*rows, ""]


def refined(lines: Sequence[Line], size: str) -> list[str]:
    """Average precision of scores of edges, and how far ours is above each, world by world."""
    if not lines:
        return []
    worlds = values(lines, "world")
    head = " | ".join(FOUND.values())
    rows = [f"Average precision of edges: {len(worlds)} worlds, {size} size, mean +- se\n",
            f"| score | {head} | ours above it: all | prior | new |",
            "|---" * (len(FOUND) + 4) + "|"]  # fmt: skip
    ours = of(lines, score="ours")
    for score in values(lines, "score"):
        own = of(lines, score=score)
        cells = [told(own, key) for key in FOUND]
        for key in tuple(FOUND)[:3]:
            apart = [{key: of(ours, world=x["world"])[0][key] - x[key]} for x in own]
            cells.append("" if score == "ours" else told(apart, key))
        rows.append(f"| {score} | " + " | ".join(cells) + " |")
    return [*rows, ""]


def effects(lines: Sequence[Line], size: str) -> list[str]:
    """Marginal effects: error, bias and coverage of each estimate in each case."""
    if not lines:
        return []
    shown = {"rmse": "error", "bias": "bias", "covered_95": "held by 95 % intervals, %"}
    rows = [f"Marginal effects, {size} size\n",
            f"| case | estimate | {' | '.join(shown.values())} | groups or runs |",
            "|---" * (len(shown) + 3) + "|"]  # fmt: skip
    for case in values(lines, "case"):
        for estimate in values(of(lines, case=case), "estimate"):
            own = of(lines, case=case, estimate=estimate)
            mean = {key: np.mean([x[key] for x in own if x.get(key) is not None] or [np.nan])
                    for key in shown}  # fmt: skip
            number = sum(x["number"] for x in own)
            rows.append(f"| {case} | {estimate} | {mean['rmse']:.4f} | {mean['bias']:+.4f} | "
                        f"{100 * mean['covered_95']:.1f} | {number:,} |")  # fmt: skip
    return [*rows, ""]


def told(lines: Sequence[Line], key: str) -> str:
    """Mean +- standard error over lines; nothing where none has it."""
    found = [x[key] for x in lines if x.get(key) is not None]
    if not found:
        return ""
    spread = f" +- {np.std(found, ddof=1) / len(found) ** 0.5:.3f}" if len(found) > 1 else ""
    return f"{np.mean(found):.3f}{spread}"


def figures(lines: Sequence[Line]) -> Iterable[tuple[str, Any]]:
    """Learning curves by decoder and graph, precision and recall of edges, models side by side."""
    # here: the other suites run where matplotlib is not installed
    from matplotlib.figure import Figure

    models = best(of(lines, name="models", size="small"))
    if models:
        figure = Figure(figsize=(8, 3.4), layout="constrained")
        bars(figure.subplots(1, 2), of(models, split="ood"))
        yield "models", figure
    curves = of(lines, name="curves")
    if curves:
        figure = Figure(figsize=(5, 3.6), layout="constrained")
        learning(figure.subplots(), curves)
        yield "curves", figure
    edges = of(lines, name="refinement", size="small")
    if edges:
        figure = Figure(figsize=(9, 3.4), layout="constrained")
        recall(figure.subplots(1, 3, sharey=True), edges)
        yield "edges", figure


def bars(axes: Any, lines: Sequence[Line]) -> None:
    """R2 on DE genes, of means and of changes: a point a world, a bar for their mean."""
    names = values(lines, "model")
    for axis, key in zip(axes, ("r2_de", "r2_change_de"), strict=True):
        for place, name in enumerate(names):
            own = [x[key] for x in of(lines, model=name)
                   if x.get("evaluation", "classic") == "classic"]  # fmt: skip
            axis.bar(place, np.mean(own), color="#9ecae1" if name != "default" else "#3182bd")
            axis.plot([place] * len(own), own, "k.", markersize=3)
        axis.set_xticks(range(len(names)), names, rotation=60, ha="right", fontsize=8)
        axis.set_title(f"{GROUPS[key]}: combinations held out", fontsize=9)
        shown = [x[key] for x in lines if x[key] is not None]
        axis.set_ylim(max(min(shown) - 0.05, -0.5), 1)
        axis.axhline(0, color="grey", linewidth=0.6)


def learning(axis: Any, lines: Sequence[Line]) -> None:
    """R2 on DE genes held out by epoch: mean of seeds, and their sd."""
    for decoder in values(lines, "decoder"):
        for graph in values(of(lines, decoder=decoder), "graph"):
            own = of(lines, decoder=decoder, graph=graph)
            epochs = values(own, "epoch")
            table = np.array([[x["r2_de"] for x in of(own, epoch=e)] for e in epochs])
            mean, sd = table.mean(1), table.std(1, ddof=1) if table.shape[1] > 1 else 0
            style = "-" if decoder == "key-independent" else "--"
            (drawn,) = axis.plot(epochs, mean, style, label=f"{decoder}, {graph}")
            axis.fill_between(epochs, mean - sd, mean + sd, alpha=0.15, color=drawn.get_color())
    axis.set_xlabel("epoch")
    axis.set_ylabel("R2 on DE genes, held out")
    axis.set_ylim(bottom=0.6)
    axis.legend(fontsize=7)


def recall(axes: Any, lines: Sequence[Line]) -> None:
    """Precision by recall, mean of worlds: of all edges, of those in the prior, of new ones."""
    for axis, part in zip(axes, ("all", "prior", "new"), strict=True):
        for score in values(lines, "score"):
            table = np.array([x[f"precision_at_{part}"] for x in of(lines, score=score)])
            levels = np.linspace(0, 1, table.shape[1])
            axis.plot(levels, table.mean(0), label=score,
                      linewidth=2 if score == "ours" else 1)  # fmt: skip
        axis.set_title({"all": "all edges", "prior": "in the prior graph", "new": "new"}[part])
        axis.set_xlabel("recall")
    axes[0].set_ylabel("precision")
    axes[0].legend(fontsize=7)


if __name__ == "__main__":
    main()
