"""Cells as they are read: arms, strata, values, genes; and what is refused, in one line."""

import numpy as np
import pandas as pd
import pytest

from epistax.distributed.errors import BadInput
from epistax.distributed.options.response import CellOptions
from epistax.distributed.response.graphs import read_graph
from epistax.distributed.response.reading import read_cells
from epistax.engine.response import expression


def read(path, **more):
    return read_cells(str(path), CellOptions(**more))


@pytest.fixture
def saved(world, tmp_path):
    def save(change=lambda data: None):
        data = world()
        data = change(data) or data
        path = tmp_path / "data.h5ad"
        data.write_h5ad(path)
        return path

    return save


def test_a_file_that_says_all_is_read_without_a_flag(source, world):
    found, data = read(source), world()
    assert found.genes == tuple(data.var_names) and found.covariates == ("cell_type", "donor")
    assert found.strata == ("alpha_d1", "alpha_d2", "beta_d1", "beta_d2")
    assert found.arms.names == ("control", "g00", "g01", "g02", "g03")
    np.testing.assert_array_equal(found.design.arms, np.eye(5))
    np.testing.assert_array_equal(found.design.strata, [[0, 0], [0, 1], [1, 0], [1, 1]])
    labels = np.array(found.arms.names)[found.cells.arm]
    np.testing.assert_array_equal(labels, data.obs["perturbation"])
    strata = data.obs["cell_type"].astype(str) + "_" + data.obs["donor"].astype(str)
    np.testing.assert_array_equal(np.array(found.strata)[found.cells.stratum], strata)
    counts = data.X.astype(float)
    total = counts.sum(1, keepdims=True)
    np.testing.assert_allclose(
        found.cells.y, np.log1p(counts / total * np.median(total)), rtol=1e-5, atol=1e-6
    )
    assert found.census["controls"] == int(data.obs["control"].sum())


def test_doses_and_combinations(saved):
    def change(data):
        label = np.array(["control", "g00", "g00+g01", "g01+g00", "g01+ctrl"], object)
        dose = np.array(["0", "0.3", "0.1+0.5", "0.5+0.1", "1+0"], object)
        at = np.arange(data.n_obs) % 5
        data.obs["perturbation"], data.obs["dose"] = label[at], dose[at]
        data.obs["control"] = (at == 0).astype(int)

    found = read(saved(change))
    assert found.arms.names == ("control", "g00@0.3", "g00+g01@0.1+0.5", "g01")
    assert found.arms.perturbations == ("control", "g00", "g01")
    expected = [[1, 0, 0], [0, 0.3, 0], [0, 0.1, 0.5], [0, 0, 1]]
    np.testing.assert_allclose(found.design.arms, expected)
    assert found.arms.labels == ("control", "g00", "g00+g01", "g01")
    np.testing.assert_array_equal(found.cells.arm[:5], [0, 1, 2, 2, 3])


def test_flags_win_and_names_are_known(saved):
    def change(data):
        data.uns.clear()
        data.obs = data.obs.rename(columns={"donor": "who"})
        data.obs["drug"] = data.obs["perturbation"].replace({"control": "PBS"})

    path = saved(change)
    found = read(path, values="counts")
    assert found.covariates == ("cell_type",) and found.arms.names[1] == "g00"
    found = read(path, values="counts", perturbation_col="drug", control=("PBS",),
                 covariate=("who",))  # fmt: skip
    assert found.strata == ("d1", "d2") and (found.cells.arm == 0).any()
    assert read(path, values="counts", covariate=("none",)).strata == ("all",)


def test_what_nobody_knows_and_empty_cells_are_left_out(saved):
    def change(data):
        label = data.obs["perturbation"].astype(object)
        label.iloc[[0, 1]] = "nan"
        kind = data.obs["cell_type"].astype(object)
        kind.iloc[2] = np.nan
        data.obs["perturbation"], data.obs["cell_type"] = label, kind
        data.obs["control"] = (label == "control").astype(int)
        data.X[3] = 0

    found = read(saved(change))
    left = {entry.key: entry.count for entry in found.census.left_out}
    assert left == {"unassigned": 2, "no_covariate": 1, "empty": 1}
    assert found.rows[0] == 4 and len(found.rows) == len(found.cells.arm)


def test_log_values_are_taken_as_they_are(saved, world):
    def change(data):
        data.X = np.log1p(data.X)
        data.uns["values"] = "log"

    path = saved(change)
    np.testing.assert_allclose(
        read(path).cells.y, np.log1p(np.expm1(read(path).cells.y)), rtol=1e-5
    )
    assert read(path).census["values"] == "log"


def test_variable_genes_and_perturbed_ones(source):
    found = read(source, hvg=5)
    full = read(source)
    chosen = set(np.array(full.genes)[expression.variable(full.cells.y, 5)])
    assert set(found.genes) == chosen | {"g00", "g01", "g02", "g03"}
    assert found.cells.y.shape[1] == len(found.genes)


def test_dispersion_is_that_of_scanpys_seurat_flavour(source):
    y = read(source).cells.y
    x = np.expm1(y.astype(float))
    frame = pd.DataFrame({"mean": np.log1p(x.mean(0))})
    frame["dispersion"] = np.log(x.var(0, ddof=1) / x.mean(0))
    by = frame.groupby(pd.cut(frame["mean"], bins=20), observed=True)["dispersion"]
    mean, sd = by.transform("mean"), by.transform("std")
    alone = sd.isna()
    expected = np.where(alone, 1.0, (frame["dispersion"] - mean) / sd.where(~alone, 1.0))
    np.testing.assert_allclose(expression.dispersion(y), expected, rtol=1e-6)


def scaled(data):
    data.X = data.X - 1


def halved(data):
    data.X = data.X / 2


def holed(data):
    data.X[5, 3] = np.nan


def lonely(data):
    data.obs["perturbation"] = [f"p{n}" if n > 50 else "control" for n in range(data.n_obs)]
    data.obs["control"] = (np.arange(data.n_obs) <= 50).astype(int)


def mismatched(data):
    label = data.obs["perturbation"].astype(object)
    label[label == "g00"] = "g00+g01"
    data.obs["perturbation"], data.obs["dose"] = label, data.obs["dose"].astype(str)


def unsaid(data):
    del data.uns["values"]


def contradicting(data):
    data.obs.loc[data.obs_names[0], "control"] = 1 - data.obs["control"].iloc[0]


def twins(data):
    data.var_names = ["g00", *data.var_names[:-1]]


@pytest.mark.parametrize("change, more, says", [
    (scaled, {}, "-1 is no expression; give counts"),
    (holed, {}, "gene g03, cell 6: nan is no expression"),
    (halved, {}, "declared counts but holds numbers that are no integers; declare --values log"),
    (None, {"values": "log"}, "declared log but holds integers only"),
    (unsaid, {}, "declare it with --values counts or --values log"),
    (lonely, {}, "every perturbation has one cell"),
    (mismatched, {}, "does not match: 1 number is given for 2 perturbations"),
    (contradicting, {}, "column of controls does not say so"),
    (twins, {}, "names of genes stand in it more than once (g00)"),
    (None, {"covariate": ("cel_type",)}, "has no obs column 'cel_type' (did you mean cell_type?)"),
    (None, {"control_col": "nosuch"}, "has no obs column 'nosuch'"),
])  # fmt: skip
def test_what_cannot_be_used_is_refused_in_one_line(saved, change, more, says):
    with pytest.raises(BadInput) as refused:
        read(saved(change or (lambda data: None)), **more)
    assert says in str(refused.value) and "\n" not in str(refused.value)


def test_graphs(write):
    genes = ("A", "B", "C")
    path = write("Source,Target,weight\nA,B,1\nA,B,2\nB,B,1\nC,A,1\nX,B,1\n", "graph.csv")
    found = read_graph(str(path), genes)
    assert list(zip(found.edges.source, found.edges.target, strict=True)) == [(0, 1), (2, 0)]
    text = "; ".join(found.remarks)
    assert "2 edges between 3 of 3 genes" in text and "1 of 5 edges are not used" in text
    assert "(X)" in text and "1 edges of genes to themselves" in text and "1 edges repeated" in text
    for content, says in (
        ("source,target\nx,y\n", "none of its 1 edges has both genes in the data"),
        ("a,c\nA,B\n", "no columns source,target"),
        ("source,target\n", "has a header but no rows"),
        ("source,target\nA,A\n", "only edges of genes to themselves"),
    ):
        with pytest.raises(BadInput, match=says):
            read_graph(str(write(content, "graph.csv")), genes)
