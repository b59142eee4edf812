"""The truth beside simulated cells: aligned by names, judged on, refused where it is of others."""

import numpy as np
import pytest

from epistax.distributed.errors import BadInput
from epistax.distributed.options.response import ResponseBenchmark
from epistax.distributed.response import benchmark, individuals
from epistax.distributed.response.reading import read_cells
from epistax.distributed.response.truth import beside, read_truth


@pytest.fixture
def told(world, tmp_path):
    """Cells with a truth whose arms, strata and genes stand in another order."""
    data = world()
    data.write_h5ad(tmp_path / "data.h5ad")
    rng = np.random.default_rng(0)
    genes = np.array([*reversed(data.var_names), "more"])
    arms = {"genes": genes, "perturbation": np.array(["control", "g02", "g00", "g01", "g03"]),
            "dose": np.ones(5)}  # fmt: skip
    kinds, donors = np.array(["beta", "beta", "alpha", "alpha"]), np.array(["d1", "d2"] * 2)
    mean, y = rng.normal(size=(5, 4, 81)), rng.normal(size=(30, 5, 81)).astype(np.float32)
    np.savez(tmp_path / "effects.npz", **arms, cell_type=kinds, donor=donors, mean=mean)
    np.savez(tmp_path / "counterfactual.npz", **arms, rows=np.arange(10, 40), y_true=y)
    return tmp_path / "data.h5ad", mean, y


def test_the_truth_is_aligned_by_names(told):
    path, mean, y = told
    table = read_cells(str(path), ResponseBenchmark(data=str(path), out="x"))
    found = read_truth(str(path), table)
    c, a, g = table.strata.index("alpha_d2"), table.arms.names.index("g01"), 7
    assert found.mean[c, a, g] == mean[3, 3, 80 - 1 - 7]
    np.testing.assert_array_equal(table.rows[found.rows], np.arange(10, 40))
    assert found.cells[4, a, g] == y[4, 3, 80 - 1 - 7]
    assert len(beside(str(path))) == 2


def test_single_cells_are_judged_on_cells_of_their_split(told):
    path, _, _ = told
    asked = ResponseBenchmark(data=str(path), out="x", hardest=1, fewest=(15, 5, 15))
    table = read_cells(str(path), asked)
    truth = read_truth(str(path), table)
    study = benchmark.design(asked, table, None, truth)
    effects = truth.cells - truth.cells[:, :1]
    for split in ("train", "ood"):
        right = individuals.figures(effects, truth, study.division, split)
        np.testing.assert_allclose(right, [1, 1, 0, 1], atol=1e-6)
    held = effects.copy()
    own = study.division.split.held[table.cells.stratum[truth.rows]]
    held[np.broadcast_to(own[:, :, None], held.shape)] = 0
    wrong = individuals.figures(held, truth, study.division, "ood")
    assert wrong.sd_ratio == 0 and np.isnan(wrong.within_stratum_corr)
    same = individuals.figures(held, truth, study.division, "train")
    np.testing.assert_allclose(same, [1, 1, 0, 1], atol=1e-6)
    frame = study.without()["results"]
    assert set(frame.filter(frame["model"] == "control-shift")["sd_ratio"]) == {0.0}


def test_the_truth_of_others_is_refused(told):
    path, _, _ = told
    table = read_cells(str(path), ResponseBenchmark(data=str(path), out="x"))
    np.savez(path.parent / "effects.npz", mean=np.ones(3))
    with pytest.raises(BadInput, match="is not the truth of these cells"):
        read_truth(str(path), table)
