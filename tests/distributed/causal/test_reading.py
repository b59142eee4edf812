"""Samples and vectors of environments: what is read, coded, left out and refused."""

import anndata
import numpy as np
import pandas as pd
import polars as pl
import pytest

from epistax.distributed.causal.covariates import learned
from epistax.distributed.causal.dividing import divide, whole
from epistax.distributed.causal.reading import read_environments
from epistax.distributed.causal.truth import read_truth
from epistax.distributed.errors import BadInput
from epistax.distributed.formats.where import Where
from epistax.distributed.options.causal import CausalBenchmark


def read(path, **more):
    return read_environments(str(path), CausalBenchmark(data=str(path), out="x", **more), 0)


def cells(n=40):
    """Two drugs and DMSO in two lines, at doses; a fingerprint each."""
    rng = np.random.default_rng(0)
    drug = np.array(["DMSO", "A", "B", "C"])[np.arange(n) % 4]
    line = np.where(np.arange(n) % 3 == 0, "M", "K")
    dose = np.where(drug == "DMSO", np.nan, 10.0 ** (np.arange(n) % 3 - 1.0))
    bits = {"DMSO": [1, 1, 1], "A": [1, 0, 0], "B": [0, 1, 0], "C": [0, 1, 1]}
    obs = pd.DataFrame({
        "pert_iname": drug,
        "cell_line": line,
        "dose": dose,
        "smiles": [{"A": "CCO", "B": "c1ccccc1", "C": "CC(=O)O"}.get(d, "") for d in drug],
    }, index=[f"s{k}" for k in range(n)])  # fmt: skip
    data = anndata.AnnData(rng.normal(size=(n, 5)).astype(np.float32), obs=obs)
    data.var_names = [f"g{k}" for k in range(5)]
    data.obsm["fingerprint"] = np.array([bits[d] for d in drug], np.float32)
    return data


@pytest.fixture
def lines(tmp_path):
    path = tmp_path / "data.h5ad"

    def put(data):
        data.write_h5ad(path)
        return path

    return put


def test_arrays_come_back_in_the_order_of_their_environments(source, world):
    table, arrays = read(source), world()
    assert table.every.names == ("control", "E0", "E1", "E2", "E3", "E4", "E5")
    np.testing.assert_array_equal(table.x, arrays["x"].astype(np.float32))
    np.testing.assert_allclose(table.every.vectors, arrays["vectors"].astype(np.float32))
    assert table.every.perturbation.tolist() == [-1, 0, 1, 2, 3, 4, 5]
    assert table.every.reference.tolist() == [True] + [False] * 6
    division = divide(table, 0, ["vae"])
    assert division.split.tolist() == ["train"] * 4 + ["validation"] * 3
    assert not np.isin(division.data(table.x, table.environment).train.environment, [4, 5, 6]).any()
    truth = read_truth(str(source), table)
    assert truth.target.tolist() == [-1, 0, 1, 2, 0, 1, 2] and truth.offset[1] == 4.0
    np.testing.assert_allclose(truth.linear.mixing, arrays["mixing"])


def test_controls_are_the_reference_whatever_their_vector(lines):
    table = read(lines(cells()))
    assert table.every.names == ("control", "A", "B", "C")
    assert not table.every.vectors[0].any()  # not 1, 1, 1
    np.testing.assert_array_equal(table.every.vectors[1:], [[1, 0, 0], [0, 1, 0], [0, 1, 1]])
    assert table.census["controls"] == 10 and table.census["perturbations"] == 3


def test_covariates_stand_behind_the_vector(lines):
    data = cells()
    table = read(lines(data), covariate=("cell_line", "dose"))
    line, dose = table.coding.covariates
    own = data.obs[data.obs["pert_iname"] == "DMSO"]["cell_line"].mode()[0]
    assert line.reference == own == "K" and line.levels == ("M",) and line.width == 1
    log = np.log10(data.obs["dose"].dropna())
    assert dose.logarithm and dose.centre == pytest.approx(log.mean())
    assert table.every.vectors.shape[1] == 5 and table.every.names[:2] == (
        "control|K|-", "control|M|-")  # fmt: skip
    np.testing.assert_array_equal(table.every.vectors[0], 0)  # the commonest of the controls
    np.testing.assert_array_equal(table.every.vectors[1], [0, 0, 0, 1, 0])
    k = table.every.names.index("A|M|0.1")
    expected = [1, 0, 0, 1, (-1 - log.mean()) / log.std(ddof=0)]
    np.testing.assert_allclose(table.every.vectors[k], expected, rtol=1e-5)
    held = divide(table, 0, ["vae"]).held
    drugs = {table.every.perturbation[k] for k in np.flatnonzero(held)}
    assert len(drugs) == 1  # a third of three
    assert held[np.isin(table.every.perturbation, list(drugs))].all()  # in all lines and doses


def test_numbers_that_are_not_all_positive_are_no_logarithms():
    values = pl.Series("dose", ["-1", "1", None, "3", "1"])
    control = np.array([False, False, True, False, True])
    one = learned(values, control)
    assert not one.logarithm and one.centre == 1.0  # the controls' own
    got = one.coded(values, control, Where("f", "dose"))[:, 0]
    np.testing.assert_allclose(got, [-2 / one.sd, 0, 0, 2 / one.sd, 0])


def test_other_vectors(lines, tmp_path):
    path = lines(cells())
    table = read(path, vectors="onehot")
    np.testing.assert_array_equal(table.every.vectors[1:], np.eye(3))
    codes = read(path, vectors="code").every.vectors
    assert codes.shape == (4, 64) and len(np.unique(codes, axis=0)) == 4 and not codes[0].any()
    (tmp_path / "v.csv").write_text("name,u,v\nA,1,2\nC,5,6\nB,3,4\nDMSO,7,8\n")
    given = read(path, vectors=str(tmp_path / "v.csv")).every.vectors
    np.testing.assert_array_equal(given, [[0, 0], [1, 2], [3, 4], [5, 6]])
    (tmp_path / "v.csv").write_text("name,u,v\nA,1,2\nB,3,\n")
    with pytest.raises(BadInput, match="2 of 3 environments have no vector .*: B, C"):
        read(path, vectors=str(tmp_path / "v.csv"))


def test_fingerprints_of_smiles(lines):
    path = lines(cells())
    pytest.importorskip("rdkit")
    table = read(path, smiles_col="smiles")
    assert table.every.vectors.shape == (4, 1024) and not table.every.vectors[0].any()
    assert len(np.unique(table.every.vectors, axis=0)) == 4
    wrong = cells()
    wrong.obs["smiles"] = np.where(wrong.obs["smiles"] == "CCO", "C(", wrong.obs["smiles"])
    with pytest.raises(BadInput, match="'C.' is no SMILES that RDKit reads"):
        read(lines(wrong), smiles_col="smiles")


def test_smiles_without_rdkit_are_refused(lines, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "rdkit", None)
    with pytest.raises(BadInput, match=r"need RDKit, .* pip install 'epistax\[chem\]'"):
        read(lines(cells()), smiles_col="smiles")


def test_what_nobody_knows_is_left_out_and_counted(lines):
    data = cells()
    label = data.obs["pert_iname"].to_numpy(object)
    label[[1, 2]] = ["nan", ""]
    data.obs["pert_iname"] = label
    data.X[:, 3] = 7.0
    table = read(lines(data))
    assert len(table.x) == 38 and table.census["unassigned"] == 2
    assert table.genes == ("g0", "g1", "g2", "g4") and table.census["constant"] == 1
    np.testing.assert_array_equal(table.x, data.X[np.r_[0, 3:40]][:, [0, 1, 2, 4]])
    assert table.rows[:2].tolist() == [0, 3] and table.columns.tolist() == [0, 1, 2, 4]


def test_without_controls_the_zero_vector_is_the_reference(world, save):
    arrays = world()
    for name in ("environment", "environments"):
        arrays[name] = np.char.replace(arrays[name], "DMSO", "rest")
    table = read(save(arrays))
    assert table.every.names[int(np.flatnonzero(table.every.reference)[0])] == "rest"
    arrays["vectors"] = arrays["vectors"] + 1
    table = read(save(arrays))
    division = divide(table, 0, ["vae"])
    assert not table.every.reference.any() and division.base.sum() == 1
    assert not division.held[division.base].any()
    size = np.where(division.held, np.inf, table.every.vectors.sum(1))
    assert division.base.argmax() == size.argmin()


def test_a_third_is_held_out_by_the_seed(source):
    table = read(source, split_col="none")
    one, two = divide(table, 0, ["vae"]).held, divide(table, 1, ["vae"]).held
    assert one.sum() == two.sum() == 2 and (one != two).any() and not one[0]
    assert not whole(table, ["vae"]).held.any()
    np.testing.assert_array_equal(divide(table, 0, ["vae"]).held, one)


@pytest.mark.parametrize("more, change, says", [
    ({}, {"split": ["validation"] + ["train"] * 6}, "which is always trained on"),
    ({}, {"split": ["train"] * 6 + ["holdout"]}, "'holdout' is neither train nor validation"),
    ({}, {"split": ["train"] + ["validation"] * 6}, "trains on 1 environment (control)"),
    ({"control": ("nosuch",)}, {}, "no environment is the control 'nosuch'"),
    ({"environment_col": "drug"}, {}, "has no array 'drug'"),
    ({"vector_key": "fp"}, {}, "has no array 'fp'"),
], ids=range(6))  # fmt: skip
def test_what_cannot_be_used_is_refused(world, save, more, change, says):
    arrays = world() | {name: np.array(one) for name, one in change.items()}
    with pytest.raises(BadInput) as refused:
        divide(read(save(arrays), **more), 0, ["environment"])
    assert says in str(refused.value)


def test_leaks_gaps_and_zero_vectors_are_refused(world, save, lines):
    arrays = world()
    arrays["vectors"][3] = np.nan
    with pytest.raises(BadInput, match="1 of 6 environments have no vector .*: E2;"):
        read(save(arrays))
    arrays["vectors"][3] = 0
    with pytest.raises(BadInput, match="1 of 6 environments have the zero vector"):
        read(save(arrays))
    arrays = world()
    arrays["x"][5, 2] = np.inf
    with pytest.raises(BadInput, match="column 'x_2', sample 6: 'inf' is no number"):
        read(save(arrays))
    data = cells()
    data.obs["split"] = np.where(np.arange(40) == 5, "validation", "train")
    with pytest.raises(BadInput, match="sample 6: 'validation' of 'A', which is trained on too"):
        read(lines(data))
    data = cells()
    data.obsm["fingerprint"][5] = 3
    with pytest.raises(BadInput, match="sample 6: 'A' has another vector .obsm fingerprint."):
        read(lines(data))
    data.X[:] = 1.0
    data.obsm["fingerprint"][5] = data.obsm["fingerprint"][1]
    with pytest.raises(BadInput, match="all 5 features of X are the same in every sample"):
        read(lines(data))


def test_a_model_that_is_told_nothing_may_learn_from_one_environment(world, save):
    arrays = world()
    own = arrays["environment"] == "DMSO"
    one = {
        "x": arrays["x"][own],
        "environment": arrays["environment"][own],
        "environments": arrays["environments"][:1],
        "vectors": arrays["vectors"][:1],
    }
    path = save(arrays | one | {"split": np.array(["train"])}, truth=False)
    with pytest.raises(BadInput, match="has one environment only .control."):
        divide(read(path, split_col="none"), 0, ["vae"])
    table = read(path)
    assert divide(table, 0, ["vae"]).how.startswith("nothing is held out")
    with pytest.raises(BadInput, match="trains on 1 environment .control."):
        divide(table, 0, ["vae", "environment"])
