"""The demo through the door: every step there, told apart by the seed, resumed where it stopped."""

import contextlib
import io
import json
from pathlib import Path

import polars as pl
import pytest

from epistax.cli import main
from epistax.distributed.verbs import demo, discover

FLAGS = ["--genes", "15", "--rounds", "3", "--seeds", "1"]


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "run"
    with contextlib.redirect_stdout(io.StringIO()) as text:
        assert main(["demo", *FLAGS, "--seed", "1", "--out", str(out)]) == 0
    return out, text.getvalue()


def test_every_step_is_a_run_of_its_own_and_the_report_holds_them_all(shown):
    out, text = shown
    summary = json.loads((out / "summary.json").read_text())
    assert list(summary["steps"]) == ["screen", "scores", "discover-additive", "discover-mmd"]
    for name, step in summary["steps"].items():
        record = json.loads((out / name / "run.json").read_text())
        assert (record["verb"], record["status"]) == (step["verb"], "finished")
        assert record["options"]["seed"] == 1
    page = (out / "report.html").read_text()
    for title in ("Simulated screen", "Pair tests", "Which pairs next", "Run facts"):
        assert title in page
    scores = pl.read_parquet(out / "scores/scores.parquet")
    assert set(scores["test"]) == set(demo.TESTS) and scores.height == 7 * 105
    for reward in demo.REWARDS:
        curve = pl.read_parquet(out / f"discover-{reward}/curve.parquet")
        assert set(curve["policy"]) == set(demo.POLICIES) and curve["n_measured"].max() == 40
        assert curve["true_top_fraction"].null_count() == 0
    assert set(summary["discovery"]["mmd"]["ids"]) >= {"0.09", "end"}
    assert summary["tests"]["additive"]["truth"] == "interacting"


def test_the_terminal_ends_with_the_way_to_the_pictures(shown):
    out, text = shown
    *ends, last = text.splitlines()[-5:]
    assert last == "next: epistax check YOUR_SCREEN"
    assert ends[0].startswith("done: screen ")
    assert ends[1] == f"figure: {out}/discover-additive/figures/discovery.png"
    assert ends[3].startswith(f"report: {out}/report.html")
    for path in (line.split(": ", 1)[1].split("  ")[0] for line in ends[1:]):
        assert Path(path).stat().st_size > 5000
    assert "perturbations" in text and "interact at an FDR" in text and "ucb" in text
    assert max(map(len, text.replace(str(out), "").splitlines())) <= 100


def test_an_existing_directory_is_not_touched(shown, capsys):
    out, _ = shown
    before = (out / "run.json").read_bytes()
    assert main(["demo", *FLAGS, "--seed", "2", "--out", str(out)]) == 2
    assert "holds a finished run; --force replaces it" in capsys.readouterr().err
    assert (out / "run.json").read_bytes() == before


def stopping(monkeypatch, *rewards):
    """Let the demo be stopped where it would begin to discover by one of these."""
    real = discover.run

    def run(options):
        if options.test in rewards:
            raise KeyboardInterrupt
        return real(options)

    monkeypatch.setattr(demo.discover, "run", run)


def test_another_seed_is_another_screen(shown, tmp_path, monkeypatch):
    one, two = shown[0], tmp_path / "two"
    stopping(monkeypatch, *demo.REWARDS)  # its scores are enough
    assert main(["demo", *FLAGS, "--seed", "2", "--quiet", "--out", str(two)]) == 75
    one, two = (pl.read_parquet(path / "scores/scores.parquet") for path in (one, two))
    assert one.select("a", "b", "test").equals(two.select("a", "b", "test"))
    assert not one["statistic"].equals(two["statistic"])


@pytest.mark.slow
def test_a_stopped_demo_goes_on_and_json_stands_alone(shown, tmp_path, monkeypatch, capsys):
    whole, out = shown[0], tmp_path / "run"
    flags = [*FLAGS, "--seed", "1", "--json", "--out", str(out)]
    with monkeypatch.context() as patch:
        stopping(patch, "mmd")
        assert main(["demo", *flags]) == 75
    assert not capsys.readouterr().out
    assert not (out / "summary.json").exists() and (out / "scores/summary.json").exists()
    assert main(["demo", *flags, "--resume"]) == 0
    assert list(json.loads(capsys.readouterr().out)["steps"])[0] == "screen"
    for table in ("scores/scores", "discover-additive/chosen", "discover-mmd/chosen"):
        one, two = (folder / f"{table}.parquet" for folder in (whole, out))
        assert one.read_bytes() == two.read_bytes()
