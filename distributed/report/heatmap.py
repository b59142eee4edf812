"""The pair matrix as data for the page's script: orders of the names, three numbers a pair.

Pairs stand in the order of the upper triangle; numbers are little-endian bytes in base64.
"""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from epistax.distributed.report.curves import COLOURS
from epistax.distributed.report.matrices import ABSENT, FULL, RAMP, order
from epistax.distributed.report.sections.blocks import printable
from epistax.distributed.report.sections.pairs import SIGNED, size, symbol
from epistax.distributed.status import TESTED

MOST = 500  # perturbations of one matrix: what an eye can hold
BUDGET = 2_500_000  # bytes of all layers, before base64
PAIR = 4 + 2 + 1  # bytes of a pair: statistic, q, colour
NO_COLOUR = 255  # of an untested pair
NO_Q, LAST_Q, REASONS = 65535, 64999, 65000  # as matrix.js has them


def most(layers: int) -> int:
    """Perturbations that a page holds with so many tests."""
    return min(MOST, int((2 * BUDGET / (PAIR * layers)) ** 0.5))


def data(
    names: Sequence[str],
    frames: Mapping[str, pl.DataFrame],
    pathway: Mapping[str, str],
    pathways: Sequence[str],
) -> dict[str, Any]:
    """Everything that the script needs; frames are rows by test, names sorted by code point."""
    rows = next(iter(frames.values()))
    place = {name: k for k, name in enumerate(names)}
    orders = [("clustered", [place[name] for name in order(names, rows, {}, ())])]
    if pathway:
        orders.insert(0, ("by pathway", [place[n] for n in order(names, rows, pathway, pathways)]))
    reasons = reasons_of(frames)
    groups = [printable(pathway.get(name, "")) for name in names] if pathway else []
    return {
        "names": [printable(name) for name in names],
        "groups": groups,
        "colours": {printable(name): COLOURS[k % 6] for k, name in enumerate(pathways)},
        "orders": [
            {"name": name, "places": places}
            for name, places in (*orders, ("by name", list(range(len(names)))))
        ],
        "layers": [layer(test, rows, place, reasons) for test, rows in frames.items()],
        "reasons": list(reasons),
        "ramp": [rgb(colour) for colour in RAMP],
        "absent": rgb(ABSENT),
    }


def reasons_of(frames: Mapping[str, pl.DataFrame]) -> dict[str, int]:
    """Why a pair has no figure, numbered; first that it was not measured."""
    found = {status for rows in frames.values() for status in rows["status"].unique().drop_nulls()}
    untested = (f"not tested ({status})" for status in sorted(found - set(TESTED)))
    return {text: k for k, text in enumerate(("not measured", *untested))}


def layer(
    test: str, rows: pl.DataFrame, place: Mapping[str, int], reasons: Mapping[str, int]
) -> dict[str, Any]:
    """One test: how it is written, from where its colour is full, and its pairs."""
    n = len(place)
    one, two = (rows[side].replace_strict(place).to_numpy() for side in ("a", "b"))
    low, high = np.minimum(one, two), np.maximum(one, two)
    at = low * (2 * n - low - 1) // 2 + high - low - 1
    score = rows["score"].fill_null(np.nan).to_numpy()
    full = float(np.nanquantile(score, FULL)) if np.isfinite(score).any() else 0.0
    statistic = np.full(n * (n - 1) // 2, np.nan, "<f4")
    q, colour = np.full(len(statistic), REASONS, "<u2"), np.full(len(statistic), NO_COLOUR, "u1")
    statistic[at] = rows["statistic"].fill_null(np.nan).to_numpy()
    said = "not tested (" + rows["status"] + ")"
    why = said.replace_strict(reasons, default=0, return_dtype=pl.Int64).to_numpy()
    q[at] = np.where(np.isnan(statistic[at]), REASONS + why, quantised(rows["q_value"]))
    share = np.sqrt(np.clip(score / full, 0, 1)) if full > 0 else 0 * score
    colour[at] = np.where(np.isnan(share), NO_COLOUR, np.rint(np.nan_to_num(share) * 254))
    return {
        "test": test,
        "symbol": symbol(test),
        "size": size(test),
        "signed": test.partition(":")[0] in SIGNED,
        "full": full,
        "statistic": text(statistic),
        "q": text(q),
        "colour": text(colour),
    }


def quantised(values: pl.Series) -> np.ndarray:
    """-log10 q in hundredths, which one digit of q survives; NO_Q where there is none."""
    q = values.fill_null(np.nan).to_numpy()
    with np.errstate(divide="ignore"):
        steps = np.minimum(-100 * np.log10(q), LAST_Q)
    return np.where(np.isnan(q), NO_Q, np.rint(np.nan_to_num(steps)))


def rgb(colour: str) -> list[int]:
    """`#deebf7` as three numbers."""
    return [int(colour[k : k + 2], 16) for k in (1, 3, 5)]


def text(values: np.ndarray) -> str:
    """Bytes in base64."""
    return base64.b64encode(values.tobytes()).decode()
