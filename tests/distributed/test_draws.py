"""Draws by workers: the bits of one process, from any number of them, whoever is killed."""

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest

from epistax.cli import main
from epistax.distributed import drawing, driver
from epistax.distributed.backends import backend
from epistax.distributed.errors import Stopped
from epistax.distributed.events import Events
from epistax.distributed.parcel import pack, unpack
from epistax.distributed.progress import Progress
from epistax.engine import rounds, shortlist, streamed
from epistax.engine.pairs import Pairs, upper
from epistax.engine.policy.catalogue import Settings, policy
from epistax.engine.policy.wanted import wanted
from epistax.engine.posterior import catalogue as posteriors
from epistax.engine.posterior import moments
from epistax.engine.posterior.gibbs import Gibbs
from epistax.engine.posterior.lowrank import LowRank
from epistax.engine.posterior.pieces import here
from epistax.engine.screen import gather

P, R = 40, 2
KEY = jax.random.key(5)
SAME = Settings(batch=6, draws=100)  # four pieces, the last of which is cut
MEASURED = Pairs(np.array([0, 3, 5], np.int32), np.array([1, 9, 30], np.int32))


def factors(p=P):
    rng = np.random.default_rng(0)
    x = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)  # noqa: E731
    sd = lambda *shape: 0.2 + 0.2 * jnp.abs(x(*shape))  # noqa: E731
    return moments.Factors(x(), sd(), x(p), sd(p), x(R), sd(R), x(p, R), sd(p, R))


def chosen(fan, name="ids"):
    """A batch, its values, E max R: everything that draws decide."""
    found = streamed.choose(name, SAME, KEY, factors(), MEASURED, fan=fan)
    return [*found.pairs, found.value, np.float32(found.info["expected_best"])]


def equal(one, two):
    return all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


@contextlib.contextmanager
def crew(folder: Path, workers: int, believer=None, executor="process") -> Iterator[drawing.Fan]:
    place = folder / "draws"
    with drawing.fan(backend(executor, workers), believer, place, deadline=60.0) as fan:
        yield fan
    assert not place.exists()


@pytest.fixture(scope="module")
def alone():
    return chosen(here)


def wounded(numbers, *shared, marker, **static):
    """The piece of certified maxima, which kills whoever does the second one first."""
    if numbers[0] == 32 and not os.path.exists(marker):
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return shortlist.greatest(numbers, *shared, **static)


@pytest.mark.slow
def test_workers_change_no_bit_and_stay_from_plan_to_plan(alone, tmp_path):
    with crew(tmp_path, 2) as fan:
        assert equal(chosen(fan), alone)
        assert equal(chosen(fan), alone)
        assert fan.crew.hired <= 2  # for four plans
        assert fan.facts["draws"] == 4 * SAME.draws and fan.facts["deaths"] == 0
        # a draw moves its maximum and its rewards on the shortlist, and little else
        made, pairs = 2 * 4 * 32, P * (P - 1) // 2 - 3
        assert 0.5 < fan.facts["bytes"] / (made * 4 * pairs) < 1.2


@pytest.mark.slow
def test_a_killed_worker_costs_no_bit(alone, tmp_path):
    with crew(tmp_path, 1) as fan:

        def deadly(piece, *shared, **how):
            if piece is not shortlist.greatest:
                return fan(piece, *shared, **how)
            return fan(wounded, *shared, marker=str(tmp_path / "killed"), **how)

        assert equal(chosen(deadly), alone)
        assert fan.facts["deaths"] == 1
        events = list(Events(fan.folder / "events.jsonl").read())
        assert [e["kind"] for e in events if e["event"] == "strike"] == ["death"]


@pytest.mark.slow
@pytest.mark.parametrize("belief", ["gibbs", pytest.param("lowrank", marks=pytest.mark.slow)])
def test_beliefs_without_closed_form(belief, tmp_path):
    p = 8
    pairs = upper(p)
    score = np.random.default_rng(2).normal(size=len(pairs.i)).astype(np.float32)
    some = np.arange(0, len(score), 2)
    measured = gather(pairs, score, np.zeros_like(score), some, length=len(some))
    config = {
        "gibbs": Gibbs(rank=2, chains=70, sweeps=3),
        "lowrank": LowRank(rank=2, guide="lowrank", steps=5, restarts=1, draws_for_moments=8),
    }[belief]
    how = {"p": p, "reward": "score", "singles": None}
    listed, open = Pairs(*map(jnp.asarray, pairs)), ~np.isin(np.arange(len(score)), some)
    rule, asked = policy("ids", SAME, p=p), wanted("ids", SAME)

    def played(fan):
        posterior = drawing.believe(config, fan, **how)
        held, _ = posterior.fit(KEY, None, measured)
        picked = rounds.choose(KEY, posterior, rule, held, listed, open, 6, wanted=asked, fan=fan)
        return [*jax.tree.leaves(held), *picked]

    with crew(tmp_path, 1, partial(posteriors.posterior, config, **how)) as fan:
        assert equal(played(fan), played(here))
        # 70 chains in two pieces of 50, 100 draws in four of 32
        assert fan.facts["draws"] == SAME.draws + (config.chains if belief == "gibbs" else 0)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_tasks_arrive_as_they_were_and_lie_in_shared_memory():
    big = jnp.arange(100_000, dtype=jnp.float32)
    shared = (KEY, big, MEASURED, None, np.ones(3, bool))
    task = drawing.Task.of(shortlist.greatest, shared, {"best": 2, "mesh": None})
    memory, parcel = pack(task)
    assert len(parcel.head) < 5000 < memory.size
    _, found = unpack(parcel)
    kernel = drawing.Drawer()
    kernel.take(found)
    key, x, pairs, nothing, free = kernel.task.shared
    assert jax.random.key_data(key).tolist() == jax.random.key_data(KEY).tolist()
    assert isinstance(x, jax.Array) and np.array_equal(x, big) and nothing is None
    assert isinstance(pairs.i, np.ndarray) and np.array_equal(pairs.i, MEASURED.i) and free.all()
    other = drawing.Task.of(shortlist.greatest, (KEY, big + 1, *shared[2:]), task.static)
    assert found.name == task.name != other.name
    memory.unlink()


def test_arrays_come_back_to_the_bit():
    made = (np.float32([[1.5, -0.0], [np.nan, np.inf]]), np.arange(3, dtype=np.int32))
    for one, two in zip(drawing.arrays(drawing.frame(made)), made, strict=True):
        assert one.dtype == two.dtype and one.shape == two.shape
        assert one.tobytes() == two.tobytes()


def table(folder, p=9):
    rng = np.random.default_rng(0)
    u = rng.normal(size=p)
    rows = [(f"g{a}", f"g{b}", u[a] * u[b]) for a in range(p) for b in range(a + 1, p)]
    path = folder / "pairs.csv"
    pl.DataFrame(rows, schema=["id1", "id2", "score"], orient="row").write_csv(path)
    return path


def discover(data, out, *flags):
    words = ("--batch", 6, "--rounds", 2, "--draws", 40, "--rank", 2, "--quiet")
    return main(["discover", str(data), "--out", str(out), *map(str, (*words, *flags))])


WORKERS = ("--executor", "process", "--workers", 2)


def same(one, two):
    names = ("curve.parquet", "chosen.parquet")
    return all((one / name).read_bytes() == (two / name).read_bytes() for name in names)


@pytest.mark.slow
def test_one_run_shares_its_draws_and_goes_on_after_a_stop(tmp_path, monkeypatch, capsys):
    data, inline, out = table(tmp_path), tmp_path / "inline", tmp_path / "run"
    assert discover(data, inline, "--policy", "ids") == 0
    real, calls = drawing.Workers.__call__, []

    def stopping(self, *shared, **how):
        calls.append(1)
        if len(calls) == 2:
            raise Stopped("3 of 4 chunks are done")
        return real(self, *shared, **how)

    with monkeypatch.context() as patch:
        patch.setattr(drawing.Workers, "__call__", stopping)
        assert discover(data, out, "--policy", "ids", *WORKERS) == 75
    assert "--resume goes on" in capsys.readouterr().err
    assert discover(data, out, "--policy", "ids", *WORKERS, "--resume") == 0
    assert same(inline, out) and not (out / "draws").exists()
    record = json.loads((out / "run.json").read_text())
    crew = record["facts"]["crew"]
    assert (crew["executor"], crew["draws"], crew["deaths"]) == ("process", 2 * 40, 0)
    assert record["decisive"]["cores"] == 1


@pytest.mark.slow
def test_several_runs_are_shared_whole(tmp_path):
    data, inline, out = table(tmp_path), tmp_path / "inline", tmp_path / "run"
    flags = ("--policy", "ids", "--policy", "random", "--seeds", 2)
    assert discover(data, inline, *flags) == 0
    assert discover(data, out, *flags, *WORKERS) == 0
    assert same(inline, out)
    done = [e for e in Events(out / "events.jsonl").read() if e["event"] == "done"]
    assert sorted(e["chunk"] for e in done) == [0, 1, 2, 3]


@pytest.mark.slow
def test_a_campaign_proposes_the_same_batch(tmp_path):
    data, made = table(tmp_path, p=9), []
    for name, flags in (("inline", ()), ("workers", WORKERS)):
        folder = tmp_path / name
        words = ["--genes", data, "--start", data, "--batch", 4, "--policy", "ids", "--draws", 40]
        start = tmp_path / "start.csv"
        start.write_text("\n".join(data.read_text().splitlines()[:20]) + "\n")
        words[3] = start
        assert main(["campaign", "new", str(folder), *map(str, words), "--quiet"]) == 0
        assert main(["campaign", "propose", str(folder), *map(str, flags), "--quiet"]) == 0
        made.append((folder / "rounds/0001/proposed.csv").read_bytes())
        assert not (folder / "draws").exists()
    assert made[0] == made[1]


def test_actors_draw_the_same(alone, tmp_path):
    with crew(tmp_path, 2, executor="ray") as fan:
        assert equal(chosen(fan), alone)


def test_a_stop_between_two_plans_stops_the_next():
    progress = Progress("", quiet=True)
    with driver.stop_signals(progress) as run:
        with driver.stop_signals(progress) as round_one:
            assert not round_one.is_set()
        os.kill(os.getpid(), signal.SIGTERM)
        assert run.is_set()
        with driver.stop_signals(progress) as round_two:
            assert round_two.is_set()
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGTERM)
    with driver.stop_signals(progress) as later:
        assert not later.is_set()
