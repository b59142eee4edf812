"""Ray actors, and the clusters they live on: started, joined, or refused with a clear line."""

import os
import signal
import subprocess
import sys
import tempfile
import time

import pytest

from epistax.benchmarks.faultkernel import Trial, audit
from epistax.benchmarks.faultsystem import named, short, until
from epistax.distributed import cluster, joining
from epistax.distributed.errors import BadInput, Stopped

pytestmark = pytest.mark.usefixtures("private")


def test_actors_write_the_same_bytes_in_a_private_place(tmp_path, monkeypatch):
    trial, modes, real = Trial(str(tmp_path), 60, "ray", nap=0.02), [], cluster.join
    with short() as place:
        monkeypatch.setattr(tempfile, "tempdir", str(place))

        def join(address):
            modes.extend(f.stat().st_mode & 0o777 for f in place.glob("epistax-ray-*"))
            return real(address)

        monkeypatch.setattr(cluster, "join", join)
        trial.run()
        assert until(lambda: not named(str(place)), 15.0)
        assert modes == [0o700] and not list(place.glob("epistax-ray-*"))
        monkeypatch.undo()
    assert audit(trial) == (0, 0, 0, True, ())
    for event in trial.events("ready"):
        assert len(event["node"]) > 20 and len(event["actor"]) > 20


def test_a_process_of_a_cluster_that_ends_is_noticed_and_left_to_its_owner(tmp_path):
    code = (
        "import subprocess, time; from epistax.distributed import worker;"
        "assert not worker.child_ended(); child = subprocess.Popen(['sh', '-c', 'exit 7']);"
        "time.sleep(1); assert worker.child_ended(); assert child.wait() == 7"
    )
    subprocess.run([sys.executable, "-P", "-c", code], check=True, cwd=tmp_path)


def test_a_worker_is_not_awaited_where_no_machine_is_left(monkeypatch):
    crew = cluster.Cluster("local", 1, 1, 0.0)
    crew.actors = {"w1": None}
    monkeypatch.setattr(cluster, "alive", lambda: {"node"})
    crew.look()
    monkeypatch.setattr(cluster, "alive", set)
    crew.look()  # too soon to ask again
    crew.looked -= cluster.LOOK
    with pytest.raises(Stopped, match="no machine of the Ray cluster is left"):
        crew.look()
    crew.warm = {"w1"}
    crew.look()


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 4])
def test_one_and_four_actors_write_the_bytes_of_one_process(workers, tmp_path):
    trial = Trial(str(tmp_path), 80, "ray", workers=workers)
    trial.run()
    assert audit(trial) == (0, 0, 0, True, ())


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
