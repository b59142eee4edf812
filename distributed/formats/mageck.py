"""MAGeCK's gene summary: a gene a row; score, p-value, rank and log fold change on two sides."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from epistax.distributed.formats.combined import Combined
from epistax.engine.stats.fdr import benjamini_hochberg

SIDES = ("neg", "pos")
COLUMNS = ("score", "p-value", "fdr", "rank", "goodsgrna", "lfc")
JOIN = "+"  # labels.py
SUMMARY = ("id", "num", "neg|score")


def is_summary(header: Sequence[str]) -> bool:
    """Whether a table is a gene summary."""
    return set(SUMMARY) <= set(header)


def write_mageck(found: Combined) -> bytes:
    """Genes, and combinations as genes `A+B`.

    score is the share of rows at least as extreme on its side. Scores without a sign have the
    positive side only; the p-values of signed ones, of both sides, are halved for their own.
    """
    value, sides = found.score, []
    for side, sign in zip(SIDES, (-1.0, 1.0), strict=True):
        rank = np.empty(len(value), np.int64)
        rank[np.argsort(-sign * value, kind="stable")] = np.arange(1, len(value) + 1)
        told = found.signed or side == "pos"
        none = np.full(len(value), np.nan)
        p, q = (found.p, found.q) if not found.signed else one_sided(found, sign)
        columns = (rank / len(value), p, q, rank.astype(float), none, value)
        sides += [
            pl.Series(f"{side}|{name}", column if told else none)
            for name, column in zip(COLUMNS, columns, strict=True)
        ]
    names = pl.Series("id", [JOIN.join(row) for row in found.members], dtype=pl.String)
    frame = pl.DataFrame([names, pl.Series("num", found.count), *sides])
    frame = frame.with_columns(pl.col(pl.Float64).fill_nan(None))
    frame = frame.with_columns(pl.col("neg|rank", "pos|rank").cast(pl.Int64))
    return frame.write_csv(separator="\t", null_value="NA").encode()


def one_sided(found: Combined, sign: float) -> tuple[np.ndarray, np.ndarray]:
    """The p-values of one side, and the same adjusted."""
    both, _ = found.tails(found.score)
    p = np.where(sign * found.score > 0, both / 2, 1 - both / 2)
    return p, benjamini_hochberg(p)
