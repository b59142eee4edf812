import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from epistax.cli import main
from epistax.distributed.formats.tables import read_pairs


def simulate(out: Path, *words: str) -> int:
    return main(["simulate", "matrix", "--genes", "30", "--out", str(out), "--quiet", *words])


def test_files_hold_what_the_contract_names(tmp_path: Path) -> None:
    words = "--missing .2 --strong .02 --singles --form positive --seed 3".split()
    assert simulate(tmp_path / "sim", *words) == 0
    data, truth = (pl.read_parquet(tmp_path / "sim" / f"{n}.parquet") for n in ("data", "truth"))
    assert data.columns == ["a", "b", "score"]
    assert truth.columns == ["a", "b", "true_score", "true_interaction", "strong"]
    assert (len(truth), truth["strong"].sum()) == (435, round(0.02 * 435))
    assert (truth["a"] < truth["b"]).all()
    summary = json.loads((tmp_path / "sim" / "summary.json").read_text())
    table = read_pairs(tmp_path / "sim" / "data.parquet")
    assert len(table.score) == summary["measured"] < 435
    assert table.names[:2] == ("G00001", "G00002")
    assert not np.isnan(table.singles).any()
    joined = data.join(truth, on=["a", "b"], how="inner")
    assert len(joined) == len(table.score)
    noise = (joined["score"] - joined["true_score"]).std()
    assert noise == pytest.approx(summary["noise_sd"], rel=0.15)


def test_the_seed_decides_to_the_last_bit(tmp_path: Path) -> None:
    for name, seed in (("one", "1"), ("again", "1"), ("other", "2")):
        assert simulate(tmp_path / name, "--seed", seed) == 0
    one, again, other = (
        (tmp_path / name / "data.parquet").read_bytes() for name in ("one", "again", "other")
    )
    assert one == again != other


def test_a_finished_run_is_kept_unless_forced(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert simulate(tmp_path / "sim") == 0
    before = (tmp_path / "sim" / "data.parquet").read_bytes()
    assert simulate(tmp_path / "sim", "--seed", "5") == 2
    assert "holds a finished run; --force replaces it" in capfd.readouterr().err
    assert (tmp_path / "sim" / "data.parquet").read_bytes() == before
    assert simulate(tmp_path / "sim", "--resume") == 0
    assert simulate(tmp_path / "sim", "--seed", "5", "--force") == 0
    assert (tmp_path / "sim" / "data.parquet").read_bytes() != before


def test_a_simulated_screen_is_scored_against_its_truth(tmp_path, capsys):
    flags = ["--cells", "300", "--seed", "2", "--quiet"]
    assert main(["simulate", "disjointness", "--out", str(tmp_path / "sim"), *flags]) == 0
    shown = capsys.readouterr().out
    assert "8,700 observations" in shown and "next:  epistax score" in shown
    held = np.load(tmp_path / "sim/data.npz")
    names, counts = np.unique(held["perturbation"], return_counts=True)
    assert set(counts) == {300} and {"control", "A", "A+B", "F+G"} < set(names)
    command = ["score", str(tmp_path / "sim/data.npz"), "--out", str(tmp_path / "run")]
    assert main([*command, "--test", "mmd", "--json", "--quiet"]) == 0
    entry = json.loads(capsys.readouterr().out)["tests"]["mmd"]
    assert entry["positives"] == 6 and entry["judged"] == 21 and entry["auroc"] > 0.7
