import numpy as np
import polars as pl
import pytest
from scipy.stats import spearmanr

from epistax.distributed import agreement as agreements
from epistax.distributed.agreement import agreement


def table(**scores):
    n = len(next(iter(scores.values())))
    return pl.concat(
        pl.DataFrame({"a": [f"g{k}" for k in range(n)], "test": name, "score": value})
        for name, value in scores.items()
    )


def test_agreement_is_spearmans_over_pairs_that_all_tests_know(monkeypatch):
    rng = np.random.default_rng(0)
    one = np.round(rng.normal(size=60), 1)  # with ties
    two, three = one + rng.normal(size=60), -one
    two[[3, 7]] = np.nan
    frame = table(kl=one, mmd=two, additive=three).with_columns(pl.col("score").fill_nan(None))
    found = agreement(frame, ("kl", "mmd", "additive"))
    keep = np.isfinite(two)
    own = spearmanr(np.stack([one, two, three], axis=1)[keep]).statistic
    assert found["pairs"] == 58 and found["tests"] == ["kl", "mmd", "additive"]
    np.testing.assert_allclose(found["spearman"], own, atol=1e-4)
    assert found["spearman"][0][2] == -1
    monkeypatch.setattr(agreements, "MOST", 20)
    few = agreement(frame, ("kl", "mmd", "additive"))
    assert few["pairs"] == 20 and few["spearman"][0][2] == -1


def test_there_is_no_agreement_of_one_test_or_of_no_pairs():
    values = [1.0, 2.0, 3.0]
    assert agreement(table(kl=values), ("kl",)) is None
    assert agreement(table(kl=values, mmd=[1.0, None, 2.0]), ("kl", "mmd")) is None
    flat = agreement(table(kl=values, mmd=[0.0, 0.0, 0.0]), ("kl", "mmd"))
    assert flat["spearman"] == [[pytest.approx(1), None], [None, None]]
