"""What combinations do that nobody measured: NAIAD and the default model.

    python d_unseen_pairs.py

Single effects of 30 genes and 200 of their 435 pairs are known. Which model predicts the others
better, what does it say of them, and how far can it be trusted?
"""

import numpy as np
import polars as pl
from shell import epistax

epistax("simulate matrix --genes 30 --singles --seed 4 --out world")
world = pl.read_parquet("world/data.parquet")
singles = world.filter(pl.col("b") == "control")
pairs = world.filter(pl.col("b") != "control").sample(fraction=1.0, shuffle=True, seed=0)
known, unknown = pairs[:200], pairs[200:]
pl.concat([singles, known]).write_csv("known.csv")

# Models side by side on the same rows, single effects and additive expectation among them.
epistax("effects benchmark known.csv --model linear --model naiad --model default "
        "--n-train 100 --seeds 2 --out models")  # fmt: skip
errors = pl.read_parquet("models/results.parquet").group_by("model").agg(pl.col("rmse").mean())
print(errors.sort("rmse"))

# One fit of the default; every known row is also predicted by fits of the others, whose errors say
# how wide intervals are.
epistax("effects fit known.csv --out fit")

# Ask for pairs that are in no file yet, a triple, and a gene that nobody measured.
wanted = [(a, b, None) for a, b in unknown.select("a", "b").iter_rows()]
wanted += [("G00001", "G00002", "G00003"), ("G00001", "GNEW", None)]
pl.DataFrame(wanted, schema=dict.fromkeys("abc", pl.String), orient="row").write_csv("wanted.csv")
epistax("effects predict fit wanted.csv --out predictions")
said = pl.read_parquet("predictions/predictions.parquet")
print(said.head())

beside = said.join(unknown, on=["a", "b"])
error = (beside["predicted"] - beside["score"]).to_numpy()
inside = ((beside["low"] <= beside["score"]) & (beside["score"] <= beside["high"])).mean()
print(f"{len(beside)} pairs: rmse {np.sqrt((error**2).mean()):.3f} of an sd of "
      f"{beside['score'].std():.3f}; {inside:.0%} in their 90 % intervals")  # fmt: skip
assert np.sqrt((error**2).mean()) < 0.5 * beside["score"].std() and 0.8 < inside < 0.97

# The same from Python: rows of genes, and which of them train.
import jax  # noqa: E402

from epistax.engine.effects import catalogue  # noqa: E402
from epistax.engine.effects.records import Combos, Jobs, Table  # noqa: E402

names = sorted(singles["a"])
number = {name: k for k, name in enumerate(names)}
alone = dict(singles.select("a", "score").iter_rows())
s = np.array([alone[name] for name in names], np.float32)
genes = np.array([[number[a], number[b]] for a, b in pairs.select("a", "b").iter_rows()], np.int32)
table = Table(Combos(genes, s[genes]), pairs["score"].to_numpy().astype(np.float32))
jobs = Jobs(np.arange(200, dtype=np.int32)[None], np.full((1, 1), -1, np.int32))
method = catalogue.method(catalogue.settings("default", genes=len(names), n=200), singles=s)
fits = method.fit(jax.random.split(jax.random.key(0), 1), table, jobs)
told = method.predict(fits, Combos(genes[200:], s[genes[200:]]))
print("from Python:", np.sqrt(((told.mean[0] - table.value[200:]) ** 2).mean()))
