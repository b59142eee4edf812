"""What the sides of `bench mmd` compute."""

import numpy as np
import pytest

from epistax.benchmarks import mmd

SCALE = {"genes": 4, "pairs": 6, "wells": 12, "features": 5, "seed": 1}


def test_all_sides_agree_and_a_wrong_one_is_noticed(monkeypatch):
    mmd.agree(**SCALE)
    monkeypatch.setattr(mmd, "blas_estimate", lambda **_: lambda: np.zeros(6))
    with pytest.raises(RuntimeError, match="estimates differ"):
        mmd.agree(**SCALE)


def test_p_values_of_both_references_are_alike():
    p = [make(**SCALE)() for make in (mmd.sklearn_pvalue, mmd.blas_pvalue)]
    assert np.abs(p[0] - p[1]).max() < 0.08  # other permutations


def test_a_reference_of_some_pairs_is_extrapolated():
    row = {"ours_seconds": 2.0, "reference_seconds": 1.0, "reference_cpu_seconds": 1.5}
    row |= {"ratio": 0.5, "reference_range": [0.9, 1.1]}
    found = mmd.extrapolated(row, 10, 40)
    assert found["reference_pairs"] == 10 and found["reference_seconds"] == 4.0
    assert found["ratio"] == 2.0 and found["reference_range"] == pytest.approx([3.6, 4.4])
