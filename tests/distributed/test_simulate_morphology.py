"""The morphology screen through the door: its files, and that every mode is scored by its truth."""

import json

import numpy as np
import polars as pl
import pytest

from epistax.cli import main
from epistax.distributed.simulated import morphology as kind
from epistax.engine.simulate import morphology, morphology_wells

FEW = ["--genes", "12", "--pathways", "4", "--quiet"]
SMALL = [*FEW, "--features", "16"]
MORE = ["--genes", "24", "--pathways", "8", "--features", "64", "--quiet"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("sim")
    sizes = {"wells": "--features 16 --wells 2", "cells": "--cells 20", "mixture": "--cells 400"}
    for mode, more in sizes.items():
        flags = [*FEW, "--mode", mode, *more.split(), "--seed", "3", "--out", str(out / mode)]
        assert main(["simulate", "morphology", *flags]) == 0
    return out


def test_what_the_options_offer_is_what_the_engine_has():
    assert kind.PATHWAYS == len(morphology.NAMES) and kind.GENES == sum(morphology.SIZES)
    assert len(kind.LETTERS) == morphology_wells.ROWS
    names = kind.named(np.repeat(np.arange(15), morphology.SIZES))
    assert len(set(names)) == 50 and {"APO9", "MTO6", "PI31", "TRA1"} <= set(names)


def test_wells_come_with_plates_wells_guides_and_truth(made):
    with np.load(made / "wells/data.npz") as data:
        held = {name: data[name] for name in data.files}
    assert set(held) == {"x", "perturbation", "plate", "well", "guide"}
    assert held["x"].dtype == np.float32 and held["x"].shape == (800 + 12 * 72 + 66 * 6, 16)
    assert len(set(held["well"])) == len(held["well"]) and len(set(held["plate"])) == 8
    assert all(w.startswith(p) for w, p in zip(held["well"], held["plate"], strict=True))
    pairs = [name for name in set(held["perturbation"]) if "+" in name]
    assert len(pairs) == 66 and all(a < b for a, b in (name.split("+") for name in pairs))
    truth = pl.read_parquet(made / "wells/truth.parquet")
    assert (truth["a"] < truth["b"]).all() and set(pairs) == set(truth["a"] + "+" + truth["b"])
    assert truth["interacting"].sum() == int(np.ceil(0.05 * 66))
    assert truth.filter("interacting")["r"].min() >= truth.filter(~pl.col("interacting"))["r"].max()
    gamma = np.array(truth["gamma"].to_list())
    np.testing.assert_allclose((gamma**2).sum(1), truth["r"], rtol=1e-5)
    genes = dict(pl.read_parquet(made / "wells/genes.parquet").rows())
    same = [genes[a] == genes[b] for a, b in truth.select("a", "b").rows()]
    assert same == truth["same_pathway"].to_list() and 0 < sum(same) < 66
    lines = (made / "wells/pathways.gmt").read_text().splitlines()
    assert sum(len(line.split("\t")) - 2 for line in lines) == 12
    lethal = pl.read_csv(made / "wells/synthetic_lethal.csv").rows()
    assert set(lethal) == set(truth.filter("synthetic_lethal").select("a", "b").rows())


def test_every_mode_holds_the_truths_of_its_law_alone(made):
    both = {"a", "b", "same_pathway"}
    columns = {m: set(pl.read_parquet(made / m / "truth.parquet").columns) for m in kind.TRUTH}
    assert columns == {"cells": both | {"separable"}, "mixture": both | {"disjoint"}}
    truth = pl.read_parquet(made / "wells/truth.parquet")
    assert set(truth.columns) == both | {"synthetic_lethal", "r", "gamma", "interacting"}


@pytest.mark.slow
def test_score_finds_the_truth_of_each_mode(made, tmp_path):
    flags = ["--test", "additive", "--test", "mmd", "--test", "cosine", "--quiet"]
    assert main(["simulate", "morphology", *MORE, "--out", str(tmp_path / "sim")]) == 0
    words = [str(tmp_path / "sim/data.npz"), *flags, "--out", str(tmp_path / "w")]
    assert main(["score", *words]) == 0
    tests = json.loads((tmp_path / "w/summary.json").read_text())["tests"]
    assert {name: t["truth"] for name, t in tests.items()} == {
        "additive": "interacting", "mmd": "interacting", "cosine": "same_pathway",
    }  # fmt: skip
    assert min(t["auroc"] for t in tests.values()) > 0.95
    known = ["--known", str(made / "mixture/pathways.gmt")]
    words = [str(made / "mixture/data.npz"), "--test", "mmd", "--quiet", *known]
    assert main(["score", *words, "--out", str(tmp_path / "m")]) == 0
    mixture = json.loads((tmp_path / "m/summary.json").read_text())["tests"]["mmd"]
    assert mixture["truth"] == "disjoint" and mixture["auroc"] > 0.8
    assert mixture["known"]["pathways"]["total"] > 0
    apart = pl.read_parquet(made / "mixture/truth.parquet").filter("disjoint")
    found = pl.read_parquet(tmp_path / "m/scores.parquet").join(apart, on=["a", "b"])
    assert (found["q_value"] <= 0.1).sum() <= 2  # no disjoint pair is taken for an interaction


@pytest.mark.slow
def test_doubles_may_be_weaker_and_the_score_says_so(tmp_path, capsys):
    out = tmp_path / "weak"
    assert (
        main(["simulate", "morphology", *MORE, "--scale", "0.7", "--seed", "1", "--out", str(out)])
        == 0
    )
    words = ["score", str(out / "data.npz"), "--test", "additive", "--quiet"]
    capsys.readouterr()
    assert main([*words, "--out", str(tmp_path / "plain")]) == 0
    assert "doubles are 0.68 times the sum" in capsys.readouterr().out
    assert main([*words, "--scale", "auto", "--out", str(tmp_path / "auto")]) == 0
    assert "doubles compared with 0.68" in capsys.readouterr().out
    plain, auto = (
        json.loads((tmp_path / name / "summary.json").read_text())["tests"]["additive"]
        for name in ("plain", "auto")
    )
    assert plain["scale"] == {"used": 1.0, "common": pytest.approx(0.7, abs=0.05)}
    assert auto["scale"]["used"] == pytest.approx(0.7, abs=0.05)
    assert auto["found"]["pairs"] < plain["found"]["pairs"]


def test_the_seed_decides_to_the_last_bit(tmp_path):
    for name, seed in (("one", "1"), ("again", "1"), ("other", "2")):
        words = [*SMALL, "--seed", seed, "--out", str(tmp_path / name)]
        assert main(["simulate", "morphology", *words]) == 0
    one, again, other = (
        (tmp_path / n / "data.npz").read_bytes() for n in ("one", "again", "other")
    )
    assert one == again != other
