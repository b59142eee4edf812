"""`score` with workers: the same bytes as without, status, verify, repair and retry-failed."""

import json
import os

import jax
import numpy as np
import polars as pl
import pytest

from epistax.cli import main
from epistax.distributed import backends, processes
from epistax.distributed.options import Score
from epistax.distributed.parcel import pack, unpack

GENES = [f"g{k}" for k in range(5)]
TESTS = ("knn", "knn:adaptive")
CORES = len(os.sched_getaffinity(0))


def write(path, n=24, d=4):
    """A complete screen of five genes."""
    rng, x, label = np.random.default_rng(0), [], []
    h = rng.normal(size=(5, d))
    classes = [()] + [(i,) for i in range(5)] + [(i, j) for j in range(5) for i in range(j)]
    for members in classes:
        count = 3 * n if not members else n
        x.append(sum((h[i] for i in members), np.zeros(d)) + rng.normal(size=(count, d)))
        label += ["+".join(GENES[i] for i in members) or "ctrl"] * count
    np.savez(path, x=np.concatenate(x).astype(np.float32), perturbation=np.array(label))
    return path


def run(data, out, *flags, tests=TESTS):
    asked = [word for name in tests for word in ("--test", name)]
    return main(["score", str(data), "--out", str(out), "--quiet", *asked, *map(str, flags)])


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """All tests by one process of one core."""
    folder = tmp_path_factory.mktemp("scored")
    data = write(folder / "screen.npz")
    assert run(data, folder / "run", "--cores", 1) == 0
    return data, folder / "run"


def same(one, two):
    names = ("scores.parquet", "manifest.json")
    return all((one / name).read_bytes() == (two / name).read_bytes() for name in names)


def test_workers_change_no_bit(scored, tmp_path):
    data, out = scored
    assert run(data, tmp_path / "two", "--executor", "process", "--workers", 2) == 0
    assert same(out, tmp_path / "two")
    record = json.loads((tmp_path / "two/run.json").read_text())
    assert record["facts"]["crew"]["workers"] == 2 and record["decisive"]["cores"] == 1
    summary = json.loads((tmp_path / "two/summary.json").read_text())
    assert all(entry["seconds"] > 0 for entry in summary["tests"].values())


def test_another_executor_goes_on_with_a_run_but_not_with_other_cores(scored, tmp_path, capsys):
    data, out = scored
    kept = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backends, "of", lambda options: Interrupting())
        assert run(data, kept, "--cores", 1) == 75
    if CORES > 1:
        assert run(data, kept, "--resume") == 2
        assert f"its --cores is 1, not {CORES}" in capsys.readouterr().err
    assert run(data, kept, "--resume", "--executor", "process", "--workers", 1) == 0
    assert same(out, kept)


class Interrupting(backends.Inline):
    """Stops when asked for the second chunk."""

    def send(self, name, chunk):
        if chunk.id == 1:
            raise KeyboardInterrupt
        super().send(name, chunk)


def test_nothing_is_tried_again_where_nothing_failed(scored, capsys):
    _, out = scored
    assert main(["retry-failed", str(out)]) == 2
    assert "nothing has failed" in capsys.readouterr().err


def test_what_fails_is_listed_and_tried_again_on_request(scored, tmp_path, capsys):
    from epistax.distributed.scoring import Scorer

    data, _ = scored
    out, real = tmp_path / "run", Scorer.test

    def failing(self, name, pairs):
        if 3 in pairs:
            raise FloatingPointError("pair 3 will not do")
        return real(self, name, pairs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Scorer, "test", failing)
        assert run(data, out, tests=("knn",)) == 3
    frame = pl.read_parquet(out / "scores.parquet")
    assert frame["status"].to_list() == ["ok"] * 3 + ["failed"] + ["ok"] * 6
    assert frame["statistic"].null_count() == 1
    capsys.readouterr()
    assert main(["status", str(out), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["state"], found["done"], found["chunks"], found["failed"]) == (
        "finished",
        1,
        1,
        1,
    )
    assert found["workers"][0]["pid"] == os.getpid()
    assert main(["retry-failed", str(out), "--quiet"]) == 0
    assert "1 chunks tried again; none fails now" in capsys.readouterr().out
    assert pl.read_parquet(out / "scores.parquet")["status"].unique().to_list() == ["ok"]
    assert not list((out / "failed").iterdir())


def test_status_tells_a_running_run_from_a_killed_one(scored, tmp_path, capsys):
    from epistax.distributed.events import Events
    from epistax.distributed.rundir import RunDir

    data, _ = scored
    options = Score(data=str(data), out=str(tmp_path / "run"), quiet=True)
    with RunDir.open(options, inputs=[data]) as directory:
        log = Events(directory.path / "events.jsonl")
        log.write("start", total=40, done=0, executor="ray", workers=1)
        log.write("ready", worker="w1", pid=7, node="n" * 8, actor="a" * 8)
        for chunk in range(3):
            log.write("done", worker="w1", chunk=chunk)
        log.write("death", worker="w1", cause="signal 9")
        assert main(["status", str(tmp_path / "run")]) == 0
        shown = capsys.readouterr().out
        assert "score, running" in shown and "1 deaths" in shown
        assert "w1: 3 done; pid 7, node nnnnnnnn, actor aaaaaaaa; died: signal 9" in shown
        record = json.loads((tmp_path / "run/run.json").read_text())
    record["status"] = "running"  # as a kill leaves it
    (tmp_path / "run/run.json").write_text(json.dumps(record))
    assert main(["status", str(tmp_path / "run"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "killed"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_worker_uses_the_shared_screen_in_place():
    from epistax.distributed.scoring import Scorer

    options = Score(data="screen.npz", out="run")
    data = prepared(options)
    memory, parcel = pack(Scorer(options, data))
    held, found = unpack(parcel)
    x = found.data.screen.x
    assert isinstance(x, jax.Array) and len(parcel.head) < 20_000
    mine = np.frombuffer(held.buf, np.uint8)
    at = x.unsafe_buffer_pointer() - mine.ctypes.data
    assert 0 <= at < mine.size
    np.testing.assert_array_equal(np.asarray(x), data.screen.x)
    memory.unlink()


def prepared(options):
    from epistax.distributed.prepare import Prepared
    from epistax.engine import screen as screens

    rng = np.random.default_rng(0)
    codes = np.array([[-1, -1]] * 900 + [[-1, 0]] * 900 + [[-1, 1]] * 900 + [[0, 1]] * 900)
    x = rng.normal(size=(len(codes), 16)).astype(np.float32)
    screen = screens.screen(x, codes, p=2, well=None)
    return Prepared(("a", "b"), tuple(map(str, range(16))), screen, False)


def test_options_settle_on_what_decides_the_bits():
    def settled(**given):
        return backends.settled(Score(data="d", out="o", **given))

    assert (settled().executor, settled().cores) == ("inline", CORES)
    assert (settled(executor="process").cores, settled(ray="auto").executor) == (1, "ray")
    assert settled(cores=1).cores == 1
    assert isinstance(backends.of(settled()), backends.Inline)
    assert isinstance(backends.of(settled(cores=1)), backends.Processes) == (CORES > 1)
    assert processes.environment(0.0) == {"JAX_PLATFORMS": "cpu"}
    assert processes.environment(0.5)["XLA_PYTHON_CLIENT_MEM_FRACTION"] == "0.450"


@pytest.mark.slow
def test_no_test_with_p_values_changes_a_bit(tmp_path):
    data, names = write(tmp_path / "screen.npz"), ("additive", "mmd", "mmd:matern", "knn:adaptive")
    assert run(data, tmp_path / "a", "--cores", 1, tests=names) == 0
    for workers in (1, 2, 4):
        flags = ("--executor", "process", "--workers", workers)
        assert run(data, tmp_path / str(workers), *flags, tests=names) == 0
        assert same(tmp_path / "a", tmp_path / str(workers))


@pytest.mark.slow
def test_critics_answer_the_same_from_workers(tmp_path):
    data = write(tmp_path / "screen.npz", n=40)
    flags = ("--cores", 1, "--steps", 60, "--folds", 2, "--ensemble", 1, "--rank", 3)
    for name, more in (("a", ()), ("b", ("--executor", "process", "--workers", 2))):
        assert run(data, tmp_path / name, *flags, *more, tests=("kl", "logform")) == 0
    assert same(tmp_path / "a", tmp_path / "b")
