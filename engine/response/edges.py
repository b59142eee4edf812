"""How well scores of edges find the true ones, and scores that need no training.

As figure 6 of "Predicting Cellular Responses with Variational Causal Inference and Refined
Relational Information": precision and recall of the targets of regulators. Tables are genes by
regulators; a regulator on itself is nobody's edge.
"""

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from epistax.engine.response.records import Cells
from epistax.engine.response.refine import residual
from epistax.engine.stats.metrics import average_precision, top

SHRUNK = 0.05  # share of the identity in the correlations of regulators that are inverted
PARTS = ("all", "prior", "new")


def evaluate(
    score: Float[ndarray, "g r"],
    true: Bool[ndarray, "g r"],
    prior: Bool[ndarray, "g r"],
    regulators: Int[ndarray, "r"],
    *,
    among: int | None = None,
) -> dict[str, dict[str, float]]:
    """Of all edges, of those in the prior graph (is it pruned?) and of the others (are any found?).

    micro is the average precision of all edges at once, macro its mean over regulators that have
    a true one, precision the share of true ones among the `among` best (as many as are true, if
    not given), chance the share of true ones. nan where nothing is true.
    """
    other = np.asarray(regulators)[None, :] != np.arange(len(true))[:, None]
    score = np.nan_to_num(np.asarray(score, np.float64), nan=-np.inf)
    found = {}
    for part, mask in zip(PARTS, (other, other & prior, other & ~prior), strict=True):
        best = top(score[mask], min((among or true[mask].sum()) / max(mask.sum(), 1), 1.0))
        each = [
            average_precision(score[mask[:, r], r], true[mask[:, r], r])
            for r in range(true.shape[1])
        ]
        each = [value for value in each if not np.isnan(value)]
        found[part] = {
            "micro": average_precision(score[mask], true[mask]),
            "macro": float(np.mean(each)) if each else float("nan"),
            "precision": float(true[mask][best].mean()) if best.any() else float("nan"),
            "chance": float(true[mask].mean()) if mask.any() else float("nan"),
        }
    return found


def untrained(
    cells: Cells, prior: Bool[ndarray, "g r"], regulators: Int[ndarray, "r"], *, strata: int
) -> dict[str, Float[ndarray, "g r"]]:
    """Scores from the same inputs by closed forms, within strata.

    prior + a correlation has every edge of the prior graph before all others.
    """
    x, _ = residual(cells, strata)
    r = np.abs(correlation(x, regulators))
    partial = np.abs(partial_correlation(x, regulators))
    return {
        "prior": prior.astype(np.float64),
        "correlation": r,
        "partial": partial,
        "prior + correlation": prior + r,
        "prior + partial": prior + partial,
    }


def correlation(x: Float[ndarray, "n g"], regulators: Int[ndarray, "r"]) -> Float[ndarray, "g r"]:
    """Of every gene with every regulator."""
    x = x.astype(np.float64) - x.mean(axis=0, dtype=np.float64)
    x /= np.maximum(np.sqrt((x**2).sum(axis=0)), 1e-12)
    return x.T @ x[:, regulators]


def partial_correlation(
    x: Float[ndarray, "n g"], regulators: Int[ndarray, "r"], *, shrunk: float = SHRUNK
) -> Float[ndarray, "g r"]:
    """Of every gene with every regulator, given all other regulators; 1 with itself.

    shrunk is the share of the identity in the correlations of regulators.
    """
    c = correlation(x, regulators)
    among = (1 - shrunk) * c[regulators] + shrunk * np.eye(len(regulators))
    precision = np.linalg.inv(among)
    seen = (1 - shrunk) * c
    slope = seen @ precision
    rest = np.maximum(1 - (slope * seen).sum(axis=1), 1e-6)
    # given the others a regulator keeps 1 / precision_rr of its variance
    power = slope**2 / np.diag(precision)[None, :]
    out = np.sign(slope) * np.sqrt(power / (power + rest[:, None]))
    scale = np.sqrt(np.diag(precision))
    out[regulators] = -precision / scale[:, None] / scale[None, :]
    out[regulators, np.arange(len(regulators))] = 1.0
    return out
