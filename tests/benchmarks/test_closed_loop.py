import numpy as np
import polars as pl
import pytest

from epistax.benchmarks import closed_loop

Q = 1225


def ranked(seed=0):
    """Pairs by observed score with the truth beside, the two tops half alike."""
    rng = np.random.default_rng(seed)
    true = rng.exponential(size=Q)
    score = true + rng.exponential(size=Q)
    frame = pl.DataFrame(
        {
            "a": [f"g{n:04d}" for n in range(Q)],
            "b": ["h"] * Q,
            "score": score,
            "r": true,
            "synthetic_lethal": rng.random(Q) < 0.1,
        }
    )
    return frame.sort("score", descending=True)


def test_the_ceiling_is_what_ordering_by_the_score_finds():
    frame = ranked()
    best = set(frame.top_k(62, by="r")["a"])
    found = closed_loop.ceiling(frame["r"].to_numpy())
    for share, n in zip(found, (62, *closed_loop.AT), strict=True):
        assert share == pytest.approx(len(best & set(frame["a"][:n])) / 62)
    assert found == sorted(found) and 0.2 < found[0] < 1


def test_the_figures_of_a_run_are_those_of_its_tables():
    frame, rounds = ranked(), closed_loop.ROUNDS
    n = np.arange(1, rounds + 2) * closed_loop.BATCH
    chosen = frame.sample(500, seed=1, shuffle=True).select("a", "b")
    top = set(frame["a"][:62])
    found = [len(top & set(chosen["a"][:k])) / 62 for k in n]
    curve = pl.DataFrame(
        {"n_measured": n, "top_fraction": found, "true_top_fraction": found, "regret": 1.0}
    )
    known = pl.DataFrame(
        {"round": [0, rounds], "relation": ["x", "x"], "found": [1, 7], "expected": [1.0, 5.0]}
    )
    row = closed_loop.figures(curve, known, chosen, frame)
    assert row["top"] == [found[k] for k in (10, 20, 30, 49)]
    left = frame.head(62).filter(~pl.col("a").is_in(chosen["a"].to_list()))
    assert (row["missed"], row["missed_lethal"]) == (left.height, left["synthetic_lethal"].sum())
    assert row["missed"] == 62 - round(62 * found[-1])
    assert row["known"] == {"x": 7} and row["chance"] == {"x": 5.0}
    assert row["regret"] == pytest.approx(50 / 500)


def test_the_table_has_means_errors_and_sign_tests():
    def played(shift):
        return {
            "top": [0.1 + shift] * 4, "true": [0.1] * 4, "area": 0.2 + shift, "regret": 1.0,
            "missed": 2, "missed_lethal": 1, "known": {"x": 3}, "chance": {"x": 2.0},
        }  # fmt: skip

    runs = [
        {"belief": "ame", "reward": "mmd", "seed": s, "ceiling": [0.9] * 5,
         "policies": {closed_loop.FIRST: played(0.1 + 0.01 * s), "random": played(0.0)}}
        for s in range(6)
    ]  # fmt: skip
    first, random = closed_loop.table(runs)
    assert first["screens"] == 6 and first["missed"] == 12 and "sign" not in first
    shares = [0.2 + 0.01 * s for s in range(6)]
    assert first["top"][0] == pytest.approx(np.mean(shares))
    assert first["top_se"][0] == pytest.approx(np.std(shares, ddof=1) / 6**0.5)
    assert random["sign"]["area"] == {
        "wins": 6, "losses": 0, "ties": 0, "p": pytest.approx(2 * 0.5**6),
    }  # fmt: skip
    assert closed_loop.sign([1.0, 1.0], [1.0, 1.0]) == {"wins": 0, "losses": 0, "ties": 2, "p": 1.0}
