"""Values of a file as they lie in it, and the span of what was read."""

import anndata
import h5py
import numpy as np
import pytest

from epistax.distributed.formats import blocks
from epistax.distributed.formats.pairtable import by_key


@pytest.mark.parametrize("piece", [blocks.READ, 1000])
def test_bytes_of_a_file_are_what_hdf5_reads(tmp_path, monkeypatch, piece):
    monkeypatch.setattr(blocks, "READ", piece)
    x = np.random.default_rng(0).normal(size=(301, 7)).astype(np.float32)
    anndata.AnnData(x).write_h5ad(tmp_path / "a.h5ad")
    with h5py.File(tmp_path / "a.h5ad") as file:
        assert blocks.plain(file["X"])
        np.testing.assert_array_equal(blocks.dense(file["X"], np.arange(7), 301, 7), x)
        some = blocks.dense(file["X"], np.array([1, 4]), 301, 7)
    np.testing.assert_array_equal(some, x[:, [1, 4]])


@pytest.mark.parametrize(
    "how",
    [{"dtype": ">f4"}, {"dtype": "f8"}, {"compression": "gzip"}, {"chunks": (10, 7)}],
    ids=["big-endian", "double", "compressed", "chunked"],
)
def test_other_layouts_are_left_to_hdf5(tmp_path, how):
    x = np.random.default_rng(0).normal(size=(31, 7)).astype(np.float32)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=x, **how)
    with h5py.File(tmp_path / "a.h5") as file:
        assert not blocks.plain(file["x"])
        np.testing.assert_array_equal(blocks.dense(file["x"], np.arange(7), 31, 7), x)


def test_a_userblock_and_a_file_without_values_are_left_to_hdf5(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w", userblock_size=512) as file:
        file.create_dataset("x", data=np.ones((31, 7), np.float32))
        file.create_dataset("none", (31, 7), np.float32)  # nothing is written: zeros
    with h5py.File(tmp_path / "a.h5") as file:
        for name, value in (("x", 1), ("none", 0)):
            assert not blocks.plain(file[name])
            assert (blocks.dense(file[name], np.arange(7), 31, 7) == value).all()


def test_a_file_that_is_cut_short_is_not_taken_for_whole(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=np.ones((3000, 7), np.float32))
    with h5py.File(tmp_path / "a.h5") as file:
        with open(tmp_path / "a.h5", "r+b") as held:
            held.truncate(file["x"].id.get_offset() + 1000)
        with pytest.raises(OSError, match="cut short"):
            blocks.dense(file["x"], np.arange(7), 3000, 7)


@pytest.mark.parametrize("piece", [blocks.PIECE, 20])
def test_the_span_is_that_of_every_column(monkeypatch, piece):
    monkeypatch.setattr(blocks, "PIECE", piece)
    x = np.random.default_rng(0).normal(size=(501, 7)).astype(np.float32)
    for value in (0.0, np.inf, -np.inf, np.nan):
        x[-1, 3] = value
        low, high = blocks.span(x)
        np.testing.assert_array_equal(low, x.min(axis=0))
        np.testing.assert_array_equal(high, x.max(axis=0))


@pytest.mark.parametrize("most", [5, 70_000, 2**40])
def test_rows_are_in_the_order_of_their_keys(most):
    key = np.random.default_rng(0).integers(0, most, 5000)
    np.testing.assert_array_equal(by_key(key), np.argsort(key, kind="stable"))
