"""README's picture: what is found, how well effects are predicted, how a round grows.

    python -m epistax.benchmarks.overview RESULTS --out overview.png

draws committed results: the replay of the K562 screen, errors of models of effects on the Norman
screen beside the published ones, and the seconds of one round of information-directed sampling.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from epistax.benchmarks.naiadpages import PUBLISHED, TAKEN

BLUE, GREY, GOLD, GREEN = "#3b528b", "#7f7f7f", "#e69f00", "#21918c"


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="the folder of results")
    parser.add_argument("--out", required=True, type=Path)
    options = parser.parse_args()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.6), layout="constrained")
    found, errors, seconds = figure.subplots(1, 3)
    replayed(found, options.results)
    predicted(errors, lines(options.results / "naiad-norman-epyc-2-cores.jsonl"))
    grown(seconds, lines(options.results / "round-epyc-2-cores.jsonl"))
    for panel in (found, errors, seconds):
        panel.spines[["top", "right"]].set_visible(False)
        panel.legend(frameon=False, fontsize=8)
    figure.savefig(options.out, dpi=110)


def lines(path: Path) -> list[dict[str, Any]]:
    """JSON lines."""
    return [json.loads(line) for line in path.open(encoding="utf-8")]


def replayed(panel: Any, folder: Path) -> None:
    """Share of the pairs sought against the share measured, K562."""
    sides = (
        ("discover-k562", "ids", "ids (default belief)", BLUE, "-"),
        ("discover-k562-lowrank", "ucb", "ucb (published low-rank belief)", GREEN, "--"),
        ("discover-k562", "random", "random", GREY, ":"),
    )
    for file, policy, label, colour, style in sides:
        run = json.loads((folder / f"{file}.json").read_text())
        share = run["summary"]["policies"][policy]["top_fraction"]
        points = sorted((at(k), v["mean"]) for k, v in share.items() if k != "end")
        x, y = np.array([(0.0, 0.0), *points]).T
        panel.plot(100 * x, 100 * y, style, marker="o", markersize=3, color=colour, label=label)
    panel.set_xlabel("pairs measured, %")
    panel.set_ylabel("strongest 5 % of interactions found, %")
    panel.set_title("K562, 100,128 pairs: which are worth testing?", fontsize=10)


def at(name: str) -> float:
    """The share measured at a point of a summary."""
    return float(name.rstrip("%")) / (100 if name.endswith("%") else 1)


def predicted(panel: Any, rows: list[dict[str, Any]]) -> None:
    """RMSE of combinations not measured, Norman."""
    taken = TAKEN["norman"]
    for model, label, colour in (
        ("mlp", "MLP", GREY),
        ("naiad", "NAIAD, trained here", GOLD),
        ("default", "epistax", BLUE),
    ):
        mean = [np.mean([r["rmse"] for r in rows if told(r, model, n)]) * 100 for n in taken]
        panel.plot(taken, mean, "o-", markersize=4, color=colour, label=label)
    panel.plot(taken, PUBLISHED["norman"]["naiad"], "x", color=GOLD, label="NAIAD, as published")
    panel.set_xlabel("pairs trained on")
    panel.set_ylabel("RMSE × 100")
    panel.set_title("Norman: effects of pairs not measured", fontsize=10)


def told(row: dict[str, Any], model: str, n: int) -> bool:
    """Whether a line is an error of this model at this size."""
    return row["name"] == "curve" and row["model"] == model and row["n_train"] == n


def grown(panel: Any, rows: list[dict[str, Any]]) -> None:
    """Seconds of a round against the number of pairs."""
    some = [r for r in rows if r["name"] == "round.growth"]
    x = [r["size"]["pairs"] for r in some]
    label = "choose 384 by ids-var, 10,000 measured"
    panel.loglog(x, [r["ours_seconds"] for r in some], "o-", color=BLUE, label=label)
    whole = next(r for r in some if r["size"]["genes"] == 20_000)
    panel.annotate(
        f"20,000 genes:\n{whole['ours_seconds']:.1f} s, {whole['peak_rss_mb']:.0f} MB",
        (whole["size"]["pairs"], whole["ours_seconds"]), xytext=(-95, -4),
        textcoords="offset points", fontsize=8,
        arrowprops={"arrowstyle": "->", "color": GREY})  # fmt: skip
    panel.set_xlabel("pairs")
    panel.set_ylabel("seconds, two cores")
    panel.set_title("One round over all pairs", fontsize=10)


if __name__ == "__main__":
    main()
