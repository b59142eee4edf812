"""What the sides of `bench io` read."""

import pytest

from epistax.benchmarks import reading


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_both_read_the_same_pairs(tmp_path, kind):
    path = tmp_path / f"pairs.{kind}"
    reading.write_pairs(path, 500, 0)
    left, right = (side(500, str(path))() for side in (reading.pairs, reading.polars_pairs))
    reading.same(left, right)
    assert len(left.score) == 500 and (left.i < left.j).all()
    with pytest.raises(RuntimeError, match="different `score`"):
        reading.same(left, right._replace(score=-right.score))


@pytest.mark.parametrize("kind", ["h5ad", "zarr"])
def test_both_read_the_same_cells(tmp_path, kind):
    path = tmp_path / f"cells.{kind}"
    reading.write_cells(path, 300, 7, 0)
    left, right = (side(300, 7, str(path))() for side in (reading.cells, reading.anndata_cells))
    reading.same(left, right)
    assert left.x.shape == (300, 7) and len(left.names) == reading.ARMS


@pytest.mark.slow  # a child of its own for every row and side
def test_rows_say_what_was_read():
    records = list(reading.suite(size=300, repeats=1, seed=0))
    kinds = [(r["name"], r["size"]["kind"]) for r in records]
    assert kinds == [("io.pairs", "csv"), ("io.pairs", "parquet"),
                     ("io.cells", "h5ad"), ("io.cells", "zarr")]  # fmt: skip
    assert all(r["megabytes"] > 0 and r["reference_peak_rss_mb"] > 0 for r in records)
    assert not any("path" in r["size"] for r in records)
