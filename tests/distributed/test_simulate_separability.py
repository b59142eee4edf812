"""The screens of known separability through the door: their files, their truth, their census."""

import json

import numpy as np
import polars as pl
import pytest

from epistax.cli import main
from epistax.distributed.formats.screens import read_screen
from epistax.distributed.options import Check
from epistax.distributed.simulated import guides as kind
from epistax.distributed.simulated import images, screenfiles
from epistax.engine.simulate import guides, latents, tabular

FLAGS = {
    "separability": ["--cells", "40", "--latents", "4", "--hit", "1.5"],
    "images": ["--cells", "6", "--size", "16"],
    "guides": ["--cells", "3"],
}
X = {
    "separability": ((440, 4), np.float32),
    "images": ((66, 16, 16, 3), np.uint8),
    "guides": ((66, 32, 32, 6), np.uint8),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("sim")
    for name, flags in FLAGS.items():
        words = [*flags, "--seed", "3", "--out", str(out / name), "--quiet"]
        assert main(["simulate", name, *words]) == 0
    return out


def held(folder):
    with np.load(folder / "data.npz") as data:
        return {name: data[name] for name in data.files}


@pytest.mark.parametrize("name", FLAGS)
def test_data_hold_every_class_and_truth_every_pair(made, name):
    data, (shape, dtype) = held(made / name), X[name]
    assert set(data) == {"x", "perturbation"}
    assert data["x"].shape == shape and data["x"].dtype == dtype
    truth = pl.read_parquet(made / name / "truth.parquet")
    assert truth.columns == ["a", "b", "same_gene" if name == "guides" else "separable", "score"]
    assert (truth["a"] < truth["b"]).all()
    labels, counts = np.unique(data["perturbation"], return_counts=True)
    assert set(counts) == {int(FLAGS[name][1])}
    singles = {*truth["a"], *truth["b"]}
    assert set(labels) == {"control", *singles, *(truth["a"] + "+" + truth["b"])}
    summary = json.loads((made / name / "summary.json").read_text())
    assert summary["pairs"] == len(truth) and summary["observations"] == shape[0]


@pytest.mark.parametrize("name", ["separability", "images"])
def test_two_pairs_of_six_are_not_separable(made, name):
    truth = pl.read_parquet(made / name / "truth.parquet")
    shared = truth.filter(~pl.col("separable"))
    assert shared.select("a", "b").rows() == [("A", "B"), ("C", "D")]
    hit = {"separability": 1.5, "images": 2.0}[name]
    assert shared["score"].to_list() == pytest.approx([-(hit**2) / 2] * 2)
    assert truth.filter("separable")["score"].to_list() == [0] * 4


def test_two_guides_of_a_gene_are_of_the_same_gene(made):
    truth = pl.read_parquet(made / "guides/truth.parquet")
    same = [a[0] == b[0] for a, b in truth.select("a", "b").rows()]
    assert truth["same_gene"].to_list() == same and sum(same) == 6
    assert (truth.filter("same_gene")["score"] < 0).all()
    assert (truth.filter(~pl.col("same_gene"))["score"] == 0).all()
    hit = json.loads((made / "guides/summary.json").read_text())["hit"]
    assert set(hit) == {"A", "B"} and not {*hit["A"]} & {*hit["B"]}
    assert {*hit["A"], *hit["B"]} < {*guides.LATENTS} and len(hit["A"]) == len(hit["B"]) == 2


def test_a_file_holds_what_the_engine_makes(made):
    import jax

    made_here = tabular.separability(jax.random.key(3), 40, hit=1.5, latents=4)
    data = held(made / "separability")
    np.testing.assert_array_equal(data["x"], made_here.x)
    names = np.array([*latents.FOUR, ""])
    joined = ["+".join(n for n in names[c] if n) or "control" for c in made_here.codes]
    assert joined == data["perturbation"].tolist()
    grey = np.array([[0.0, 0.0019, 0.002, 0.5, 0.999, 1.0]])
    np.testing.assert_array_equal(screenfiles.pixels(grey), [[0, 0, 1, 128, 255, 255]])


@pytest.mark.parametrize("name", ["images", "guides"])
def test_images_are_read_as_images(made, name, capsys):
    path, (shape, _) = str(made / name / "data.npz"), X[name]
    table = read_screen(path, Check(files=(path,)))
    assert table.image == shape[1:]
    np.testing.assert_allclose(
        table.x.reshape(shape), held(made / name)["x"].astype(np.float64) / 255, atol=1e-7
    )
    assert main(["check", path]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if " images " in line)
    assert " x ".join(map(str, shape[1:])) + "  pixels" in line


def test_the_seed_decides_to_the_last_bit(made, tmp_path):
    for seed in ("3", "4"):
        words = [*FLAGS["separability"], "--seed", seed, "--out", str(tmp_path / seed), "--quiet"]
        assert main(["simulate", "separability", *words]) == 0
    for file in ("data.npz", "truth.parquet"):
        again = (tmp_path / "3" / file).read_bytes()
        assert again == (made / "separability" / file).read_bytes()
    assert (tmp_path / "4/data.npz").read_bytes() != (tmp_path / "3/data.npz").read_bytes()


def test_the_next_step_is_a_test_that_fits(made, capsys):
    words = ["--cells", "5", "--out", str(made / "again"), "--quiet"]
    assert main(["simulate", "separability", *words]) == 0
    shown = capsys.readouterr().out
    assert "55 observations of 4 genes and their 6 pairs, 4 of which are separable" in shown
    assert f"next:  epistax score {made}/again/data.npz --test kl --out DIR" in shown
    summary = json.loads((made / "guides/summary.json").read_text())
    told = kind.describe(summary)
    assert "66 observations of 6 guides and their 15 pairs, 6 of which target one gene" in told
    assert f"gene A changes {' and '.join(summary['hit']['A'])}; gene B" in told


def test_what_the_refusals_count_is_what_the_engine_makes():
    assert len(latents.classes(len(latents.FOUR))) == images.CLASSES
    assert len(latents.classes(len(guides.GUIDES))) == kind.CLASSES
    assert kind.IMAGE == (guides.SIZE, guides.SIZE, len(guides.STAINS))
