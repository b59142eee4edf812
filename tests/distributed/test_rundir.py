"""The run directory: what is refused, what goes on, what is replaced, and what a death leaves."""

import errno
import json
import multiprocessing
import os
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from epistax.distributed import atomic, record
from epistax.distributed.errors import BadInput, Stopped
from epistax.distributed.formats.tables import read_pairs
from epistax.distributed.options import Discover
from epistax.distributed.rundir import RunDir


@pytest.fixture
def options(tmp_path):
    data = tmp_path / "pairs.csv"
    data.write_text("id1,id2,score\na,b,1\n")
    return Discover(pairs=str(data), out=str(tmp_path / "runs" / "one"), quiet=True)


def go(options, summary=None, error=None):
    """Open, write a table, and end as asked."""
    with RunDir.open(options, inputs=[options.pairs]) as run:
        if run.finished:
            return run
        run.write_table("curve", pl.DataFrame({"x": [1, 2]}))
        if error is not None:
            raise error
        run.finish(summary or {"n": 1})
    return run


def tree(path):
    return sorted(p.relative_to(path).as_posix() for p in Path(path).rglob("*"))


def written(options):
    return json.loads((Path(options.out) / "run.json").read_text())


def test_a_finished_run_holds_what_the_contract_says(options):
    go(options, {"top": {"ids": 0.5}, "gap": float("nan")})
    out = Path(options.out)
    assert tree(out) == ["LOCK", "curve.parquet", "run.json", "summary.json"]
    assert json.loads((out / "summary.json").read_text()) == {"top": {"ids": 0.5}, "gap": None}
    run = written(options)
    assert run["verb"] == "discover" and run["seed"] == 0 and run["status"] == "finished"
    assert run["options"]["pairs"] == options.pairs and run["options"]["batch"] is None
    assert run["inputs"][0]["sha256"] == record.sha256(Path(options.pairs))
    assert {"epistax", "python", "jax", "numpyro", "polars"} <= set(run["versions"])
    assert os.stat(out).st_mode & 0o077 == 0


def test_run_json_names_neither_host_nor_user(options, monkeypatch):
    monkeypatch.setenv("SOME_TOKEN", "hush-hush")
    go(options)
    text = (Path(options.out) / "run.json").read_text()
    assert os.uname().nodename not in text and "hush-hush" not in text


def test_the_second_run_needs_a_word(options):
    go(options)
    before = (Path(options.out) / "run.json").read_bytes()
    with pytest.raises(BadInput, match="holds a finished run; --force replaces it"):
        go(options)
    with pytest.raises(BadInput, match="exclude each other"):
        go(replace(options, force=True, resume=True))
    assert (Path(options.out) / "run.json").read_bytes() == before


def test_resume_starts_goes_on_and_ends(options, capsys):
    resumed = replace(options, resume=True)
    with pytest.raises(Stopped):
        go(resumed, error=Stopped("1 of 2"))  # an absent directory: starts
    started = written(options)["started"]
    assert written(options)["status"] == "stopped"
    with pytest.raises(BadInput, match="unfinished run; --resume goes on"):
        go(options)
    go(resumed)  # unfinished: goes on
    assert written(options)["started"] == started and written(options)["status"] == "finished"
    again = go(replace(resumed, quiet=False))  # finished: says so
    assert again.finished and again.summary == {"n": 1}
    assert "finished already" in capsys.readouterr().err


def test_an_exception_marks_the_run_failed_and_it_can_go_on(options):
    with pytest.raises(ZeroDivisionError):
        go(options, error=ZeroDivisionError())
    assert written(options)["status"] == "failed"
    assert go(replace(options, resume=True)).finished


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_disk_that_takes_no_more_is_the_users_to_mend(number, options, monkeypatch):
    def write(*given):
        raise OSError(number, os.strerror(number))

    with pytest.raises(BadInput, match=f"cannot be written to: {os.strerror(number)}; make room"):
        with RunDir.open(options, inputs=[options.pairs]) as run:
            with monkeypatch.context() as patch:
                patch.setattr(atomic, "temporary", write)
                run.write_table("curve", pl.DataFrame({"x": [1]}))
    assert written(options)["status"] == "failed"
    with pytest.raises(BadInput, match="cannot be written to"):
        with RunDir.open(replace(options, resume=True), inputs=[options.pairs]):
            monkeypatch.setattr(atomic, "temporary", write)  # from here on nothing can be marked
            raise OSError(number, os.strerror(number))


def test_resume_refuses_another_run_and_says_what_differs(options, monkeypatch):
    with pytest.raises(Stopped):
        go(options, error=Stopped())
    resume = replace(options, resume=True)
    with pytest.raises(BadInput, match=r"key \w{8}, not \w{8}\): its --batch is None, not 7"):
        go(replace(resume, batch=7))
    with pytest.raises(BadInput, match="its --at is .* not"):
        go(replace(resume, at=(0.5,)))
    go_on = replace(resume, workers=3, quiet=False)  # nothing that changes the figures
    monkeypatch.setattr(record, "version", lambda name: "9.9")
    with pytest.raises(BadInput, match="made by epistax .* this is 9.9"):
        go(go_on)
    monkeypatch.undo()
    content = Path(options.pairs).read_text()
    Path(options.pairs).write_text(content + "a,c,2\n")
    with pytest.raises(BadInput, match="the content of .*pairs.csv differs"):
        go(go_on)
    moved = Path(options.pairs).with_name("moved.csv")
    moved.write_text(content)
    assert go(replace(go_on, pairs=str(moved))).finished  # content counts, not the name


def test_force_replaces_our_runs_only(options, tmp_path):
    force = replace(options, force=True)
    go(options, {"n": 1})
    (Path(options.out) / "old.txt").write_text("stale")
    (Path(options.out) / "shards").mkdir()
    go(force, {"n": 2})
    assert tree(options.out) == ["LOCK", "curve.parquet", "run.json", "summary.json"]
    for content in (None, "{}", "[1]", "not json", '{"verb": "x"}'):
        mine = tmp_path / "mine"
        mine.mkdir(exist_ok=True)
        (mine / "thesis.tex").write_text("years of work")
        if content is not None:
            (mine / "run.json").write_text(content)
        for options_ in (force, replace(options, resume=True), options):
            with pytest.raises(BadInput, match="not a run of ours"):
                go(replace(options_, out=str(mine)))
        assert (mine / "thesis.tex").read_text() == "years of work"


def test_force_follows_no_link_out_of_the_directory(options, tmp_path):
    go(options)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "keep").write_text("x")
    (Path(options.out) / "link").symlink_to(elsewhere)
    go(replace(options, force=True))
    assert (elsewhere / "keep").exists() and not (Path(options.out) / "link").exists()


def test_force_that_dies_half_way_is_an_unfinished_run(options, monkeypatch):
    go(options, {"n": "old"})
    monkeypatch.setattr("epistax.distributed.rundir.clear", lambda *a, **k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        go(replace(options, force=True))
    monkeypatch.undo()
    run = go(replace(options, resume=True), {"n": "new"})
    assert run.summary == {"n": "new"}


def test_an_input_inside_out_is_never_cleared(options):
    go(options)
    inside = Path(options.out) / "data.csv"
    inside.write_text("id1,id2,score\n")
    with pytest.raises(BadInput, match="holds the input"):
        go(replace(options, pairs=str(inside), force=True))
    assert inside.exists()


def test_refusals_create_nothing(options, tmp_path):
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(BadInput, match="is a file"):
        go(replace(options, out=str(file)))
    with pytest.raises(BadInput, match="cannot be made"):
        go(replace(options, out=str(file / "below")))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "pairs.csv"]


def second(options, answers):
    try:
        go(options)
        answers.put("ran")
    except BadInput as error:
        answers.put(str(error))


def test_a_second_driver_is_refused(options):
    spawn = multiprocessing.get_context("spawn")
    answers = spawn.Queue()
    with RunDir.open(options, inputs=[options.pairs]) as run:
        process = spawn.Process(target=second, args=(replace(options, resume=True), answers))
        process.start()
        assert "is in use by another epistax" in answers.get(timeout=60)
        process.join()
        run.finish({})


def test_facts_are_added_to_run_json_at_once(options):
    with RunDir.open(options, inputs=[options.pairs]) as run:
        run.note(belief="ame")
        run.note(estimator="closed form", n_pairs=3)
        assert written(options)["facts"] == {
            "belief": "ame",
            "estimator": "closed form",
            "n_pairs": 3,
        }
        run.finish({})


def test_folder_refuses_a_link(options, tmp_path):
    with RunDir.open(options, inputs=[options.pairs]) as run:
        assert run.folder("shards").is_dir() and run.folder("shards").is_dir()
        (run.path / "out").symlink_to(tmp_path)
        with pytest.raises(BadInput, match="leads out"):
            run.folder("out")
        run.finish({})


def test_replace_never_writes_through_a_link(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("untouched")
    link.symlink_to(target)
    atomic.replace(link, b"new")
    assert target.read_text() == "untouched" and link.read_bytes() == b"new"
    assert not link.is_symlink()


def test_a_long_table_is_written_in_parts_and_read_as_one(options):
    frame = pl.DataFrame({"a": list("aab"), "b": list("bcc"), "score": [1.0, 2.0, 3.0]})
    with RunDir.open(options, inputs=[options.pairs]) as run:
        whole = run.write_parts("short", frame, rows=3)
        parted = run.write_parts("scores", frame, rows=2)
        run.finish({"n": 3})
    assert whole.is_file() and parted.is_dir()
    assert sorted(p.name for p in parted.iterdir()) == ["part-0000.parquet", "part-0001.parquet"]
    assert pl.read_parquet(parted / "*.parquet").equals(frame)
    table = read_pairs(parted)
    assert table.names == ("a", "b", "c") and table.score.tolist() == [1.0, 2.0, 3.0]
