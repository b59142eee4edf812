"""A campaign killed with SIGKILL: whatever the moment, the same command ends with the same files.

The exhaustive part forks a child for every write of a step (names given and taken, folders made,
syncs) and kills it there; the long part kills real processes at random moments.
"""

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

# a child that dies at its n-th write; what is proposed is made up, so that no child compiles
SERVER = textwrap.dedent("""
    import json, os, signal, shutil, sys
    from pathlib import Path
    import numpy as np
    from epistax import cli
    from epistax.distributed.campaign import proposing
    from epistax.distributed.campaign.moment import Batch, Proposer
    from epistax.distributed.verbs import campaign
    from epistax.engine.pairs import Pairs
    from epistax.engine.policy import rules

    def made_up(here):
        i, j = (side.astype(np.int32) for side in np.triu_indices(here.choice.p, k=1))
        pairs = rules.admit(here.rules, rules.empty(here.rules), Pairs(i, j)).chosen[:4]
        value = np.linspace(1, 2, len(pairs))
        return Batch(Pairs(i[pairs], j[pairs]), 0, value, value, value, 2.0, 1,
                     {"x": np.arange(50.0)}, {})

    proposing.proposer = lambda p: Proposer(made_up, None, None)
    campaign.draw = lambda held: None  # nothing is believed

    def child(words, moment):
        pid = os.fork()
        if pid:
            return os.waitpid(pid, 0)[1]
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1); os.dup2(quiet, 2)
        count = 0
        def armed(real):
            def call(*args, **more):
                nonlocal count
                if real is os_open and not args[1] & os.O_CREAT:
                    return real(*args, **more)
                if count == moment:
                    os.kill(os.getpid(), signal.SIGKILL)
                count += 1
                return real(*args, **more)
            return call
        os_open = os.open
        os.fsync = lambda handle: None  # counted; the kernel outlives the process
        for name in ("open", "link", "replace", "unlink", "mkdir", "fsync"):
            setattr(os, name, armed(getattr(os, name)))
        code = cli.main(words)
        os._exit(code)

    def tree(path):
        names = [p for p in sorted(path.rglob("*")) if p.is_file() and p.name != "LOCK"]
        return {str(p.relative_to(path)): p.read_bytes() for p in names}

    def visible(path):
        return {k: v for k, v in tree(path).items() if not Path(k).name.startswith(".tmp-")}

    def every_moment(start, work, words):
        if start.exists():
            shutil.copytree(start, work)
        before = tree(start)
        assert child(words, -1) == 0
        want = tree(start)
        moment, seen, found = 0, [], []
        while True:
            shutil.rmtree(start)
            if work.exists():
                shutil.copytree(work, start)
            status = child(words, moment)
            for name, data in visible(start).items():  # whole or absent, old or new
                assert data in (before.get(name), want.get(name)), (moment, name)
            if not os.WIFSIGNALED(status):
                break
            moment += 1
            state = sorted((Path(k).name[-12:], v) for k, v in tree(start).items())
            if state in seen:  # as after another kill, but for a sync: nothing new to try
                continue
            seen.append(state)
            looks = visible(start)
            if looks not in found and "campaign.json" in looks:  # whoever looks finds it sound
                found.append(looks)
                assert child(["campaign", "status", str(start)], -1) == 0, moment
            assert child(words, -1) == 0, moment
            have = tree(start)
            assert have == want, (moment, {k for k in want if have.get(k) != want[k]})
        assert os.WEXITSTATUS(status) == 0 and tree(start) == want
        shutil.rmtree(work, ignore_errors=True)
        return moment

    folder = Path(sys.argv[1])
    print([every_moment(folder / "screen", folder / "kept", w) for w in json.loads(sys.argv[2])])
""")


def test_a_kill_at_any_write_of_any_step_loses_nothing(desk):
    folder, path = desk.folder, str(desk.path)
    start = desk.measure("start.csv", [("G00", "G01"), ("G02", "G03")])
    results = desk.measure("r.csv", [("G00", "G02"), ("G00", "G03")])  # what is made up first
    new = ["new", path, "--genes", str(folder / "genes.txt"), "--batch", "4", "--start", str(start)]
    steps = [new, ["propose", path], ["record", path, str(results)]]
    done = subprocess.run(
        [sys.executable, "-c", SERVER, folder, json.dumps([["campaign", *step] for step in steps])],
        capture_output=True, text=True, cwd=folder, env=os.environ | {"PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    counts = json.loads(done.stdout.splitlines()[-1])
    assert all(count > 10 for count in counts), counts
    names = set(desk.tree())
    assert {"rounds/0001/belief.npz", "rounds/0001/proposed.csv"} <= names
    assert sum(name.startswith("results/") for name in names) == 4
    assert desk.go("status")["measured"] == 4 and desk.pairs(1)[0] == ("G00", "G02")


def test_a_kill_between_two_files_of_results_is_taken_up(desk):
    # the copy is there and its record is not: another file comes first, then the same again
    desk.new()
    desk.go("propose")
    pairs = desk.pairs(0)
    one, two = desk.measure("one.csv", pairs[:2]), desk.measure("two.csv", pairs[2:4])
    desk.go("record", one)
    for path in (desk.path / "results").glob("*.json"):
        path.unlink()
    state = desk.go("status")
    assert state["measured"] == 0
    assert state["damaged"][0]["problem"] == "was not recorded to the end"
    assert desk.go("record", two)["measured"] == 2
    assert desk.go("record", one)["measured"] == 4
    names = sorted(p.name.split("-")[0] for p in (desk.path / "results").iterdir())
    assert names == ["0000", "0000", "0001", "0001"] and not desk.go("status")["damaged"]


@pytest.mark.slow
def test_kills_at_200_random_moments(desk):
    """Three rounds with a real belief, every step killed again and again until it is through."""
    rng, kills = random.Random(0), 0
    want, have = desk.folder / "want", desk.folder / "have"

    def play(path, times):
        nonlocal kills
        words = ["new", "--genes", str(desk.folder / "genes.txt"), "--batch", "4", "--rounds", "2"]
        steps = [words]
        for number in range(3):
            steps += [["propose"], ["record", number]]
        for k, step in enumerate(steps):
            if step[0] == "record":
                rows = (path / f"rounds/{step[1]:04d}/proposed.csv").read_text().splitlines()[1:]
                pairs = [tuple(row.split(",")[:2]) for row in rows]
                step = ["record", str(desk.measure(f"r{step[1]}.csv", pairs))]
            line = [sys.executable, "-m", "epistax.cli", "campaign", step[0], str(path), *step[1:]]
            while times and (k == len(steps) - 1 or kills < 200 * (k + 1) // len(steps)):
                if kills == 200:
                    break
                begun = subprocess.Popen(line, cwd=desk.folder, stdout=subprocess.DEVNULL,
                                         stderr=subprocess.DEVNULL)  # fmt: skip
                time.sleep(rng.uniform(0.3, 1.2) * times[k])
                begun.send_signal(signal.SIGKILL)
                kills += begun.wait() == -signal.SIGKILL
                check(path)
            then = time.monotonic()
            done = subprocess.run(line, cwd=desk.folder, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            yield time.monotonic() - then

    def check(path):
        for file in path.rglob("*"):
            name = str(file.relative_to(path))
            if file.is_file() and not file.name.startswith((".tmp-", "LOCK", "report")):
                assert file.read_bytes() == whole.get(name, file.read_bytes()), name

    def tree(path):
        skip = ("LOCK", "report.html")
        files = [p for p in sorted(path.rglob("*")) if p.is_file() and p.name not in skip]
        return {str(p.relative_to(path)): p.read_bytes() for p in files}

    whole: dict[str, bytes] = {}
    times = list(play(want, []))
    whole |= tree(want)
    list(play(have, times))
    assert kills == 200
    assert tree(have) == whole
    assert not [p for p in Path(have).rglob("*") if p.name.startswith(".tmp-")]
