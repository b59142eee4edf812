"""From embeddings in an h5ad file to tested interactions.

    python b_embeddings_to_interactions.py

The file holds what an encoder made of images or of expression: a row a cell, the embedding in obsm,
the perturbation in obs. It is made here, with the truth beside it.
"""

import anndata
import numpy as np
import pandas as pd
import polars as pl
from shell import epistax

epistax("simulate disjointness --seed 2 --out world")
with np.load("world/data.npz") as file:
    x, label = file["x"], file["perturbation"]
index = [f"cell{k}" for k in range(len(x))]
obs = pd.DataFrame({"perturbation": pd.Categorical(label)}, index=index)
cells = anndata.AnnData(obs=obs, obsm={"X_encoder": x})
cells.write_h5ad("cells.h5ad")

# What is in it: labels, controls, cells an arm, and what will be left out.
epistax("check cells.h5ad --obsm X_encoder")

# Two questions of every pair that was measured: is the double's embedding the sum of its singles'
# (additive), and is the mixture of control and double that of the two singles (mmd)?
epistax("score cells.h5ad --obsm X_encoder --test additive --test mmd --out scores")
scores = pl.read_parquet("scores/scores.parquet").filter(pl.col("test") == "mmd")
found = scores.filter(pl.col("q_value") < 0.05).sort("score", descending=True)
print(found.select("a", "b", "statistic", "p_value", "q_value"))

# The truth of this world: which pairs are not disjoint.
truth = pl.read_parquet("world/truth.parquet")
beside = scores.join(truth, on=["a", "b"])
above = beside.filter(~pl.col("disjoint"))["score"].min()
below = beside.filter(pl.col("disjoint"))["score"].max()
print(f"weakest pair that interacts {above:.4f}, strongest that does not {below:.4f}")
assert above > below

# The same from Python.
from epistax.engine.interaction import paired  # noqa: E402
from epistax.engine.screen import screen  # noqa: E402

names = sorted({part for name in label for part in name.split("+")} - {"control"})
number = {name: k for k, name in enumerate(names)}


def code(name):
    """(-1, -1) for the control, (-1, i) for a single, (i, j) for a pair."""
    parts = sorted(number[part] for part in name.split("+") if part != "control")
    return [-1] * (2 - len(parts)) + parts


wells = screen(x, np.array([code(name) for name in label]), p=len(names), well=None)
length = paired.bandwidth(wells, seed=0)  # the median distance
test = paired.disjoint(wells, kernel="rbf", length_scale=length, seed=0)
said = test(np.arange(len(wells.pairs.i)))
for k in np.argsort(said.p)[:3]:
    i, j = int(wells.pairs.i[k]), int(wells.pairs.j[k])
    print(f"{names[i]} + {names[j]}: MMD2 {said.statistic[k]:.4f}, p = {said.p[k]:.2g}")
