"""Files of other tools as they stand, each read for what it means.

The shapes are those of their documents and of files they have published; nothing of theirs runs.
"""

import json
from collections.abc import Callable
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest

from epistax.cli import main
from epistax.distributed.campaign.lists import read_genes
from epistax.distributed.formats.batchie import is_batchie
from epistax.distributed.formats.screens import is_screen, read_screen
from epistax.distributed.formats.side import read_rows
from epistax.distributed.formats.tables import read_pairs
from epistax.distributed.options import Check

Write = Callable[..., Path]
Refused = Callable[..., str]
MEANT = [(), (), ("A",), ("A",), ("B",), ("A", "B"), ("A", "B"), ("B", "C"), ("C",)]
X = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
COUNT = [len(names) for names in MEANT]


def joined(sep: str, control: str) -> list[str]:
    return [sep.join(names) or control for names in MEANT]


GEARS = ["ctrl", "ctrl", "A+ctrl", "ctrl+A", "B+ctrl", "A+B", "B+A", "C+B", "C+ctrl"]
PAIRED = [(*names, "control", "control")[:2] for names in MEANT]
SHAPES: dict[str, tuple[dict[str, object], list[str]]] = {
    "pertpy": ({"perturbation": joined("+", "control"), "nperts": COUNT}, []),
    "gears": (
        {"condition": pd.Categorical(GEARS), "control": [int(not n) for n in COUNT],
         "cell_type": "K562", "dose_val": "1+1"},
        [],
    ),
    "cell-eval": (
        {"target_gene": joined("+", "non-targeting"), "celltype": "K562", "batch_var": "b1"},
        [],
    ),
    "scperturb": (
        {"perturbation": joined("_", "control"), "perturbation_type": "CRISPR", "nperts": COUNT,
         "guide_id": [f"sg{k}" for k in range(9)]},
        ["--sep", "_"],
    ),
    "cellflow": (
        {"drug1": [one for one, _ in PAIRED], "drug2": [two for _, two in PAIRED],
         "control": [not n for n in COUNT]},
        ["--label-col", "drug1", "--label-col", "drug2"],
    ),
}  # fmt: skip


def save(folder: Path, columns: dict[str, object]) -> Path:
    obs = pd.DataFrame(columns, index=[f"cell{k}" for k in range(len(X))])
    genes = pd.DataFrame({"gene_name": list("wxyz")}, index=[f"ENSG{k}" for k in range(4)])
    anndata.AnnData(X, obs=obs, var=genes).write_h5ad(folder / "cells.h5ad")
    return folder / "cells.h5ad"


def checked(path: Path, words: list[str], capfd: pytest.CaptureFixture[str]) -> dict:
    assert main(["check", str(path), *words, "--json"]) == 0
    return json.loads(capfd.readouterr().out)["files"][0]


@pytest.mark.parametrize("tool", SHAPES)
def test_cells_of_every_tool_are_the_same_screen(tool, tmp_path, capfd):
    columns, words = SHAPES[tool]
    path = save(tmp_path, columns)
    told = checked(path, words, capfd)
    assert (told["perturbations"], told["singles"], told["pairs"]) == (3, 3, 2)
    assert told["control_observations"] == 2 and told["left_out"] == {}
    assert "count_differs" not in told and "control_differs" not in told
    options = {"sep": {"sep": "_"}, "label-col": {"label_col": ("drug1", "drug2")}}
    more = options.get(words[0].removeprefix("--"), {}) if words else {}
    table = read_screen(path, Check(files=("x",), **more))
    assert [tuple(table.names[k] for k in row if k >= 0) for row in table.codes] == MEANT
    np.testing.assert_array_equal(table.x, X)


def test_a_count_of_perturbations_tells_the_separator(tmp_path, refused):
    path = save(tmp_path, SHAPES["scperturb"][0])
    said = refused(path)
    assert "'A_B' is 1 perturbations by the separator '+' where nperts says 2" in said
    assert "(3 such observations: 6, 7, 8)" in said and said.endswith("give --sep '_'\n")


def test_a_count_that_nothing_explains_is_counted(tmp_path, capfd):
    columns = SHAPES["pertpy"][0] | {"nperts": [0, 0, 2, 1, 1, 2, 2, 2, 1]}
    told = checked(save(tmp_path, columns), [], capfd)
    assert told["count_differs"] == 1 and told["observations"] == 9


def test_marked_controls_of_an_unknown_name(tmp_path, refused, capfd):
    labels = joined("+", "AAVS1")
    path = save(tmp_path, {"perturbation": labels, "control": [not n for n in COUNT]})
    assert "marks 2 observations as controls, such as 'AAVS1'" in (said := refused(path))
    assert said.endswith("name it with --control AAVS1\n")
    told = checked(path, ["--control", "AAVS1"], capfd)
    assert told["control_observations"] == 2 and "control_differs" not in told


def test_marks_and_labels_that_cross_are_counted(tmp_path, capfd):
    marks = [True, False, False, True, *[False] * 5]
    told = checked(save(tmp_path, SHAPES["pertpy"][0] | {"control": marks}), [], capfd)
    assert told["control_differs"] == 2
    told = checked(save(tmp_path, SHAPES["pertpy"][0] | {"control": np.arange(9)}), [], capfd)
    assert "control_differs" not in told  # a column of something else


NAIAD = "﻿id1,id2,score\nA,B,-0.5\nB,A,-0.7\nA,C,0.25\nA,negative,0.1\nnegative,B,-0.2\nC,C,0.4\n"


def test_naiad(write: Write, capfd):
    path = write(NAIAD)
    told = checked(path, [], capfd)
    assert (told["pairs"], told["singles"]) == (2, 2)
    table = read_pairs(path)
    np.testing.assert_allclose(table.score, [-0.6, 0.25])
    np.testing.assert_allclose(table.singles, [0.1, -0.2, np.nan])
    np.testing.assert_allclose(table.diagonal, [np.nan, np.nan, 0.4])  # C,C is not C alone


def batchie(folder: Path, **changes: object) -> Path:
    """A screen as BATCHIE saves it, with the mask and the doses of its documents."""
    names = [["A", "B"], ["B", "A"], ["A", "C"], ["A", "control"], ["control", "B"], ["C", "D"]]
    doses = [[2.0, 2.0], [2.0, 2.0], [2.0, 1.0], [2.0, 0.0], [0.0, 2.0], [1.0, 1.0]]
    held: dict[str, object] = {
        "treatment_names": np.char.encode(np.array(names), "utf-8"),
        "treatment_doses": np.array(doses),
        "observations": np.array([0.1, 0.3, 0.5, 0.8, 0.9, 0.0]),
        "observation_mask": np.array([True] * 5 + [False]),
        "sample_names": np.full(6, b"A549"),
        "plate_names": np.full(6, b"p1"),
    } | changes
    with h5py.File(folder / "my.screen.h5", "w") as file:
        for name, values in held.items():
            file.create_dataset(name, data=values, compression="gzip")
        file.attrs["control_treatment_name"] = "control"
    return folder / "my.screen.h5"


def test_batchie(tmp_path, capfd):
    path = batchie(tmp_path)
    assert is_batchie(path) and not is_screen(path, Check(files=("x",)))
    told = checked(path, [], capfd)
    assert (told["rows"], told["sample"], told["pairs"], told["singles"]) == (6, "A549", 2, 2)
    assert told["left_out"]["unmeasured"]["count"] == 1  # masked
    table = read_pairs(path)
    assert table.names[:3] == ("A", "B", "C")
    np.testing.assert_allclose(table.score, [0.2, 0.5])
    np.testing.assert_allclose(table.singles[:2], [0.8, 0.9])


def test_treatments_of_batchie_at_several_doses_are_told_apart(tmp_path, capfd):
    doses = np.array([[2.0, 2], [1, 2], [2, 1], [2, 0], [0, 2], [1, 1]])
    path = batchie(tmp_path, treatment_doses=doses, observation_mask=np.ones(6, bool))
    told = checked(path, [], capfd)
    assert told["dosed"] == 1 and told["dosed_examples"] == ["B"]
    table = read_pairs(path)
    assert table.names == ("A", "B@1", "B@2", "C", "D")
    np.testing.assert_allclose(table.score, [0.3, 0.1, 0.5, 0.0])
    np.testing.assert_allclose(table.singles, [0.8, np.nan, 0.9, np.nan, np.nan])


def test_one_sample_of_batchie_is_read(tmp_path, refused):
    names = np.array([b"A549", b"A549", b"HeLa", b"A549", b"HeLa", b"HeLa"])
    path = batchie(tmp_path, sample_names=names)
    assert "holds the samples A549, HeLa; choose one with --test" in refused(path)
    assert "no label is the control 'DMSO'; it has" in refused(path, "--control", "DMSO")
    assert "has no sample 'MCF7' (--test); it has A549, HeLa" in refused(path, "--test", "MCF7")
    table = read_pairs(path, test="HeLa")
    np.testing.assert_allclose(table.score, [0.5])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"observations": np.zeros(5)}, "treatment_names is 6 x 2 but observations 5"),
        ({"treatment_doses": np.ones((6, 3))}, "treatment_names is 6 x 2 but treatment_doses 6 x"),
        ({"observations": np.full(6, np.inf)}, "'observations', experiment 1: 'inf' is not finite"),
        (
            {"treatment_names": np.full((6, 2), b"X+Y")},
            "treatment 'X+Y' holds '+', which separates",
        ),
    ],
)
def test_screens_of_batchie_that_cannot_be_read(tmp_path, refused, changes, said):
    assert said in refused(batchie(tmp_path, **changes))


COUNTS = """sgRNA\tGene\tplasmid\tday14_r1\tday14_r2
s1\tA\t100\t50\t60
s2\tA\t90\t40\t30
s3\tB\t80\t100\t120
s4\tB\t200\t210\tNA
n1\tnon-targeting\t150\t150\t140
n2\tNTC\t100\t90\t120
"""


def test_counts_of_mageck(write: Write, refused: Refused, capfd):
    path = write(COUNTS, "screen.count.txt")
    assert "which samples are the start is not told; it has 'plasmid'" in refused(path)
    words = ["--start", "plasmid", "--end", "day14_r1,day14_r2"]
    told = checked(path, words, capfd)
    assert (told["kind"], told["guides"], told["singles"]) == ("screen (read counts)", 5, 2)
    assert told["control_observations"] == 2 and told["left_out"]["uncounted"]["count"] == 1
    assert main(["check", str(path), *words]) == 0
    assert "next: epistax rank" in capfd.readouterr().out  # there are no pairs to score


SUMMARY = (
    "id\tnum\tneg|score\tneg|p-value\tneg|fdr\tneg|rank\tneg|goodsgrna\tneg|lfc\tpos|score\t"
    "pos|p-value\tpos|fdr\tpos|rank\tpos|goodsgrna\tpos|lfc\n"
    "ACTR8\t4\t1.2e-10\t1.1e-07\t0.002\t1\t4\t-3.1\t1\t1\t1\t3\t0\t-3.1\n"
    "INO80B\t4\t0.3\t0.4\t0.9\t2\t1\t-0.2\t0.5\t0.6\t0.9\t2\t1\t-0.2\n"
    "NTC\t2\t0.9\t0.9\t0.9\t3\t0\t0.1\t0.1\t0.2\t0.9\t1\t1\t0.1\n"
)


def test_a_gene_summary_of_mageck(write: Write, refused: Refused):
    path = write(SUMMARY, "x.gene_summary.txt")
    assert "is MAGeCK's gene summary, a gene a row and no pairs; give it to" in refused(path)
    names, where, left = read_genes(str(path), control=(), sep="+")
    assert (names, where) == (("ACTR8", "INO80B"), "column 'id'")
    assert left == [f"left out of {path}: 'NTC', a control"]
    rows = read_rows(str(path))
    assert rows.label.to_list() == ["ACTR8", "INO80B", "NTC"]
    assert rows.values[:, rows.columns.index("neg|lfc")].tolist() == [-3.1, -0.2, 0.1]


GIMAP = """pgRNA_id\tgRNA1_seq\tgRNA2_seq\tgene1_symbol\tgene2_symbol\ttarget_type\tday0\tday22
A_B_pg1\tAC\tGT\tA\tB\tgene_gene\t100\t50
A_nt1\tAC\tTT\tA\tnt1\tgene_ctrl\t100\t80
nt2_B\tGG\tGT\tNA\tB\tctrl_gene\t100\t90
NTpg1\tTT\tTT\tNA\tNA\tctrl_ctrl\t120\t130
A_NA_pg\tAC\tTT\tA\tNA\tgene_gene\t100\t80
"""


def test_counts_of_gimap(write: Write, refused: Refused, capfd):
    path = write(GIMAP, "counts.tsv")
    assert "which samples are the start is not told; it has 'day0', 'day22'" in refused(path)
    words = ["--start", "day0", "--end", "day22"]
    told = checked(path, words, capfd)
    assert (told["pairs"], told["singles"], told["control_observations"]) == (1, 2, 1)
    assert told["left_out"]["unassigned"]["count"] == 1  # of two genes, one of them unnamed
    wrong = write(GIMAP.replace("ctrl_gene", "single"), "wrong.tsv")
    assert "line 4: 'single' is none of gene_gene, gene_ctrl" in refused(wrong, *words)


SCORES = """pgRNA_target\trep\ttarget_type\tmean_expected_cs\tmean_observed_cs\tgi_score\tp_val\tfdr
A_B\tr1\tgene_gene\t-0.5\t-1.5\t-1.0\t0.01\t0.02
A_B\tr2\tgene_gene\t-0.5\t-1.7\t-1.2\t0.01\t0.02
C_B\tr1\tgene_gene\t-0.1\t0.1\t0.2\t0.5\t0.5
A_ctrl\tr1\tgene_ctrl\t0.1\t-0.3\t-0.4\tNA\tNA
ctrl_B\tr1\tctrl_gene\t0.1\t-0.2\t-0.3\tNA\tNA
"""


def test_interactions_of_gimap(write: Write, refused: Refused, tmp_path, capfd):
    path = write(SCORES, "gi.tsv")
    told = checked(path, [], capfd)
    assert (told["pairs"], told["singles"]) == (2, 0)
    assert told["left_out"]["single_targets"]["count"] == 2
    np.testing.assert_allclose(read_pairs(path).score, [-1.1, 0.2])
    bare = SCORES.replace("target_type", "kind")  # by the target alone
    np.testing.assert_allclose(read_pairs(write(bare, "bare.tsv")).score, [-1.1, 0.2])
    said = refused(write(SCORES.replace("C_B", "HLA_C_B"), "names.tsv"))
    assert "'HLA_C_B' is not two names around one '_'; name two columns of genes" in said
    observed = read_pairs(path, columns=["pgRNA_target", "mean_observed_cs"], sep="_")
    np.testing.assert_allclose(observed.score, [-1.6, 0.1])
    np.testing.assert_allclose(observed.singles, [-0.3, -0.2, np.nan])


@pytest.mark.parametrize("tool", ["naiad", "batchie", "gimap"])
def test_pairs_of_every_tool_go_through_discover(tool, write: Write, tmp_path, capfd):
    texts = {"naiad": NAIAD, "gimap": SCORES}
    path = write(texts[tool]) if tool in texts else batchie(tmp_path)
    more = ["--policy", "random", "--batch", "1", "--rounds", "1", "--seeds", "1", "--quiet"]
    assert main(["discover", str(path), *more, "--out", str(tmp_path / "run"), "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["policies"]["random"] and (tmp_path / "run" / "curve.parquet").is_file()
