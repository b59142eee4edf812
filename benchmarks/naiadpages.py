"""Tables 1 to 4 and figures 2 to 8 of "NAIAD" out of the lines of benchmarks/naiad.py.

    python -m epistax.benchmarks.naiadpages norman.jsonl k562.jsonl --out DIR

writes DIR/naiad-tables.md and DIR/naiad-figure-N.png; what the lines do not hold is left out.
"""

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

Line: TypeAlias = dict[str, Any]
PUBLISHED = {  # RMSE x 100 of Tables 1 and 4, by gene frequency
    "norman": {"linear": (6.2, 6.1, 6.1), "mlp": (7.7, 5.7, 5.0), "gears": (16.6, 15.5, 10.7),
               "recover": (7.1, 5.9, 4.7), "naiad": (5.1, 4.7, 4.7)},
    "k562": {"linear": (6.4, 6.4, 6.4), "mlp": (7.8, 6.3, 5.9), "gears": (13.0, 12.0, 14.0),
             "recover": (7.9, 6.1, 5.6), "naiad": (6.1, 5.7, 5.4)},
}  # fmt: skip
FREQUENCIES = (4, 10, 20)
TAKEN = {"norman": (200, 500, 1000), "k562": (1000, 2500, 5000)}  # for them, in the paper
FOUND = {  # of Table 2
    "norman": {"uniform": 92, "mpe": 144, "ucb": 97, "uncertainty": 92},
    "k562": {"uniform": 39, "mpe": 94, "ucb": 55, "uncertainty": 45},
}
EMBEDDINGS = ("pheno", "naiad-4", "naiad", "naiad-code", "mlp")  # of figure 2
CURVES: dict[str, tuple[str, Callable[[float], float]]] = {
    "log10 mean squared error": ("rmse", lambda x: float(np.log10(x**2))),
    "Pearson correlation": ("pearson", float),
    "share of the lowest 200 found": ("tpr_200", float),
}


def main() -> None:
    """Write the pages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", nargs="+", type=Path)
    parser.add_argument("--out", required=True, type=Path)
    options = parser.parse_args()
    lines = [json.loads(line) for path in options.results for line in path.open()]
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "naiad-tables.md").write_text(tables(lines))
    for name, figure in figures(lines):
        dpi = 60 if name == "8" else 130  # many panels
        figure.savefig(options.out / f"naiad-figure-{name}.png", dpi=dpi)


def of(lines: Iterable[Line], **wanted: Any) -> list[Line]:
    """The lines that have all of these values."""
    return [line for line in lines if all(line.get(k) == v for k, v in wanted.items())]


def values(lines: Iterable[Line], key: str) -> list[Any]:
    """Distinct values, in order of appearance."""
    return list(dict.fromkeys(line[key] for line in lines))


def tables(lines: Sequence[Line]) -> str:
    """Markdown: errors by gene frequency, the strongest found, coverage."""
    parts = []
    for dataset in values(lines, "dataset"):
        mine = of(lines, dataset=dataset)
        parts += [f"## {dataset}\n", *errors(of(mine, name="curve"), dataset)]
        parts += strongest(of(mine, name="rounds"), dataset)
    return "\n".join(parts) + "\n"


def errors(lines: Sequence[Line], dataset: str) -> list[str]:
    """RMSE x 100 at the sizes nearest to the frequencies, the paper's in brackets."""
    if not lines:
        return []
    sizes = values(sorted(lines, key=lambda line: line["n_train"]), "n_train")
    often = {line["n_train"]: line["gene_frequency"] for line in lines}
    near = [min(sizes, key=lambda n: abs(np.log(often[n] / f))) for f in FREQUENCIES]
    if set(TAKEN.get(dataset, (-1,))) <= set(sizes):
        near = list(TAKEN[dataset])
    head = " | ".join(f"{n:,} rows ({often[n]:.1f} a gene)" for n in near)
    rows = [f"RMSE x 100 (mean +- sd over seeds; paper)\n\n| model | {head} | "
            "held by 90 % intervals, % | their width to that of a constant one |",
            "|---" * (len(near) + 3) + "|"]  # fmt: skip
    for model in values(lines, "model"):
        own, cells = of(lines, model=model), []
        for place, n in enumerate(near):
            found = [100 * line["rmse"] for line in of(own, n_train=n)]
            paper = PUBLISHED.get(dataset, {}).get(model)
            beside = f" ({paper[place]})" if paper else ""
            cells.append(f"{told(found, 2)}{beside}" if found else "")
        for key, size, digits in (("covered_90", 100, 1), ("width_90", 1, 2)):
            told_by = [of(own, n_train=n) for n in near if key in own[0]]
            cells.append(" / ".join(f"{size * mean_of(x, key):.{digits}f}" for x in told_by))
        rows.append(f"| {model} | " + " | ".join(cells) + " |")
    return [*rows, ""]


def strongest(lines: Sequence[Line], dataset: str) -> list[str]:
    """The top 200 found at the last round: by predictions, by probabilities, measured."""
    rows = []
    for share in values(lines, "test_share"):
        some = of(lines, test_share=share)
        last = max(line["round"] for line in some)
        rows += [f"Top 200 at round {last}, {share:.0%} of the rows kept for testing\n",
                 "| model | acquisition | by prediction (paper) | by probability | measured | "
                 "marginal gain |", "|---" * 6 + "|"]  # fmt: skip
        for model in values(some, "model"):
            for name in values(some, "acquisition"):
                own = of(some, model=model, acquisition=name)
                end, begin = of(own, round=last), of(own, round=0)
                if not end:
                    continue
                paper = FOUND.get(dataset, {}).get(name) if model == "naiad" and share else None
                found = [told([line[key] for line in end], 1)
                         for key in ("top_200", "probable_200", "measured_200")]  # fmt: skip
                gain = mean_of(end, "top_200") - mean_of(begin, "top_200")
                found[0] += f" ({paper})" if paper else ""
                rows.append(
                    f"| {model} | {name} | {' | '.join(found)} | {gain / max(last, 1):.2f} |"
                )
        rows.append("")
    return rows


def mean_of(lines: Sequence[Line], key: str) -> float:
    """The mean of a figure."""
    return float(np.mean([line[key] for line in lines]))


def told(found: Sequence[float | int], digits: int) -> str:
    """Mean +- sd."""
    spread = f" +- {np.std(found, ddof=1):.{digits}f}" if len(found) > 1 else ""
    return f"{np.mean(found):.{digits}f}{spread}"


def figures(lines: Sequence[Line]) -> Iterable[tuple[str, Any]]:
    """Each figure by its number in the paper."""
    # here: the other suites run where matplotlib is not installed
    from matplotlib.figure import Figure

    def panels(count: int, rows: int = 1) -> tuple[Any, Any]:
        figure = Figure(figsize=(4.2 * count, 3.4 * rows), layout="constrained")
        return figure, figure.subplots(rows, count, squeeze=False)

    curves, rounds = of(lines, name="curve"), of(lines, name="rounds")
    for number, models, keys in (
        ("2", EMBEDDINGS, list(CURVES)[:1]),
        ("3", None, list(CURVES)[:1]),
        ("6", None, list(CURVES)[1:]),
    ):
        if curves:
            figure, axes = panels(len(values(curves, "dataset")), len(keys))
            for column, dataset in enumerate(values(curves, "dataset")):
                some = of(curves, dataset=dataset)
                for row, label in enumerate(keys):
                    kept = [x for x in some if models is None or x["model"] in models]
                    key, change = CURVES[label]
                    drawn(axes[row][column], kept, "model", "n_train", key, change,
                          values(curves, "model"))  # fmt: skip
                    axes[row][column].set(title=dataset, xlabel="training rows", ylabel=label)
            yield number, finished(figure, axes)
    for number, key, label in (("4", "top_200", "top 200 found"), ("7", "rmse", "RMSE")):
        some = [line for line in rounds if line["test_share"]]
        if some:
            models = values(some, "model")
            figure, axes = panels(len(values(some, "dataset")), len(models))
            for column, dataset in enumerate(values(some, "dataset")):
                for row, model in enumerate(models):
                    own = of(some, dataset=dataset, model=model)
                    drawn(axes[row][column], own, "acquisition", "n_measured", key, float,
                          values(some, "acquisition"))  # fmt: skip
                    axes[row][column].set(title=f"{dataset}, {model}", xlabel="rows measured",
                                          ylabel=label)  # fmt: skip
            yield number, finished(figure, axes)
    branch = of(lines, name="branch")
    if branch:
        figure, axes = panels(len(values(branch, "dataset")))
        for axis, dataset in zip(axes[0], values(branch, "dataset"), strict=True):
            own = of(branch, dataset=dataset)
            for key in ("singles_linear", "embeddings_residual"):
                label = key.replace("_", " against ")
                series = [{**line, "which": label} for line in own]
                drawn(axis, series, "which", "n_train", key, float,
                      ("singles against linear", "embeddings against residual"))  # fmt: skip
            axis.set(title=dataset, xlabel="training rows", ylabel="correlation on test rows")
        yield "5", finished(figure, axes)
    fall = [line for line in of(lines, name="fall") if line["test_share"]]
    if fall:
        names, both = values(fall, "acquisition"), [(x["dataset"], x["model"]) for x in fall]
        both = list(dict.fromkeys(both))
        figure, axes = panels(len(names), len(both))
        for row, (dataset, model) in zip(axes, both, strict=True):
            for axis, name in zip(row, names, strict=True):
                chosen = of(fall, dataset=dataset, model=model, acquisition=name)
                axis.set_visible(bool(chosen))
                for line in chosen:
                    axis.scatter(line["sum_of_singles"], line["effect"], s=5, lw=0)
                axis.set(title=f"{dataset}, {model}: {name}", xlabel="sum of single effects",
                         ylabel="measured")  # fmt: skip
        yield "8", figure


def drawn(
    axis: Any, lines: Sequence[Line], by: str, x: str, y: str, change: Callable[[float], float],
    names: Sequence[str],
) -> None:  # fmt: skip
    """A line a model or acquisition, in the colour of its name: means and their standard errors."""
    for name in values(lines, by):
        own, place = of(lines, **{by: name}), list(names).index(name)
        at = sorted(values(own, x))
        found = [[change(line[y]) for line in of(own, **{x: n})] for n in at]
        error = [np.std(v, ddof=1) / np.sqrt(len(v)) if len(v) > 1 else 0.0 for v in found]
        axis.errorbar(at, [np.mean(v) for v in found], error, label=name, capsize=2, lw=1.2,
                      color=f"C{place % 10}", linestyle=("-", "--")[place // 10 % 2])  # fmt: skip


def finished(figure: Any, axes: Any) -> Any:
    """With one legend for all panels; panels without a line are blank."""
    labels: dict[str, Any] = {}
    for axis in np.ravel(axes):
        axis.spines[["top", "right"]].set_visible(False)
        handles, names = axis.get_legend_handles_labels()
        labels |= dict(zip(names, handles, strict=True))
        axis.set_visible(bool(names))
    figure.legend(labels.values(), labels, loc="outside right upper", frameon=False, fontsize=8)
    return figure


if __name__ == "__main__":
    main()
