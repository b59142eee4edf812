"""A campaign of three rounds: propose, measure, record.

    python c_campaign_of_three_rounds.py

Forty genes, 780 pairs, twenty wells a round. The laboratory is played by a table that the campaign
never sees; some wells fail, and one result is late.
"""

import polars as pl
from shell import epistax

epistax("simulate matrix --genes 40 --seed 3 --out world")
truth = pl.read_parquet("world/data.parquet").select("a", "b", "score")
with open("genes.txt", "w") as file:
    file.write("\n".join(sorted(set(truth["a"]) | set(truth["b"]))) + "\n")

# Twenty distinct pairs a round, none of a gene more than four times.
epistax("campaign new screen --genes genes.txt --batch 20 --quota 4 --rounds 4")

late = None
for number in range(4):  # round 0 is a random start
    epistax("campaign propose screen")
    proposed = pl.read_csv(f"screen/rounds/{number:04d}/proposed.csv")
    assert max(pl.concat([proposed["a"], proposed["b"]]).value_counts()["count"]) <= 4
    results = proposed.select("a", "b").join(truth, on=["a", "b"], how="left")
    if number == 1:  # one well failed (NaN), one result comes later (not in the file)
        scores, late = results["score"].to_list(), results[-1:]
        results = results.with_columns(score=pl.Series([float("nan"), *scores[1:]]))[:-1]
    results.write_csv(f"results{number}.csv")
    epistax(f"campaign record screen results{number}.csv")
    if late is not None and number == 2:
        late.write_csv("late.csv")
        epistax("campaign record screen late.csv")

epistax("campaign status screen")

# What was found: the campaign against as many pairs at random.
rounds = [pl.read_csv(f"screen/rounds/{k:04d}/proposed.csv").select("a", "b") for k in range(4)]
measured = pl.concat(rounds).unique()
best = truth.sort("score", descending=True).head(39)  # the strongest 5 %
found = len(best.join(measured, on=["a", "b"]))
print(f"{found} of the 39 strongest pairs after {len(measured)} of {len(truth)}")
assert found >= 2 * 39 * len(measured) / len(truth)  # at least twice as many as at random
