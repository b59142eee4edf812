"""Tables and figures out of the lines of benchmarks/environments.py.

    python -m epistax.benchmarks.environmentpages two.jsonl growing.jsonl l1000.jsonl --out DIR

writes DIR/tables.md, DIR/figure-NUMBER.png (numbers of "Towards Learning Cell Causal-Embeddings")
and DIR/NAME.png; what the lines do not hold is left out, with a line that says so.
"""

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from epistax.benchmarks.environmentplots import (
    CASES,
    LIMIT,
    NONE,
    OUTSIDE,
    TURNED,
    figures,
    kind,
    number,
)  # fmt: skip
from epistax.benchmarks.graphvcipages import told
from epistax.benchmarks.naiadpages import Line, of, values

PARTS = {  # and the pictures made of them
    "two": (*OUTSIDE, *TURNED),
    "growing": ("9",),
    "l1000": ("10",),
    "sparse": ("temperature",),
    "remedies": ("remedies",),
}
SHOWN = (-20, -10, -3, 3, 10, 20)  # offsets T
NEAR = 3  # |T| of ratios to exact errors
SPARSE = {"mcc": "MCC", "f1": "F1", "f1_trained": "F1, trained in", "sparsity": "sparsity"}


def main() -> None:
    """Write the pages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", nargs="+", type=Path)
    parser.add_argument("--out", required=True, type=Path)
    options = parser.parse_args()
    lines = [json.loads(x) for path in options.results for x in path.read_text().splitlines()]
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "tables.md").write_text(tables(lines))
    made = []
    for name, figure in figures(lines):
        made.append(name)
        file = f"figure-{name}.png" if name.isdigit() else f"{name}.png"
        figure.savefig(options.out / file, dpi=130)
    for line in left_out(lines, made):
        print(line)


def left_out(lines: Sequence[Line], made: Sequence[str]) -> Iterable[str]:
    """What is not written, and why."""
    held = {x["name"] for x in lines}
    for part, names in PARTS.items():
        missing = [name for name in names if name not in made]
        if part not in held:
            yield f"no lines of `{part}`: skipped its tables and figures {', '.join(missing)}"
        elif missing:
            yield f"the lines of `{part}` are not all there: skipped figures {', '.join(missing)}"
    if "environments" not in made:
        wanted = [part for part in PARTS if part != "remedies" and part not in held]
        yield f"no lines of `{'`, `'.join(wanted)}`: skipped environments.png"


def tables(lines: Sequence[Line]) -> str:
    """Markdown: errors by offset, rotations, final errors and rises, targets, remedies."""
    two = of(lines, name="two")
    parts = offsets([x for x in two if "error" in x])
    parts += rotations([x for x in two if "plain" in x])
    for part in ("growing", "l1000"):
        parts += by_size(final, of(lines, name=part), part)
    parts += sparse(of(lines, name="sparse"))
    parts += by_size(remedies, of(lines, name="remedies"), "remedies")
    return "\n".join(parts) + "\n"


def by_size(
    rows: Callable[[Sequence[Line], str], list[str]], lines: Sequence[Line], part: str
) -> list[str]:
    """The rows of the worlds of each size."""
    found = []
    for size in dict.fromkeys(x.get("size") for x in lines):
        own = [x for x in lines if x.get("size") == size]
        found += rows(own, f"{part}, {size} size" if size else part)
    return found


def offsets(lines: Sequence[Line]) -> list[str]:
    """Mean errors over worlds by offset, after the exact ones, and the ratio to these.

    By default the variance is learned: the exact errors are those of the linear autoencoder. As
    published it is 1: those of the linear variational one.
    """
    if not lines:
        return []
    head = " | ".join(f"T = {t}" for t in SHOWN)
    rows = [f"Errors outside, mean of {len(values(lines, 'world'))} worlds; largest ratio to the "
            f"exact error where |T| <= {NEAR} (most of any world), if that is not 0\n",
            f"| case | direction | model | {head} | ratio |",
            "|---" * (len(SHOWN) + 4) + "|"]  # fmt: skip
    for case in values(lines, "case"):
        for direction in values(of(lines, case=case), "direction"):
            own = of(lines, case=case, direction=direction)
            start = f"| {CASES[case][:3]} | {direction} |"
            known = of(own, model=own[0]["model"], preset=own[0].get("preset"))
            for name in ("linear", "variational"):
                rows.append(f"{start} exact, {name} | {at(known, f'anchor_{name}')} |  |")
            for model, preset in dict.fromkeys((x["model"], x.get("preset")) for x in own):
                some = of(own, model=model, preset=preset)
                label = f"{model}, {preset}" if preset else "components"
                exact = "variational" if preset == "published" else "linear"
                rows.append(f"{start} {label} | {at(some, 'error')} | {ratio(some, exact)} |")
    return [*rows, ""]


def at(lines: Sequence[Line], key: str) -> str:
    """Means over worlds at the offsets shown."""
    mean = np.mean([x[key] for x in lines], axis=0)
    found = [mean[lines[0]["offsets"].index(t)] for t in SHOWN]
    return " | ".join(short(x) if x > NONE else "0" for x in found)


def ratio(lines: Sequence[Line], exact: str) -> str:
    """The largest over |T| <= 3: mean over worlds and the most of any."""
    near = np.abs(lines[0]["offsets"]) <= NEAR
    anchor = np.array([x[f"anchor_{exact}"] for x in lines])[:, near]
    error = np.array([x["error"] for x in lines])[:, near]
    apart = np.divide(error, anchor, out=np.full_like(error, -np.inf), where=anchor > NONE)
    most = apart.max(axis=1)
    most = most[np.isfinite(most)]
    return f"{most.mean():.3g} ({most.max():.3g})" if len(most) else ""


def rotations(lines: Sequence[Line]) -> list[str]:
    """How decoders' rows and the true ones meet, in whichever of the two ways is nearer."""
    if not lines:
        return []
    rows = ["Rotations that match, the nearer of plain and flipped (mean +- sd over worlds)\n",
            "| case | model | angle / pi, by world | mean distance | spread, grid steps | "
            "left by angle and scales |", "|---" * 6 + "|"]  # fmt: skip
    for case in values(lines, "case"):
        own = of(lines, case=case)
        for model, preset in dict.fromkeys((x["model"], x["preset"]) for x in own):
            some = [nearer(x) for x in of(own, model=model, preset=preset)]
            angles = ", ".join(f"{x['angle'] / np.pi:.2f}" for x in some)
            shown = ("mean_distance", "spread", "least_squares")
            cells = [spread([x[key] for x in some]) for key in shown]
            rows.append(f"| {CASES[case][:3]} | {model}, {preset} | {angles} | "
                        f"{' | '.join(cells)} |")  # fmt: skip
    return [*rows, ""]


def nearer(line: Line) -> Line:
    """The way of less distance."""
    best = min(line["plain"], line["flipped"], key=lambda x: x["mean_distance"])
    return best | {"least_squares": line["least_squares"]}


def final(lines: Sequence[Line], part: str) -> list[str]:
    """Final errors of validation environments, beside the trivial ones, and how far they rise."""
    rows = [f"Environments never trained in: {part} (mean +- sd over worlds; errors of different "
            "settings compare over the mean profile only)\n",
            "| settings | model | final error | over components | over mean profile | "
            f"worst rise | most | at most {LIMIT} | worlds |", "|---" * 9 + "|"]  # fmt: skip
    for preset in values(lines, "preset"):
        for model in values(of(lines, preset=preset), "model"):
            own = of(lines, preset=preset, model=model)
            end = [number(x["final"]) for x in own]
            cells = [spread(end)]
            for key in ("components", "mean_profile"):
                cells.append(spread([e / x[key] for e, x in zip(end, own, strict=True)]))
            rise = [number(x["worst_rise"]) for x in own]
            within = sum(x <= LIMIT for x in rise)
            cells += [spread(rise), short(max(rise)), f"{within / len(rise):.0%}", str(len(own))]
            rows.append(f"| {preset} | {model} | {' | '.join(cells)} |")
    return [*rows, ""]


def sparse(lines: Sequence[Line]) -> list[str]:
    """Latents and targets found, by row and temperature."""
    rows: list[str] = []
    for one in dict.fromkeys(kind(x) for x in lines):
        own = [x for x in lines if kind(x) == one]
        rows += [f"Targets of environments: {one} (mean +- se over worlds)\n",
                 f"| row | {' | '.join(SPARSE.values())} | worlds |",
                 "|---" * (len(SPARSE) + 2) + "|"]  # fmt: skip
        for name, heat in dict.fromkeys((x["row"], x.get("temperature")) for x in own):
            some = of(own, row=name, temperature=heat)
            cells = [told(some, key) for key in SPARSE]
            label = name if heat is None else f"{name} {heat:g}"
            rows.append(f"| {label} | {' | '.join(cells)} | {len(some)} |")
        rows.append("")
    return rows


def remedies(lines: Sequence[Line], part: str) -> list[str]:
    """What one remedy changes of the published settings, by model."""
    rows = [f"Remedies one at a time: {part} (mean +- sd over worlds)\n",
            "| model | remedy | final over least | worst rise | over mean profile | worlds |",
            "|---" * 6 + "|"]  # fmt: skip
    for model in values(lines, "model"):
        for remedy in values(of(lines, model=model), "remedy"):
            own = of(lines, model=model, remedy=remedy)
            end = [number(x["final"]) for x in own]
            least = [np.nanmin(np.array([*x["curve"], np.inf], float)) for x in own]
            cells = [
                spread([np.inf if np.isinf(e) else e / x for e, x in zip(end, least, strict=True)]),
                spread([number(x["worst_rise"]) for x in own]),
                spread([e / x["mean_profile"] for e, x in zip(end, own, strict=True)]),
            ]
            rows.append(f"| {model} | {remedy} | {' | '.join(cells)} | {len(own)} |")
    return [*rows, ""]


def spread(found: Sequence[float]) -> str:
    """Mean +- sd of those that are finite, and how many are not."""
    kept = [x for x in found if np.isfinite(x)]
    lost = f"{len(found) - len(kept)} of {len(found)} not finite" if len(kept) < len(found) else ""
    if not kept:
        return lost
    apart = f" +- {short(float(np.std(kept, ddof=1)))}" if len(kept) > 1 else ""
    return f"{short(float(np.mean(kept)))}{apart}" + (f" ({lost})" if lost else "")


def short(value: float) -> str:
    """Three digits."""
    return f"{value:.3g}"


if __name__ == "__main__":
    main()
