import pytest

from epistax.benchmarks import critic


@pytest.mark.slow
def test_both_sides_end_at_the_same_parameters():
    (record,) = critic.suite(size=4, repeats=1, seed=0)
    assert record["name"] == "critic.train" and record["classes"] == 11
    assert 0 <= record["parameter_difference"] < critic.CLOSE
    seen = critic.FOLDS * critic.BATCH * record["size"]["steps"]
    assert record["observations_per_second"] == seen / record["ours_seconds"]
