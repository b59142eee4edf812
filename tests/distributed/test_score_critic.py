import json

import numpy as np
import polars as pl
import pytest

from epistax import cli
from epistax.engine.interaction import crossfit

LONGER = ("--steps", "500", "--folds", "2", "--quiet")
QUICK = ("--ensemble", "1", "--steps", "200", *LONGER[2:])


def write(folder, n=400, seed=0, few=0, wells=False):
    """A, B move one axis and C the other; AB is inseparable, AC and BC are not."""
    rng = np.random.default_rng(seed)
    hit = {"control": (0, 0), "A": (2, 0), "B": (2, 0), "C": (0, 2)}
    hit |= {"A+B": (2, 0), "A+C": (2, 2), "B+C": (2, 2)}
    label = np.repeat(list(hit), n)
    x = rng.normal(size=(len(label), 2)) + np.repeat(list(hit.values()), n, axis=0)
    keep = np.ones(len(label), bool)
    if few:
        keep[np.flatnonzero(label == "A+B")[few:]] = False
    columns = {"well": (np.arange(len(label)) // 20).astype(str)[keep]} if wells else {}
    folder.mkdir(exist_ok=True)
    np.savez(folder / "data.npz", x=x[keep].astype(np.float32), perturbation=label[keep], **columns)
    pl.DataFrame(
        {"a": ["A", "A", "B"], "b": ["B", "C", "C"], "separable": [False, True, True]}
    ).write_parquet(folder / "truth.parquet")
    return str(folder / "data.npz")


def score(*words, code=0):
    assert cli.main(["score", *map(str, words)]) == code


def read(out, test):
    return pl.read_parquet(out / "scores.parquet").filter(test=test)


@pytest.mark.slow
def test_the_critic_tells_the_inseparable_pair_and_says_how_it_was_trained(tmp_path):
    data, out = write(tmp_path / "in", n=240, wells=True), tmp_path / "out"
    score(data, "--test", "kl", "--test", "kl:smile", "--test", "logrms", "--out", out, *LONGER)
    summary = json.loads((out / "summary.json").read_text())
    for test in ("kl", "kl:smile", "logrms"):
        assert summary["tests"][test]["truth"] == "separable"
        assert summary["tests"][test]["auroc"] == 1.0
    rows = read(out, "kl")
    assert set(rows["status"]) <= {"ok", "doubtful"}
    assert rows["statistic"].to_list() == pytest.approx([-2, 0, 0], abs=0.6)
    assert rows["score"].to_list() == pytest.approx(rows["statistic"].abs().to_list())
    assert rows["se"].min() > 0 and rows["p_value"][0] < 0.01
    assert read(out, "logrms")["p_value"].null_count() == 3
    facts = json.loads((out / "run.json").read_text())["facts"]["critic"]
    assert facts["classes"] == 7 and facts["folds"] == 2 and facts["loss"] == "nre_a"
    assert facts["members"] == 6
    assert facts["accuracy"] > 1 / 7
    assert facts["rank"] == 3 and set(facts["held_losses"]) == {"3", "free"}
    assert facts["held_loss"] == facts["held_losses"]["3"]
    assert "weights of rank 3) of 7 classes" in (out / "report.html").read_text()
    classes = pl.read_parquet(out / "classes.parquet")
    assert classes["a"].to_list() == ["A", "B", "C", "A", "A", "B"]
    assert classes.filter(a="A", b="C")["kl"][0] == pytest.approx(4, abs=1.2)
    assert (out / "critic.jsonl").read_text().count("\n") == 5


@pytest.mark.slow
def test_the_same_seed_gives_the_same_figures_and_resume_trains_no_further(tmp_path, monkeypatch):
    data = write(tmp_path / "in", n=150)
    for name in ("one", "two"):
        score(data, "--test", "kl", "--out", tmp_path / name, *QUICK)
    one, two = (read(tmp_path / name, "kl") for name in ("one", "two"))
    assert one.equals(two)
    out = tmp_path / "one"
    for name in ("summary.json", "scores.parquet"):
        (out / name).unlink()
    for shard in (out / "shards").rglob("*.parquet"):
        shard.unlink()
    monkeypatch.setattr(crossfit.fit, "fit", lambda *a, **k: pytest.fail("trained again"))
    score(data, "--test", "kl", "--out", out, "--resume", *QUICK)
    assert read(out, "kl").equals(one)


@pytest.mark.slow
def test_p_values_by_signs_of_the_wells_are_near_the_normal_ones(tmp_path):
    data = write(tmp_path / "in", wells=True)
    words = (data, "--test", "kl", "--test", "logform", "--rank", "3", *QUICK)
    score(*words, "--out", tmp_path / "normal")
    score(*words, "--null", "permutation", "--draws", "500", "--out", tmp_path / "drawn")
    for test in ("kl", "logform"):
        normal, drawn = (read(tmp_path / name, test) for name in ("normal", "drawn"))
        assert normal["statistic"].equals(drawn["statistic"])
        assert drawn["p_value"].to_list() == pytest.approx(normal["p_value"].to_list(), abs=0.1)
        assert not drawn["p_value"].equals(normal["p_value"]) and drawn["p_value"].min() > 1e-3


@pytest.mark.slow
def test_images_have_a_critic_that_convolves(tmp_path):
    made, out = tmp_path / "made", tmp_path / "out"
    flags = ("--cells", "12", "--size", "16", "--quiet", "--out", str(made))
    assert cli.main(["simulate", "images", *flags]) == 0
    words = ("--test", "kl", "--widths", "4,4", "--steps", "3", "--quiet", "--out", out)
    score(made / "data.npz", *words)
    rows = read(out, "kl")
    truth = pl.read_parquet(made / "truth.parquet")
    assert rows.select("a", "b").equals(truth.select("a", "b").sort("a", "b"))
    assert rows["statistic"].is_finite().all()
    facts = json.loads((out / "run.json").read_text())["facts"]["critic"]
    assert (facts["encoder"], facts["members"], facts["rank"]) == ("strided", 2, None)
    entry = json.loads((out / "summary.json").read_text())["tests"]["kl"]
    assert entry["truth"] == "separable" and entry["judged"] == 6


@pytest.mark.slow
def test_too_few_observations_are_a_status(tmp_path, capsys):
    data, out = write(tmp_path / "in", n=150, few=5), tmp_path / "out"
    score(data, "--test", "kl", "--out", out, *QUICK[:-1])
    status = read(out, "kl")["status"]
    assert status[0] == "too_few" and set(status[1:]) <= {"ok", "doubtful"}
    assert read(out, "kl")["statistic"].null_count() == 1
    told = capsys.readouterr()
    assert "1 with a class of fewer than 10 observations" in told.out and "next:" in told.out
    assert "critic: 1 of 7 classes left out, with fewer than 10 observations" in told.err
    # two wells of control: no critic at all, and nothing is trained
    table = np.load(data)
    keep = np.r_[0, 1, 150 : len(table["x"])]
    np.savez(
        tmp_path / "in" / "data.npz", x=table["x"][keep], perturbation=table["perturbation"][keep]
    )
    score(data, "--test", "kl", "--out", tmp_path / "none", *QUICK[:-1])
    assert read(tmp_path / "none", "kl")["status"].to_list() == ["too_few"] * 3
    assert not (tmp_path / "none" / "classes.parquet").exists()
    told = capsys.readouterr()
    assert "no critic: the control has 2 in 2; it needs at least 10 observations" in told.err
    assert "kl: 0 pairs tested" in told.out and "next:" not in told.out


def test_a_real_screen_of_two_control_wells_has_too_few_for_a_critic(shared_data, tmp_path, capsys):
    columns = {"label": "templateSymbol,querySymbol", "guide": "templateRID,queryRID"}
    score(
        shared_data / "horn2011_mapk/horn2011_long.csv.gz",
        *(word for name, value in columns.items() for word in (f"--{name}-col", value)),
        "--features", "nrCells,area,intensity", "--batch-col", "Platebarcode", "--log2",
        "--control", "Ctrl_Fluc", "--center", "none", "--test", "kl", "--out", tmp_path / "run",
    )  # fmt: skip
    told = capsys.readouterr()
    assert "left out: 754 of a perturbation with itself" in told.err
    assert "the control has 2 in 2" in told.err
    status = read(tmp_path / "run", "kl")["status"]
    assert set(status) == {"too_few"} and len(status) == 4753


@pytest.mark.slow
def test_a_pair_with_a_direction_of_its_own_takes_the_bound_off(tmp_path, capsys):
    rng = np.random.default_rng(0)
    hit = {"control": (0, 0, 0), "A": (2, 0, 0), "B": (0, 0, 0), "A+B": (2, 0, 3)}
    label = np.repeat(list(hit), 1000)
    x = rng.normal(size=(len(label), 3)) + np.repeat(list(hit.values()), 1000, axis=0)
    np.savez(tmp_path / "data.npz", x=x.astype(np.float32), perturbation=label)
    words = ("--test", "kl", "--ensemble", "1", *LONGER)
    for name, rank in (("auto", ()), ("one", ("--rank", "1"))):
        score(tmp_path / "data.npz", *words, *rank, "--out", tmp_path / name)
    facts = [json.loads((tmp_path / name / "run.json").read_text())["facts"]["critic"]
             for name in ("auto", "one")]  # fmt: skip
    assert facts[1]["rank"] == 1 and list(facts[1]["held_losses"]) == ["1"]
    assert facts[0]["held_loss"] < facts[1]["held_loss"]
    assert read(tmp_path / "auto", "kl")["statistic"][0] == pytest.approx(4.5, abs=1.0)
    score(tmp_path / "data.npz", *words, "--head", "embedding", "--rank", "2",
          "--out", tmp_path / "no", code=2)  # fmt: skip
    assert "--rank: 2 is of --head linear" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()


@pytest.mark.slow
def test_a_critic_that_diverges_says_when_and_what_to_do(tmp_path, capsys):
    data, out = write(tmp_path / "in", n=60), tmp_path / "out"
    score(data, "--test", "kl", "--out", out, "--rate", "1e38", *QUICK, code=2)
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "at step 100; lower --rate (it was 1e+38)" in said and str(out / "critic") in said
    assert json.loads((out / "run.json").read_text())["status"] == "failed"
    score(data, "--test", "kl", "--out", out, "--force", *QUICK)
