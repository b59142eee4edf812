"""`score --embed`, through the door: what is learned, said, kept, resumed and refused."""

import json

import numpy as np
import polars as pl
import pytest

from epistax.cli import main

HITS = {"A": (0,), "B": (0, 1), "C": (2,), "D": (3,)}  # the states of cells that a gene shifts
PAIRS = [(a, b) for a in HITS for b in HITS if a < b]


def write(folder, *, n=60, image=False, well=None, truth=True, seed=0):
    """Cells in four states, of which genes shift some: those without a common one are disjoint."""
    rng = np.random.default_rng(seed)
    classes = [((), 4 * n)] + [((gene,), 2 * n) for gene in HITS] + [(pair, n) for pair in PAIRS]
    centre, way = 3 * rng.normal(size=(4, 5)), 4 * rng.normal(size=(4, 5))
    x, label = [], []
    for members, count in classes:
        state = rng.integers(0, 4, count)
        z = centre[state] + rng.normal(size=(count, 5))
        for gene in members:
            z += np.isin(state, HITS[gene])[:, None] * way["ABCD".index(gene)]
        x.append(z)
        label += ["+".join(members) or "ctrl"] * count
    arrays = {"x": np.concatenate(x).astype(np.float32), "perturbation": np.array(label)}
    if image:
        arrays["x"] = rng.random((len(label), 8, 8)).astype(np.float32)
    if well is not None:
        arrays["well"] = well(arrays["perturbation"])
    folder.mkdir(exist_ok=True)
    np.savez(folder / "data.npz", **arrays)
    if truth:
        a, b = zip(*PAIRS, strict=True)
        apart = [not set(HITS[i]) & set(HITS[j]) for i, j in PAIRS]
        pl.DataFrame({"a": a, "b": b, "disjoint": apart}).write_parquet(folder / "truth.parquet")
    return folder / "data.npz"


def run(data, out, *flags):
    return main(["score", str(data), "--out", str(out), *map(str, flags)])


FLAGS = ("--embed", "classifier", "--embed-features", 16, "--truth", "additive=disjoint")
TESTS = ("--test", "additive", "--test", "cosine")


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("embed")
    data = write(folder / "sim")
    known = folder / "known.csv"
    known.write_text("a,b\nA,B\n")
    assert run(data, folder / "run", "--quiet", *FLAGS, *TESTS, "--known", known, "--compose") == 0
    return data, folder / "run", known


def test_the_summary_says_what_was_learned_and_what_it_gains(done):
    _, out, _ = done
    summary = json.loads((out / "summary.json").read_text())
    entry = summary["embedding"]
    assert (entry["kind"], entry["encoder"], entry["classes"]) == ("classifier", "mlp", 5)
    assert entry["held_out"] == 12 * 60 and 1 <= entry["features"] <= 16
    assert entry["chance"] == 0.2 < 0.3 < entry["accuracy"] < 1 and len(entry["steps"]) == 2
    assert entry["components"] == 5
    both = entry["tests"]["additive"]
    assert both["embedding"]["disjoint"]["auroc"] == summary["tests"]["additive"]["auroc"]
    assert set(both["components"]) == {"disjoint", "known"}
    assert set(both["components"]["known"]) == {"auroc", "average_precision", "recall"}
    facts = json.loads((out / "run.json").read_text())["facts"]
    assert facts["embedding"]["accuracy"] == entry["accuracy"] and facts["whiten"] is True


def test_it_is_said_on_the_terminal_and_in_the_report(done, tmp_path, capsys):
    data, out, _ = done
    assert run(data, tmp_path / "run", *FLAGS, "--test", "additive") == 0
    said = capsys.readouterr()
    entry = json.loads((tmp_path / "run/summary.json").read_text())["embedding"]
    text = " ".join(said.out.split())
    features = entry["features"]
    assert f"embedding: {features} features of a classifier of 5 classes, right for" in text
    assert f"{entry['accuracy']:.1%} of 720 held-out observations" in text
    assert "additive: AUROC " in text and "on 5 principal components of the input" in text
    assert max(map(len, said.out.partition("scores: ")[0].splitlines())) <= 80
    page = (out / "report.html").read_text()
    assert "features of a classifier of 5 classes" in page and "What the embedding gains" in page


def test_tests_see_a_white_embedding_centred_on_controls(done):
    _, out, _ = done
    composed = pl.read_parquet(out / "composed.parquet")
    kept = json.loads((out / "summary.json").read_text())["embedding"]["features"]
    assert composed.columns == ["a", "b", *(f"h_{k}" for k in range(kept))]


def test_a_stopped_run_goes_on_without_training_again(done, tmp_path, monkeypatch):
    from epistax.distributed.scoring import Scorer
    from epistax.engine.interaction import crossfit

    data, out, known = done
    flags = ("--quiet", *FLAGS, *TESTS, "--known", known, "--compose")

    def stop(self, chunk):
        raise KeyboardInterrupt

    def trained(*args, **options):
        raise AssertionError("trained again")

    with monkeypatch.context() as patch:
        patch.setattr(Scorer, "__call__", stop)
        assert run(data, tmp_path / "run", *flags) == 75
    monkeypatch.setattr(crossfit, "judge", trained)
    assert run(data, tmp_path / "run", "--resume", *flags) == 0
    one, two = ((f / "scores.parquet").read_bytes() for f in (out, tmp_path / "run"))
    assert one == two
    one, two = (json.loads((f / "summary.json").read_text()) for f in (out, tmp_path / "run"))
    assert one["embedding"] == two["embedding"]


def test_components_are_whitened_like_an_embedding(done, tmp_path, capsys):
    data, _, _ = done
    flags = ("--embed", "pca", "--embed-features", 3, "--test", "additive", "--test", "knn")
    assert run(data, tmp_path / "pca", "--quiet", *flags) == 0
    entry = json.loads((tmp_path / "pca/summary.json").read_text())["embedding"]
    assert (entry["kind"], entry["features"]) == ("pca", 3) and 0.4 < entry["share"] < 1
    assert "embedding: 3 principal components, " in capsys.readouterr().out
    # all components, white, are the white features in other coordinates
    assert run(data, tmp_path / "all", "--quiet", "--embed", "pca", "--test", "additive") == 0
    assert run(data, tmp_path / "raw", "--quiet", "--whiten", "--test", "additive") == 0
    one, two = (pl.read_parquet(tmp_path / f"{name}/scores.parquet") for name in ("all", "raw"))
    np.testing.assert_allclose(one["statistic"], two["statistic"], rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_a_class_in_one_well_is_said_to_be_left_out(tmp_path, capsys):
    def wells(label):
        place = np.arange(len(label))
        return np.where(label == "B", "lone", [f"w{k // 4}" for k in place])

    data = write(tmp_path / "sim", well=wells, truth=False)
    flags = ("--embed", "classifier", "--embed-features", 8, "--test", "cosine")
    assert run(data, tmp_path / "run", *flags) == 0
    said = capsys.readouterr()
    entry = json.loads((tmp_path / "run/summary.json").read_text())["embedding"]
    assert (entry["left"], entry["classes"], entry["held_out"]) == (1, 4, 600)
    assert "tests" not in entry
    assert "1 class stands in too few wells to be learned, but" in said.err
    frame = pl.read_parquet(tmp_path / "run/scores.parquet")
    assert set(frame["status"]) == {"ok"}


def test_images_are_embedded(tmp_path):
    data = write(tmp_path / "sim", n=8, image=True, truth=False)
    flags = ("--quiet", "--embed", "pca", "--embed-features", 4, "--test", "additive")
    assert run(data, tmp_path / "run", *flags) == 0
    assert json.loads((tmp_path / "run/summary.json").read_text())["embedding"]["features"] == 4


@pytest.mark.parametrize(
    "image, flags, says",
    [
        (True, (), "images need --embed classifier, or --test kl; additive compares vectors"),
        (True, ("--test", "knn"), "images need --embed classifier, or --test kl; knn compares"),
        (False, ("--embed-features", 8), "--embed-features: is of --embed classifier or pca"),
        (False, ("--embed", "pca", "--embed-classes", "all"), "is of --embed classifier; add"),
        (False, ("--embed", "pca", "--center", "fit"), "--embed: 'pca' is centred on controls"),
    ],
)
def test_what_does_not_fit_is_refused(image, flags, says, tmp_path, capsys):
    data = write(tmp_path / "sim", n=8, image=image, truth=False)
    assert run(data, tmp_path / "run", *flags) == 2
    assert says in capsys.readouterr().err and not (tmp_path / "run").exists()
