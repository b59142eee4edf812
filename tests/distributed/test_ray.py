"""Ray actors: the bytes of a run are those of inline, whoever is killed on the way."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from epistax.distributed import cluster, joining
from epistax.distributed.backends import backend
from epistax.distributed.driver import execute
from epistax.distributed.errors import BadInput
from epistax.distributed.events import Events
from epistax.distributed.plan import Plan
from epistax.distributed.store import Store

SIZE = 4


@pytest.fixture(autouse=True)
def private(monkeypatch, tmp_path_factory):
    """No token of the tests in anybody's home, no cluster of anybody's joined."""
    home = tmp_path_factory.mktemp("home")
    for name in ("RAY_ADDRESS", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    yield
    assert not (home / ".ray").exists()


@dataclass
class Ranges:
    """Rows of a range of integers by a shared table; some of them kill their worker."""

    table: np.ndarray
    kills: tuple[int, ...] = ()
    nap: float = 0.0

    def __call__(self, chunk):
        first, last = chunk.work["first"], chunk.work["last"]
        time.sleep(self.nap)
        if any(first <= k < last for k in self.kills):
            os.kill(os.getpid(), signal.SIGKILL)
        return self.rows(first, last, "ok")

    def halves(self, work):
        first, last = work["first"], work["last"]
        middle = (first + last) // 2
        pieces = {"first": first, "last": middle}, {"first": middle, "last": last}
        return pieces if last - first > 1 else ()

    def failed(self, work):
        return self.rows(work["first"], work["last"], "failed")

    def rows(self, first, last, status):
        i = np.arange(first, last)
        x = np.where(status == "ok", self.table[first:last], np.nan)
        return pl.DataFrame({"i": i, "x": x, "status": [status] * len(i)})


def kernel(chunks, **how):
    return Ranges(np.sin(np.arange(chunks * SIZE)), **how)


def planned(chunks):
    return Plan.of("run", [{"first": SIZE * k, "last": SIZE * k + SIZE} for k in range(chunks)])


def fresh(root, name="run"):
    (root / name / "shards").mkdir(parents=True)
    return Store(root / name / "shards")


def content(store):
    return {p.name: p.read_bytes() for p in store.folder.iterdir()}


def events(store, *names):
    return [e for e in Events(store.beside("events.jsonl")).read() if e["event"] in names]


def ours():
    """Processes of clusters that this user started through epistax."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if b"epistax-ray-" in path.read_bytes():
                found.append(int(path.parent.name))
    return found


def none_left(before, within=15.0):
    until = time.monotonic() + within
    while set(ours()) - set(before) and time.monotonic() < until:
        time.sleep(0.1)
    return not set(ours()) - set(before)


@pytest.fixture
def short():
    """A temporary folder whose name leaves room for those of Ray's sockets."""
    with tempfile.TemporaryDirectory(prefix="ray-") as folder:
        yield Path(folder)


def test_actors_write_the_same_bytes_and_survive_a_kill(tmp_path, capfd, monkeypatch):
    plan, store, inline, before = planned(60), fresh(tmp_path), fresh(tmp_path, "inline"), ours()
    execute(plan, kernel(60), inline)
    modes, real = [], cluster.join

    def join(address):
        folders = Path(tempfile.gettempdir()).glob("epistax-ray-*")
        modes.extend(folder.stat().st_mode & 0o777 for folder in folders)
        return real(address)

    monkeypatch.setattr(cluster, "join", join)
    chaos(plan, kernel(60, nap=0.05), store, kills=1, seed=0)
    assert content(store) == content(inline)
    assert len(events(store, "death")) == 1 and none_left(before)
    assert modes and all(mode == 0o700 for mode in modes)
    for event in events(store, "ready"):
        assert len(event["node"]) > 20 and len(event["actor"]) > 20
    assert "A worker died" not in "".join(capfd.readouterr())  # it is in the event log


def chaos(plan, work, store, *, kills, seed, workers=2, pause=(0.3, 0.8)):
    """Run it on actors, some of which are killed while they work."""
    over, rng, done = threading.Event(), random.Random(seed), []

    def kill():
        while len(done) < kills and not over.wait(rng.uniform(*pause)):
            dead = {e["worker"] for e in events(store, "death")}
            alive = [e["pid"] for e in events(store, "ready") if e["worker"] not in dead]
            if alive:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(rng.choice(alive), signal.SIGKILL)
                    done.append(1)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        execute(plan, work, store, backend=backend("ray", workers))
    finally:
        over.set()
        killer.join()
    return len(done)


@pytest.mark.slow
def test_killers_are_alone_in_the_failed(tmp_path):
    plan, store, inline = planned(500), fresh(tmp_path), fresh(tmp_path, "inline")
    killers = (402, 1333)
    work = kernel(500, nap=0.1, kills=killers)
    done = chaos(plan, work, store, kills=15, seed=1, pause=(1.0, 3.0))
    execute(plan, kernel(500), inline)
    assert done == 15
    bad = store.read(plan).filter(pl.col("status") != "ok")
    assert bad["i"].to_list() == list(killers)
    same = [c for c in plan.chunks if c.id not in {k // SIZE for k in killers}]
    for chunk in same:
        name = store.path(chunk, "rows").name
        assert content(store)[name] == content(inline)[name]
    strikes = Counter(e["chunk"] for e in events(store, "strike") if not e["piece"])
    assert all(n < 5 for c, n in strikes.items() if c not in {k // SIZE for k in killers})


DRIVER = textwrap.dedent("""
    import sys, time
    from pathlib import Path
    import polars as pl
    from epistax.distributed.backends import backend
    from epistax.distributed.driver import execute
    from epistax.distributed.errors import Stopped
    from epistax.distributed.plan import Plan
    from epistax.distributed.store import Store

    class Slow:
        def __call__(self, chunk):
            time.sleep(0.05)
            return pl.DataFrame({"seed": [chunk.work["seed"]] * 100})

    if __name__ == "__main__":
        plan = Plan.of("run", [{"seed": s} for s in range(150)])
        try:
            execute(plan, Slow(), Store(Path(sys.argv[1])), backend=backend("ray", 2))
        except Stopped:
            sys.exit(75)
""")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_driver_that_ends_takes_its_cluster_along(number, tmp_path, short):
    before, script, folder = ours(), tmp_path / "driver.py", tmp_path / "shards"
    script.write_text(DRIVER)
    folder.mkdir()
    words = [sys.executable, str(script), str(folder)]
    environment = os.environ | {"TMPDIR": str(short)}
    process = subprocess.Popen(words, env=environment)
    until = time.monotonic() + 120
    while len(list(folder.glob("c*"))) < 10:
        assert time.monotonic() < until
        time.sleep(0.02)
    process.send_signal(number)
    asked = time.monotonic()
    assert process.wait(30) == (-9 if number == signal.SIGKILL else 75)
    assert time.monotonic() - asked < 10 and none_left(before, 20)
    assert subprocess.run(words, env=environment, check=False).returncode == 0
    plan = Plan.of("run", [{"seed": s} for s in range(150)])
    assert Store(folder).read(plan)["seed"].to_list() == [s for s in range(150) for _ in range(100)]
    assert none_left(before, 20)
    until = time.monotonic() + 20
    while list(short.glob("epistax-ray-*")) and time.monotonic() < until:
        time.sleep(0.1)
    assert not list(short.glob("epistax-ray-*"))


@pytest.mark.slow
def test_one_two_and_four_actors_are_one_checksum(tmp_path):
    plan, stores = planned(80), []
    for workers in (1, 2, 4):
        stores.append(fresh(tmp_path, str(workers)))
        execute(plan, kernel(80), stores[-1], backend=backend("ray", workers))
    assert content(stores[0]) == content(stores[1]) == content(stores[2])


@contextlib.contextmanager
def head(folder, cpus=2):
    """A cluster such as `ray start` makes, with a token; ended by its process group."""
    token, port = folder / "token", random.SystemRandom().randrange(20000, 30000)
    token.touch(0o600)
    token.write_text("5" * 64)
    environment = os.environ | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    environment.pop("RAY_AUTH_TOKEN", None)
    place = Path(os.environ.get("TMPDIR", "/tmp")) / f"epistax-ray-test-{os.getpid()}"
    words = ["start", "--head", f"--port={port}", f"--temp-dir={place}", f"--num-cpus={cpus}"]
    words += ["--include-dashboard=false", "--disable-usage-stats", "--block"]
    process = subprocess.Popen(
        [sys.executable, "-c", "from ray.scripts.scripts import main; main()", *words],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        until = time.monotonic() + 90
        while time.monotonic() < until:
            with contextlib.suppress(BadInput):
                joining.listens("--ray", "127.0.0.1", port)
                break
            time.sleep(0.5)
        time.sleep(5)
        yield f"127.0.0.1:{port}", environment, token
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(15)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        subprocess.run(["rm", "-rf", str(place)], check=False)


@pytest.mark.slow
def test_a_cluster_with_a_token_lets_in_who_has_it(tmp_path):
    data = tmp_path / "screen.npz"
    label = np.repeat(["ctrl", "a", "b", "a+b"], 12)
    x = np.random.default_rng(0).normal(size=(48, 3)).astype(np.float32)
    np.savez(data, x=x, perturbation=label)

    def score(out, environment, *flags):
        words = ["score", str(data), "--test", "knn", "--quiet", "--out", str(tmp_path / out)]
        return subprocess.run(
            [sys.executable, "-m", "epistax.cli", *words, *flags],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    with head(tmp_path) as (address, environment, _):
        found = score("in", environment, "--ray", address, "--workers", "2")
        assert found.returncode == 0, found.stderr
        for out, token in (("none", {}), ("wrong", {"RAY_AUTH_TOKEN": "6" * 64})):
            stranger = {k: v for k, v in environment.items() if not k.startswith("RAY_AUTH")}
            refused = score(out, stranger | token, "--ray", address)
            assert refused.returncode == 2 and refused.stderr.count("\n") == 1
            assert "the cluster refuses us; set RAY_AUTH_MODE=token" in refused.stderr
            assert not (tmp_path / out).exists()
    assert score("alone", environment, "--cores", "1").returncode == 0
    one, two = ((tmp_path / name / "scores.parquet").read_bytes() for name in ("in", "alone"))
    assert one == two


@pytest.mark.parametrize(
    "address, message",
    [
        ("127.0.0.1:1", "no Ray answers at 127.0.0.1:1.*start one with `ray start --head`"),
        ("ray://head:10001", "a Ray client loses the run"),
        ("head", "'head' is not local, auto or HOST:PORT"),
        ("head:port", "is not local, auto or HOST:PORT"),
    ],
)
def test_where_no_cluster_is(address, message):
    began = time.monotonic()
    with pytest.raises(BadInput, match=message):
        joining.join(address)
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    "error, message",
    [
        (
            RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 2.59.0"),
            "Version mismatch: The cluster was started with: Ray: 2.59.0; install the same",
        ),
        (ConnectionError("Could not find any running Ray instance."), "no Ray cluster was found"),
        (ConnectionError("ray client cannot reach the GCS"), "the cluster refuses us"),
    ],
)
def test_why_a_cluster_does_not_have_us(error, message, monkeypatch):
    import ray

    def refuse(**given):
        raise error

    monkeypatch.setattr(ray, "init", refuse)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(BadInput, match=message):
        joining.join("auto")
    assert signal.getsignal(signal.SIGTERM) is before


def test_workers_without_epistax_are_the_users_to_mend():
    error = RuntimeError("ray::Actor() ModuleNotFoundError: No module named 'epistax.distributed'")
    assert "send the run with epistax submit" in str(cluster.why_unfit(error))
    assert cluster.why_unfit(RuntimeError("a bug")) is None


def test_a_token_is_made_for_a_cluster_of_our_own_only(monkeypatch):
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    joining.authorise("auto")
    assert "RAY_AUTH_TOKEN" not in os.environ and "RAY_AUTH_MODE" not in os.environ
    joining.authorise("local")
    first = os.environ["RAY_AUTH_TOKEN"]
    assert len(first) == 64 and os.environ["RAY_AUTH_MODE"] == "token"
    joining.authorise("local")
    assert os.environ["RAY_AUTH_TOKEN"] == first
