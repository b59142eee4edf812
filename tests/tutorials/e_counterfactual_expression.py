"""What cells of one type would express under a perturbation that only other types have had.

    python e_counterfactual_expression.py

Single cells of three types and two donors. One arm is taken out of one stratum, as if it had not
been measured there: what would it do?
"""

import anndata
import numpy as np
import polars as pl
from shell import epistax

epistax("simulate cells --cells 3000 --genes 200 --seed 1 --out world")
cells = anndata.read_h5ad("world/data.h5ad")
stratum = cells.obs["cell_type"].astype(str) + "_" + cells.obs["donor"].astype(str)
held = "type1_donor1"
treated = cells.obs["perturbation"][(stratum == held) & (cells.obs["control"] == 0)]
arm = treated.astype(str).value_counts().index[0]
mine = (cells.obs["perturbation"] == arm) & (stratum == held)
print(f"{mine.sum()} cells of {arm} in {held} are taken away")
cells[~mine].copy().write_h5ad("seen.h5ad")

# The default model, with a graph of who regulates whom. It also fits models that have not seen a
# fifth of the combinations each: their errors say how wide intervals are.
epistax("response fit seen.h5ad --graph world/graph.csv --out fit")
epistax(f"response predict fit --to {arm} --stratum {held} --out predictions")
said = pl.read_parquet("predictions/predictions.parquet")
print(said.head())
assert said["cells"].unique().to_list() == [0]  # the fit has seen none of them

# Beside the cells that were taken away: log1p of counts in units of the median library.
counts = np.asarray(cells.X.todense() if hasattr(cells.X, "todense") else cells.X, np.float64)
library = counts.sum(axis=1, keepdims=True)
log = np.log1p(counts / library * np.median(library))
gene = {name: k for k, name in enumerate(cells.var_names)}
order = [gene[name] for name in said["gene"]]
true = log[mine.to_numpy()].mean(axis=0)[order]
control = log[((stratum == held) & (cells.obs["control"] == 1)).to_numpy()].mean(axis=0)[order]

change, told = true - control, (said["predicted"] - said["control"]).to_numpy()
strong = np.argsort(-np.abs(change))[:20]
print(f"change from the control, the 20 genes that change most: correlation "
      f"{np.corrcoef(change[strong], told[strong])[0, 1]:.2f}")  # fmt: skip
assert np.corrcoef(change[strong], told[strong])[0, 1] > 0.5

# What the model rests on, and how it fares against trivial predictions and the published models:
# epistax response benchmark --help.
