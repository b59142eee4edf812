"""Shards: published once, whole or absent at every moment of a death, verified by content."""

import os
import subprocess
import sys
import textwrap

import polars as pl
import pytest

from epistax.distributed import atomic, shard
from epistax.distributed.plan import Plan
from epistax.distributed.store import Store, mismatches

WORK = [{"policy": p, "seed": s} for p in ("ids", "random") for s in range(3)]


def rows(chunk):
    n = 50 + chunk.work["seed"]
    return pl.DataFrame({"policy": [chunk.work["policy"]] * n, "x": [i / 7 for i in range(n)]})


@pytest.fixture
def plan():
    return Plan.of("run", WORK)


@pytest.fixture
def store(tmp_path):
    (tmp_path / "shards").mkdir()
    return Store(tmp_path / "shards")


def test_keys_depend_on_the_run_and_the_work_and_names_on_no_label(plan):
    assert [c.id for c in plan.chunks] == list(range(6))
    assert len({c.key for c in plan.chunks}) == 6
    assert Plan.of("run", WORK) == plan
    assert not {c.key for c in Plan.of("other", WORK).chunks} & {c.key for c in plan.chunks}
    names = {c.name for c in Plan.of("run", [{"gene": "../../etc/passwd"}]).chunks}
    assert all(n.replace("-", "").isalnum() for n in names)


def test_what_is_published_is_read_back_and_found_done(plan, store):
    for chunk in plan.chunks[:4]:
        assert store.publish(chunk, rows(chunk))
    census = store.scan(plan)
    assert census.done == plan.chunks[:4] and census.todo == plan.chunks[4:]
    for chunk in plan.chunks[4:]:
        store.publish(chunk, rows(chunk))
    expected = pl.concat([rows(c) for c in plan.chunks])
    assert store.read(plan).equals(expected)
    # any Parquet reader can read them
    assert pl.read_parquet(store.paths(plan)).equals(expected)


def test_the_first_writer_wins(plan, store):
    chunk = plan.chunks[0]
    assert store.publish(chunk, pl.DataFrame({"x": [1]}))
    assert not store.publish(chunk, pl.DataFrame({"x": [2]}))
    assert shard.decode(store.paths(plan)[0].read_bytes(), chunk.key)["x"].to_list() == [1]


def test_same_rows_same_bytes_in_another_process(plan):
    code = textwrap.dedent("""
        import hashlib, polars as pl
        from epistax.distributed import shard
        frame = pl.DataFrame({"a": ["x", "y"] * 5000, "v": [i / 3 for i in range(10000)]})
        print(hashlib.sha256(shard.encode(frame, "k")).hexdigest())
    """)
    found = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    }
    assert len(found) == 1


def test_every_flipped_byte_and_every_cut_is_detected():
    data = shard.encode(pl.DataFrame({"a": ["x", "y"], "v": [1.5, 2.5]}), "key")
    shard.verify(data, "key")
    for position in range(len(data)):
        broken = data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]
        with pytest.raises(shard.Damaged):
            shard.verify(broken, "key")
    for length in (0, 1, 10, len(data) // 2, len(data) - 1):
        with pytest.raises(shard.Damaged):
            shard.verify(data[:length], "key")
    with pytest.raises(shard.Damaged):
        shard.verify(data + b"x", "key")
    with pytest.raises(shard.Foreign):
        shard.verify(data, "another")


def test_a_column_named_like_the_seal_does_no_harm():
    frame = pl.DataFrame({"epistax-seal:": ["epistax-seal:" + "0" * 64]})
    assert shard.decode(shard.encode(frame, "key"), "key").equals(frame)


def test_scan_drops_torn_and_foreign_shards_and_leaves_strays(plan, store):
    for chunk in plan.chunks:
        store.publish(chunk, rows(chunk))
    torn, foreign, linked = (store.paths(plan)[i] for i in (0, 2, 4))
    data = bytearray(torn.read_bytes())
    data[len(data) // 2] ^= 4
    torn.write_bytes(data)
    foreign.write_bytes(store.paths(plan)[1].read_bytes())
    elsewhere = store.folder.parent / "elsewhere"
    os.replace(linked, elsewhere)
    linked.symlink_to(elsewhere)
    (store.folder / f"{atomic.TEMPORARY}abc-x").write_bytes(b"half")
    (store.folder / "notes.txt").write_text("mine")
    census = store.scan(plan)
    assert [c.id for c in census.todo] == [0, 2, 4]
    assert (census.damaged, census.foreign, census.strays) == (1, 2, 1)
    assert elsewhere.exists() and (store.folder / "notes.txt").exists()
    assert not list(store.folder.glob(atomic.TEMPORARY + "*"))


def test_a_chunk_is_done_when_all_its_tables_are(plan, tmp_path):
    store = Store(tmp_path, tables=("curve", "picks"))
    frame = pl.DataFrame({"x": [1]})
    chunk = plan.chunks[0]
    store.publish(chunk, {"curve": frame, "picks": frame})
    assert store.scan(plan).done == (chunk,)
    store.path(chunk, "picks").unlink()
    assert store.scan(plan).done == ()
    assert store.publish(chunk, {"curve": frame, "picks": frame})
    with pytest.raises(ValueError, match="not \\['curve', 'picks'\\]"):
        store.publish(chunk, frame)


def test_a_piece_is_named_by_what_it_is_of(plan, store):
    chunk = plan.chunks[2]
    one, two = chunk.cut({"first": 0}), plan.chunks[3].cut({"first": 0})
    assert one.id == 2 and one.key != two.key and one.piece
    assert not store.has(one)
    store.publish(one, rows(chunk))
    assert store.has(one) and not store.has(chunk)
    assert [p.parent.name for p in store.folder.parent.rglob("*.parquet")] == ["pieces"]


def test_how_a_table_was_put_together_leaves_no_trace():
    frame = pl.DataFrame({"x": range(100)})
    parts = pl.concat([frame[:30], frame[30:]], rechunk=False)
    assert shard.encode(parts, "key") == shard.encode(frame, "key")


def test_the_manifest_finds_what_changed_later(plan, store):
    for chunk in plan.chunks:
        store.publish(chunk, rows(chunk))
    manifest = store.close(plan)
    assert mismatches(manifest, store.folder) == []
    one, two = store.paths(plan)[1], store.paths(plan)[3]
    one.unlink()
    two.write_bytes(two.read_bytes()[:-1])
    assert mismatches(manifest, store.folder) == [one.name, two.name]
