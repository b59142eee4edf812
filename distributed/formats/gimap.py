"""Files of gimap: genetic interactions by target, and counts of paired guides.

A target is `A_B`, `A_ctrl` or `ctrl_B`; `target_type` says which (gene_gene, gene_ctrl, ctrl_gene,
ctrl_ctrl). The interaction of a target is `gi_score`; that of a single gene is what its own guides
leave over, no effect, and is not read as one.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from epistax.distributed.errors import BadInput
from epistax.distributed.formats.census import LeftOut
from epistax.distributed.formats.combined import Combined, refuse_sign
from epistax.distributed.formats.sheets import Sheet, strings

TARGET, TYPE, SCORE = "pgRNA_target", "target_type", "gi_score"
EXPECTED, OBSERVED, P, FDR = "mean_expected_cs", "mean_observed_cs", "p_val", "fdr"
JOIN, CONTROL = "_", "ctrl"
SIDES = {"gene_gene": (), "gene_ctrl": (1,), "ctrl_gene": (0,), "ctrl_ctrl": (0, 1)}


def is_interactions(header: Sequence[str]) -> bool:
    """Whether a table is that of interactions by target."""
    return TARGET in header and SCORE in header


def read_interactions(sheet: Sheet) -> tuple[Sheet, tuple[LeftOut, ...]]:
    """The same as rows a, b, score; rows of a gene alone are left out."""
    at = [sheet.header.index(name) for name in (TARGET, SCORE)]
    target, score = strings(sheet, at)
    target = target.str.strip_chars()
    if TYPE in sheet.header:
        two = types(sheet) == "gene_gene"
    else:
        alone = target.str.starts_with(CONTROL + JOIN) | target.str.ends_with(JOIN + CONTROL)
        two = ~alone & (target != "")
    parts = target.str.count_matches(JOIN, literal=True)
    wrong = np.flatnonzero((two & (parts != 1)).to_numpy())
    if len(wrong):
        remedy = "name two columns of genes and the score with --columns A,B,gi_score"
        problem = f"is not two names around one {JOIN!r}"
        raise sheet.where(TARGET).fault(wrong, target[int(wrong[0])], problem, remedy)
    single = int((~two & (target != "")).sum())
    sides = target.filter(two).str.split_exact(JOIN, 1).struct.unnest()
    frame = pl.DataFrame({"a": sides["field_0"], "b": sides["field_1"], "score": score.filter(two)})
    left = (LeftOut("single_targets", single, "of one gene, whose gi_score is no effect"),)
    return Sheet(sheet.source, tuple(frame.columns), frame=frame), left if single else ()


def types(sheet: Sheet) -> pl.Series:
    """The column target_type, in the words that gimap has. BadInput for others."""
    found = strings(sheet, [sheet.header.index(TYPE)])[0].str.strip_chars()
    wrong = np.flatnonzero((~found.is_in([*SIDES, ""])).to_numpy())
    if len(wrong):
        problem = f"is none of {', '.join(SIDES)}"
        remedy = "correct it, or rename the column"
        raise sheet.where(TYPE).fault(wrong, found[int(wrong[0])], problem, remedy)
    return found


def controlled(sheet: Sheet, lines: np.ndarray, genes: Sequence[pl.Series]) -> list[pl.Series]:
    """The genes of constructs, a control where target_type says so; lines: their rows."""
    found = types(sheet).gather(lines)
    return [
        gene.set(found.is_in([name for name, at in SIDES.items() if side in at]), CONTROL)
        for side, gene in enumerate(genes)
    ]


def write_gimap(found: Combined) -> bytes:
    """Interactions by target with p_val and fdr, as calc_gi leaves them; singles have no score."""
    refuse_sign([*{name for row in found.members for name in row}, *found.singles], JOIN, "gimap")
    larger = sum(len(row) > 2 for row in found.members)
    if larger:
        raise BadInput(f"--to: gimap holds pairs; the run has {larger:,} larger combinations: "
                       "choose naiad or batchie")  # fmt: skip
    expected = found.expected
    known = bool(found.singles)
    value = found.score - expected if known else found.score
    p, fdr = found.tails(value) if known else (found.p, found.q)
    single = np.array([*found.singles.values()], float)
    none = np.full(len(single), np.nan)
    columns = {
        TARGET: [JOIN.join(row) for row in found.members]
        + [f"{name}{JOIN}{CONTROL}" for name in found.singles],
        TYPE: ["gene_gene"] * len(found.score) + ["gene_ctrl"] * len(single),
        EXPECTED: np.r_[expected, none],
        OBSERVED: np.r_[found.score if known else np.full(len(found.score), np.nan), single],
        SCORE: np.r_[value, none],
        P: np.r_[p, none],
        FDR: np.r_[fdr, none],
    }
    frame = pl.DataFrame(columns).with_columns(pl.col(pl.Float64).fill_nan(None))
    return frame.write_csv(separator="\t", null_value="NA").encode()
