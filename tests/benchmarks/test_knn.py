"""What the sides of `bench knn` compute."""

import pytest

from epistax.benchmarks import knn


@pytest.mark.parametrize(("reference", "features"), [(knn.tree, 2), (knn.tree, 8), (knn.brute, 64)])
def test_both_sides_estimate_the_same(reference, features):
    how = {"n": 400, "m": 300, "features": features, "seed": 1}
    knn.agree(knn.ours, reference, **how)
    with pytest.raises(RuntimeError, match="by ours"):
        knn.agree(knn.ours, lambda **_: lambda: 10.0, **how)
