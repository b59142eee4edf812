"""From a table of measured pairs to the next batch.

    python a_pair_table_to_batch.py

You have scores of some pairs of genes, and room for eight more on the next plate. The table is
made here; yours has columns id1,id2,score.
"""

import jax
import numpy as np
import polars as pl
from shell import epistax

# 12 genes, all 66 pairs; we have measured 30 of them.
epistax("simulate matrix --genes 12 --seed 1 --out world")
world = pl.read_parquet("world/data.parquet")
measured = world.sample(30, seed=0)
measured.rename({"a": "id1", "b": "id2"}).write_csv("measured.csv")

# What is in it, and what will be left out.
epistax("check measured.csv")

# A campaign keeps what is measured and proposes what to measure. Results of pairs that it has not
# proposed are welcome: that is how a screen that has begun elsewhere goes on here.
names = sorted(set(world["a"]) | set(world["b"]))
with open("genes.txt", "w") as file:
    file.write("\n".join(names) + "\n")
measured.select("a", "b", "score").write_csv("results.csv")
epistax("campaign new screen --genes genes.txt --batch 8")
epistax("campaign record screen results.csv")
epistax("campaign propose screen")
batch = pl.read_csv("screen/rounds/0001/proposed.csv")
print(batch)
assert len(batch) == 8
assert batch.join(measured, on=["a", "b"], how="inner").is_empty()  # none is measured already

# The same from Python: arrays in, arrays out.
from epistax.engine import beliefs  # noqa: E402
from epistax.engine.pairs import Pairs  # noqa: E402
from epistax.engine.policy import catalogue  # noqa: E402
from epistax.engine.rounds import choose  # noqa: E402
from epistax.engine.screen import gather  # noqa: E402

number = {name: k for k, name in enumerate(names)}
i, j = (np.array([number[x] for x in world[c]], np.int32) for c in ("a", "b"))
pairs, score = Pairs(i, j), world["score"].to_numpy().astype(np.float32)
known = set(measured.select("a", "b").iter_rows())
open_ = np.array([pair not in known for pair in world.select("a", "b").iter_rows()])

p = len(names)
belief = beliefs.posterior(beliefs.settings("ame", p=p), p=p, reward="score", singles=None)
policy = catalogue.policy("ids", catalogue.Settings(batch=8), p=p)
k_fit, k_choose = jax.random.split(jax.random.key(0))
seen = gather(pairs, score, np.zeros(len(i), np.float32), np.flatnonzero(~open_), length=len(i))
fitted, _ = belief.fit(k_fit, None, seen)
chosen, value = choose(k_choose, belief, policy, fitted, pairs, open_, int(open_.sum()))
for k in chosen:
    print(f"{names[i[k]]} + {names[j[k]]}")
assert open_[chosen].all() and len(set(chosen.tolist())) == 8
