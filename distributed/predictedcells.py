"""Predicted cells beside the measured controls they start from, as peers name their columns.

The expression is on the log scale of the fit. What a stratum is called stands in the column of cell
types; doses stand beside the label where they are not all 1.
"""

from typing import Any, NamedTuple

import numpy as np

from epistax.distributed.annotated import read_screen
from epistax.distributed.errors import BadInput
from epistax.distributed.formats.combined import refuse_sign
from epistax.distributed.outcomes import fit_of
from epistax.distributed.report.sections.runs import Run
from epistax.distributed.response import stored

CELLS = "cells.h5ad"
JOIN = "+"


class Names(NamedTuple):
    """How one tool calls things."""

    label: str  # column of labels
    control: str
    kind: str  # column of cell types
    single: str = "{}"  # a perturbation alone
    dose: str = "dose"
    marked: str = ""  # column that is 1 of controls
    genes: str = ""  # column of var


NAMES = {
    "pertpy": Names("perturbation", "control", "cell_type"),
    "gears": Names("condition", "ctrl", "cell_type", "{}+ctrl", "dose_val", "control", "gene_name"),
    "cell-eval": Names("target_gene", "non-targeting", "celltype"),
}


def predicted_cells(run: Run, tool: str) -> Any:
    """The AnnData of `response predict --cells`. BadInput without such cells, or the fit."""
    import pandas as pd
    from anndata import AnnData

    path = run.path / CELLS
    if not path.is_file():
        raise BadInput(f"{run.path}: has no {CELLS}; run response predict with --cells")
    made, learned, names = read_screen(str(path)), stored.read(fit_of(run)), NAMES[tool]
    # controls as the model has them are left out: the measured ones stand for them
    made = made[(made.obs["perturbation"] != learned.arms[0]).to_numpy()]
    if not made.n_obs:
        raise BadInput(f"{run.path}: predicts controls alone; name perturbations with --to of "
                       "response predict")  # fmt: skip
    arms, kinds = (made.obs[name].astype(str).to_list() for name in ("perturbation", "stratum"))
    titles = {arm: called(arm, learned.sep, names) for arm in set(arms)}
    labels, doses = zip(*(titles[arm] for arm in arms), strict=True)
    stratum = np.array(learned.strata)[learned.controls.stratum]
    own = np.isin(stratum, kinds)
    n = int(own.sum())
    obs = pd.DataFrame({
        names.label: pd.Categorical([*[names.control] * n, *labels]),
        names.kind: pd.Categorical([*stratum[own], *kinds]),
        "cell": np.r_[learned.rows[own] + 1, made.obs["cell"].to_numpy()],
    }, index=[*(f"measured:{row + 1}" for row in learned.rows[own]),
              *made.obs_names])  # fmt: skip
    if names.marked or any(set(dose.split(JOIN)) != {"1"} for dose in doses):
        obs[names.dose] = pd.Categorical([*["1"] * n, *doses])
    if names.marked:
        obs[names.marked] = np.r_[np.ones(n, np.int64), np.zeros(made.n_obs, np.int64)]
    var = pd.DataFrame(index=list(learned.genes))
    if names.genes:
        var[names.genes] = pd.Categorical(learned.genes)
    x = np.concatenate([learned.controls.y[own], np.asarray(made.X)])
    return AnnData(x.astype(np.float32), obs=obs, var=var, uns={"values": "log"})


def called(arm: str, sep: str, names: Names) -> tuple[str, str]:
    """The label of an arm, and its doses."""
    label, _, dose = arm.partition("@")
    parts = label.split(sep)
    refuse_sign(parts, JOIN, names.label)
    doses = JOIN.join(dose.split(sep)) if dose else JOIN.join("1" for _ in parts)
    if len(parts) == 1:
        padded = f"{doses}{JOIN}1" if JOIN in names.single else doses
        return names.single.format(label), padded
    return JOIN.join(parts), doses
