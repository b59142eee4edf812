"""Scores against the clip of SMILE, drawn from the results of `separability` and `imaging`.

    python -m epistax.benchmarks.tau RESULTS.jsonl ... --out score-by-tau.png

A panel a scenario, all seeds: inseparable pairs and separable ones by colour.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from epistax.benchmarks.harness import Record
from epistax.engine.pairs import upper
from epistax.engine.simulate import guides, latents

TITLES = {"four": "vectors", "balls": "images of balls", "guides": "images of cells"}


def inseparable(scenario: str) -> np.ndarray:
    """Pairs that act on one latent, or gene, in the order of their scores."""
    gene = np.array(
        [name[0] for name in guides.GUIDES] if scenario == "guides" else latents.TARGETS
    )
    i, j = upper(len(gene))
    return gene[i] == gene[j]


def drawn(rows: list[Record]) -> Any:
    """Every seed's curves, as a matplotlib figure."""
    # here: the other suites run where matplotlib is not installed
    from epistax.distributed.report import pictures
    from epistax.distributed.report.curves import COLOURS

    kept = [r for r in rows if r.get("test") == "kl against tau" and not r["shuffled"]]
    scenarios = [name for name in TITLES if any(r["scenario"] == name for r in kept)]
    figure, axes = pictures.canvas(len(scenarios), height=3.2)
    for panel, name in zip(np.atleast_1d(axes), scenarios, strict=True):
        for row in (r for r in kept if r["scenario"] == name):
            together = inseparable(name)
            for mask, colour, text in ((~together, COLOURS[0], "separable"),
                                       (together, COLOURS[1], "inseparable")):  # fmt: skip
                curves = np.asarray(row["score"])[mask]
                lines = panel.plot(row["tau"], curves.T, color=colour, lw=0.7)
                lines[0].set_label(text if row["seed"] == 0 else None)
        panel.axhline(0, color="black", lw=0.6, ls="--", zorder=0)
        panel.set_xlabel("clip τ of SMILE")
        panel.set_title(TITLES[name], fontsize=9)
    np.atleast_1d(axes)[0].set_ylabel("signed score, nats")
    np.atleast_1d(axes)[0].legend(frameon=False, fontsize=7)
    return figure


def main() -> None:
    """From the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    from epistax.distributed.report import pictures

    rows = [json.loads(line) for path in options.results for line in path.read_text().splitlines()]
    _, png = pictures.rendered("tau", drawn(rows))
    options.out.write_bytes(png)


if __name__ == "__main__":
    main()
