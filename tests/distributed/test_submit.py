"""Jobs: what goes to the cluster, what is refused before, and a real one where Ray can."""

import hashlib
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from epistax import cli
from epistax.distributed import options as declared
from epistax.distributed import submit
from epistax.distributed.errors import BadInput


def parsed(*words):
    return cli.parse(declared.Submit, words)


def test_what_follows_the_dashes_is_another_command():
    found = parsed("--address", "http://h:1", "--", "score", "d.npz", "--json", "--out", "o")
    assert found.address == "http://h:1" and not found.json
    assert found.words == ("score", "d.npz", "--json", "--out", "o")


def test_the_job_runs_here_and_joins_its_cluster(tmp_path, monkeypatch):
    folder = tmp_path / "with a space"
    folder.mkdir()
    monkeypatch.chdir(folder)
    entry = submit.entrypoint(parsed("--", "score", "d.npz", "--out", "o"))
    assert entry == (
        f"cd '{folder}' && exec python -P -m epistax.cli score d.npz --out o --ray auto"
    )
    for flag in ("--ray=local", "--executor=process"):
        assert submit.entrypoint(parsed("--", "score", "d", flag)).endswith(f"score d {flag}")
    with pytest.raises(BadInput, match="'discovr' does not run on a cluster; score"):
        submit.entrypoint(parsed("--", "discovr"))


def test_the_wheel_holds_what_runs_here_and_asks_for_nothing(tmp_path):
    one, two = (submit.build(tmp_path / name) for name in made(tmp_path, "a", "b"))
    assert one.read_bytes() == two.read_bytes()
    with zipfile.ZipFile(one) as archive:
        names = archive.namelist()
        assert {"epistax/cli.py", "epistax/engine/pairs.py"} <= set(names)
        assert "epistax/distributed/report/page.html" in names
        assert not [n for n in names if n.endswith(".pyc") or "__pycache__" in n]
        info = next(n for n in names if n.endswith("RECORD"))
        lines = archive.read(info).decode().splitlines()
        assert len(lines) == len(names)
        metadata = archive.read(info.replace("RECORD", "METADATA")).decode()
        assert "Requires-Dist" not in metadata
        name, digest, size = lines[0].split(",")
        data = archive.read(name)
        assert digest == "sha256=" + submit.digest(data) and int(size) == len(data)
        assert len(hashlib.sha256(data).digest()) == 32
    target = tmp_path / "site"
    words = [sys.executable, "-m", "pip", "install", "--no-index", "--target", str(target)]
    done = subprocess.run([*words, str(one)], capture_output=True, text=True, check=False)
    if "No module named pip" in done.stderr:
        pytest.skip("no pip here")
    assert done.returncode == 0, done.stderr
    found = subprocess.run(
        [sys.executable, "-P", "-c", "from epistax import cli; print(cli.__file__)"],
        env=os.environ | {"PYTHONPATH": str(target)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(found.stdout.strip()) == target / "epistax" / "cli.py"


def made(folder, *names):
    for name in names:
        (folder / name).mkdir()
    return names


class Client:
    """A job that prints a line, and ends as told."""

    def __init__(self, code, stop=False):
        self.code, self.stop, self.stopped = code, stop, []

    async def tail_job_logs(self, job):
        yield "a line\n"
        if self.stop:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.1)
        yield "another\n"

    def stop_job(self, job):
        self.stopped.append(job)

    def get_job_info(self, job):
        status = type("Status", (), {"value": "FAILED" if self.code else "SUCCEEDED"})
        return type("Info", (), {"driver_exit_code": self.code, "status": status})


def test_logs_come_back_and_the_exit_code(capsys):
    assert submit.follow(Client(3), "j", quiet=False) == {
        "job": "j",
        "status": "FAILED",
        "exit_code": 3,
    }
    assert capsys.readouterr().err == "a line\nanother\n"
    assert cli.show({"job": "j", "status": "FAILED", "exit_code": 75}, parsed("--", "score"), None)
    assert cli.show({"exit_code": 0}, parsed("--", "score"), None) == 0


def test_a_signal_stops_the_job_too():
    from epistax.distributed.errors import Stopped

    client, before = Client(0, stop=True), signal.getsignal(signal.SIGTERM)
    with pytest.raises(Stopped, match="job j was asked to stop"):
        submit.follow(client, "j", quiet=True)
    assert client.stopped == ["j"] and signal.getsignal(signal.SIGTERM) is before
