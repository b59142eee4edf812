"""The harness: what is timed, in which order, and whose memory is counted."""

import json
import subprocess
import sys
import textwrap
import types

import pytest

from epistax.benchmarks import harness
from epistax.distributed.options import bench as declared
from epistax.distributed.verbs import bench

SUITE = textwrap.dedent("""
    import jax, jax.numpy as jnp, numpy as np
    from epistax.benchmarks import harness

    def ours(n, megabytes=0):
        x = jnp.ones((n, n))
        product = jax.jit(lambda a: a @ a)
        def call():
            ballast = np.ones(megabytes << 17)
            return product(x), ballast
        return call

    def reference(n, megabytes=0):
        x = np.ones((n, n), np.float32)
        return lambda: x @ x

    def suite(*, size, repeats, seed):
        for n in (size,) if size else (8, 16):
            yield harness.measure("toy.matmul", {"n": n}, ours, reference, "numpy", repeats=repeats)

    if __name__ == "__main__":
        harness.main(suite)
""")
KEYS = {"name", "size", "ours_seconds", "reference", "reference_seconds", "ratio"}
KEYS |= {"peak_rss_mb", "device", "versions", "compile_seconds"}


@pytest.fixture
def toy(tmp_path, monkeypatch):
    (tmp_path / "toy_suite.py").write_text(SUITE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(declared.SUITES, "toy", "toy_suite")
    import toy_suite

    yield toy_suite
    del sys.modules["toy_suite"]


def test_a_record_has_the_keys_of_the_contract(toy):
    (record,) = toy.suite(size=64, repeats=5, seed=0)
    assert set(record) >= KEYS and json.loads(json.dumps(record)) == record
    assert record["name"] == "toy.matmul" and record["size"] == {"n": 64}
    assert record["ratio"] == record["reference_seconds"] / record["ours_seconds"]
    low, high = record["ours_range"]
    assert 0 < low <= record["ours_seconds"] <= high
    # the first call compiles: far above the 1 ms of a 64 x 64 product
    assert record["compile_seconds"] > 5 * record["ours_seconds"]
    assert "jax" in record["versions"] and record["device"]


def test_the_peak_is_that_of_ours_alone(toy):
    ballast = b"x" * (600 << 20)  # this process is large; the child must not inherit that
    small = harness.alone(toy.ours, {"n": 8})["peak_rss_mb"]
    large = harness.alone(toy.ours, {"n": 8, "megabytes": 200})["peak_rss_mb"]
    assert harness.peak_rss() > len(ballast)
    assert small < 600
    assert 170 < large - small < 260


def test_turns_alternate_and_medians_count(monkeypatch):
    calls, clock = [], iter(range(10**6))
    monkeypatch.setattr(harness.time, "perf_counter", lambda: float(next(clock)))
    monkeypatch.setattr(harness, "alone", lambda maker, size: {"peak_rss_mb": 1.0})
    slow = iter([0, 0, 0, 0, 90, 0])  # one outlier moves no median

    def ours():
        def call():
            calls.append("o")
            for _ in range(next(slow)):
                next(clock)

        return call

    def reference():
        def call():
            calls.append("r")
            next(clock), next(clock), next(clock)

        return call

    record = harness.measure("x", {}, ours, reference, "r", repeats=5)
    assert "".join(calls) == "or" + "or" + "ro" + "or" + "ro" + "or"
    assert (record["ours_seconds"], record["reference_seconds"], record["ratio"]) == (1, 4, 4)


def test_a_maker_that_no_child_could_import_is_refused():
    with pytest.raises(ValueError, match="not a module-level function"):
        harness.alone(lambda: None, {})


def test_a_failure_alone_is_told(toy, capfd):
    with pytest.raises(RuntimeError, match="ours failed alone"):
        harness.alone(toy.ours, {"no_such_size": 1})
    assert "no_such_size" in capfd.readouterr().err


def test_a_suite_runs_as_a_module_without_the_rest_of_the_house(tmp_path):
    (tmp_path / "toy_suite.py").write_text(SUITE)
    block = textwrap.dedent("""
        import sys
        class Absent:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] in {"ray", "polars", "rich", "orbax", "pyarrow", "pandas"}:
                    raise ImportError(name)
        sys.meta_path.insert(0, Absent())
        import runpy
        sys.argv = ["toy_suite", "--size", "8", "--repeats", "5"]
        runpy.run_module("toy_suite", run_name="__main__", alter_sys=True)
    """)
    # the child of alone() finds the suite by the name of the module that was run
    done = subprocess.run(
        [sys.executable, "-c", block],
        cwd=tmp_path,
        env={**harness.os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (record,) = map(json.loads, done.stdout.splitlines())
    assert set(record) >= KEYS


def fake(monkeypatch, n=2):
    module = types.ModuleType("fake_suite")
    record = {
        "name": "toy",
        "size": {"n": 3},
        "ours_seconds": 1.0,
        "reference": "numpy",
        "reference_seconds": 2.0,
        "ratio": 2.0,
        "peak_rss_mb": 10.0,
        "device": "a device",
    }
    module.suite = lambda *, size, repeats, seed: iter([record] * n)
    monkeypatch.setitem(sys.modules, "fake_suite", module)
    monkeypatch.setitem(declared.SUITES, "moments", "fake_suite")
    return record


def test_the_verb_streams_records_and_writes_them(monkeypatch, tmp_path):
    record = fake(monkeypatch)
    assert list(bench.run(declared.Bench(suite="moments"))) == [record] * 2
    out = tmp_path / "out"
    options = declared.Bench(suite="moments", out=str(out))
    assert list(bench.run(options)) == [record] * 2
    lines = (out / "results.jsonl").read_text().splitlines()
    assert [json.loads(x) for x in lines] == [record] * 2
    assert (out / "run.json").exists() and (out / "summary.json").exists()
    again = declared.Bench(suite="moments", out=str(out), resume=True, quiet=True)
    assert list(bench.run(again)) == [record] * 2
    table = bench.describe([record])
    assert "toy" in table and "n=3" in table and "a device" in table
    alone = record | {"reference": None, "reference_seconds": None, "ratio": None}
    assert bench.describe([record, alone]).splitlines()[2].split() == "toy n=3 1 s - - 10".split()
