"""Screens in npz files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from epistax.distributed.formats import npz
from epistax.distributed.formats.screens import is_screen, read_screen
from epistax.distributed.formats.screentable import ScreenTable
from epistax.distributed.options import Check

Refused = Callable[..., str]
X = np.random.default_rng(0).normal(size=(5, 3))
LABELS = np.array(["A", "ctrl", "B+A", "nan", "B"])
IMAGES = np.random.default_rng(1).integers(0, 256, (5, 8, 9, 2), np.uint8)


def save(folder: Path, **arrays: object) -> Path:
    path = folder / "screen.npz"
    held = {"x": X, "perturbation": LABELS} | arrays
    np.savez(path, **{name: value for name, value in held.items() if value is not None})
    return path


def read(path: Path, **raw: object) -> ScreenTable:
    return read_screen(path, Check(files=(str(path),), **raw))


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.float16, np.int64])
def test_rows_and_values(tmp_path: Path, kind: type) -> None:
    values = (X * 10).astype(kind)
    path = save(tmp_path, x=values)
    assert is_screen(path, Check(files=("x",)))
    table = read(path)
    assert (table.names, table.features) == (("A", "B"), ("x_0", "x_1", "x_2"))
    np.testing.assert_array_equal(table.codes, [[-1, 0], [-1, -1], [0, 1], [-1, 1]])
    np.testing.assert_array_equal(table.x, values[[0, 1, 2, 4]].astype(np.float32))
    assert table.x.dtype == np.float32 and table.census["unassigned"] == 1


def test_in_the_order_of_another_language(tmp_path: Path) -> None:
    table = read(save(tmp_path, x=np.asfortranarray(X)))
    np.testing.assert_array_equal(table.x, X[[0, 1, 2, 4]].astype(np.float32))


def test_what_stands_beside(tmp_path: Path) -> None:
    path = save(
        tmp_path,
        batch=np.array([2, 1, 2, 1, 1]),
        plate=np.array([1.0, 1.0, np.nan, 1.0, 1.0]),
        well=np.array([b"w1", b"w1", b"w2", b"w2", b"w1"]),
        guide=np.array(["g1", "g2", "g3", "g4", "g1"]),
        features=np.array(["area", "count", "gfp"]),
    )
    table = read(path, features=("[ag]*",))
    assert (table.features, table.batches) == (("area", "gfp"), ("1", "2"))
    np.testing.assert_array_equal(table.x, X[[0, 1, 2, 4]][:, [0, 2]].astype(np.float32))
    np.testing.assert_array_equal(table.batch, [1, 0, 1, 0])
    np.testing.assert_array_equal(table.well, [2, 0, 1, 0])
    assert [table.census[key] for key in ("plates", "guides", "wells")] == [2, 3, 3]


def test_labels_in_two_arrays(tmp_path: Path) -> None:
    one, two = np.array(["A", "ctrl", "B", "", "B"]), np.array(["ctrl", "ctrl", "A", "A", "ctrl"])
    path = save(tmp_path, perturbation=None, one=one, two=two)
    assert is_screen(path, Check(files=("x",), label_col=("one", "two")))
    table = read(path, label_col=("one", "two"))
    np.testing.assert_array_equal(table.codes, [[-1, 0], [-1, -1], [0, 1], [-1, 1]])
    names = np.array(["A", "B", "ctrl"])[table.sides]
    assert names.tolist() == [["A", "ctrl"], ["ctrl", "ctrl"], ["B", "A"], ["B", "ctrl"]]


def test_a_matrix_of_pairs_is_no_screen(tmp_path: Path) -> None:
    path = save(tmp_path, x=np.eye(2), perturbation=None, names=np.array(["A", "B"]))
    assert not is_screen(path, Check(files=("x",)))
    assert not is_screen(path, Check(files=("x",), label_col=("names",)))


@pytest.mark.parametrize(
    ("arrays", "words", "said"),
    [
        ({"x": None}, [], "has perturbation; a screen needs the array `x`"),
        ({"x": X[:4]}, [], "`perturbation` has 5 entries but `x` has 4 rows; make them agree"),
        ({"batch": LABELS[:2]}, [], "`batch` has 2 entries but `x` has 5 rows"),
        ({"features": LABELS}, [], "`features` has 5 entries but `x` has 3 columns"),
        ({"x": X.reshape(5, 3, 1)}, [], "`x` is 5 x 3 x 1, images of 3 x 1 pixels, and 8 x 8"),
        ({"x": X[:, 0]}, [], "`x` is 5; give two dimensions, observations by features, or images"),
        ({"x": LABELS.reshape(5, 1)}, [], "`x` holds <U4, not numbers"),
        ({"x": X + 1j}, [], "`x` holds complex128, not numbers"),
        ({"perturbation": LABELS.reshape(5, 1)}, [], "`perturbation` is 5 x 1; give one dimension"),
        ({"perturbation": LABELS.astype(object)}, [], "holds Python objects; save names as text"),
        ({"x": X.astype(object)}, [], "`x` holds Python objects; save one array of numbers"),
        ({"x": np.where(X == X[0, 1], np.inf, X)}, [], "column 'x_1', row 1: '"),
        ({"x": X * [1, 0, 1]}, [], "feature 'x_1' ("),
        ({}, ["--guide-col", "guide"], "has no array 'guide'; it has 'x', 'perturbation'"),
        ({}, ["--layer", "counts"], "is neither h5ad nor zarr; drop --layer"),
        ({}, ["--label-col", "x,x,x"], "--label-col: 3 names; give one, or two for pairs"),
    ],
)
def test_complaints(
    tmp_path: Path, refused: Refused, arrays: dict, words: list[str], said: str
) -> None:
    assert said in refused(save(tmp_path, **arrays), *words)


@pytest.mark.parametrize("channels", [(), (1,), (2,)])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32, np.float64])
def test_images(tmp_path: Path, kind: type, channels: tuple[int, ...]) -> None:
    values = IMAGES[..., : channels[0]] if channels else IMAGES[..., 0]
    values = values.astype(kind) * (1 if kind is np.uint8 else kind(3))
    table = read(save(tmp_path, x=values))
    assert table.image == (8, 9, *(channels or (1,)))
    expected = values[[0, 1, 2, 4]].reshape(4, -1).astype(np.float64)
    expected = expected / 255 if kind is np.uint8 else expected
    assert table.x.dtype == np.float32 and table.x.flags.c_contiguous
    np.testing.assert_allclose(table.x, expected, rtol=1e-6)
    assert len(table.features) == table.x.shape[1] == table.census["features"]
    assert table.features[-1] == f"pixel 7,8,{table.image[2] - 1}"
    assert table.census["image"] == f"8 x 9 x {table.image[2]}"


def test_vectors_are_no_images(tmp_path: Path) -> None:
    assert read(save(tmp_path)).image is None
    assert read(save(tmp_path, x=np.arange(500).reshape(5, 100))).image is None


def test_pixels_may_be_constant_and_images_may_lack_some(tmp_path: Path) -> None:
    values = IMAGES.astype(np.float32)
    values[:, :, 0], values[1, 3, 4, 1] = 7, np.nan
    table = read(save(tmp_path, x=values))
    np.testing.assert_array_equal(table.x, values[[0, 2, 4]].reshape(3, -1))
    assert table.census["incomplete"] == 1
    left = table.census.left_out[-1]
    assert left.reason == "without a value in some pixel" and left.examples == ("pixel 3,4,1 (1)",)
    np.testing.assert_array_equal(table.codes, [[-1, 0], [0, 1], [-1, 1]])


def holed(value: float) -> np.ndarray:
    values = IMAGES.astype(np.float32)
    values[:, 1, 2, 0] = value
    return values


@pytest.mark.parametrize(
    ("arrays", "words", "said"),
    [
        ({"x": IMAGES[:, None]}, [], "`x` is 5 x 1 x 8 x 9 x 2; give two dimensions, observations"),
        ({"x": IMAGES[:, :7]}, [], "images of 7 x 9 pixels, and 8 x 8 are the least; give larger"),
        ({"x": IMAGES[..., :0]}, [], "`x` is 5 x 8 x 9 x 0"),
        ({"x": np.moveaxis(IMAGES, -1, 1)}, [], "move the channels last (numpy.moveaxis(x, 1, -1"),
        ({"x": IMAGES[:4]}, [], "`perturbation` has 5 entries but `x` has 4 rows"),
        ({"x": IMAGES.astype(str)}, [], "`x` holds <U3, not numbers"),
        ({"x": IMAGES * 0}, [], "all images are the same"),
        ({"x": holed(np.inf)}, [], "column 'pixel 1,2,0', row 1: 'inf' is not a finite 32-bit num"),
        ({"x": holed(np.nan)}, [], "lacks a value in some pixel: pixel 1,2,0 (4); fill the gaps"),
        ({"x": IMAGES}, ["--features", "x_1"], "holds images, whose pixels have no names; drop it"),
        ({"x": IMAGES, "features": LABELS}, [], "`x` holds images and `features` names columns"),
        ({"x": None, "arr_0": IMAGES[0], "arr_1": IMAGES[1]}, [], "holds 2 arrays without a name"),
    ],
)
def test_complaints_of_images(
    tmp_path: Path, refused: Refused, arrays: dict, words: list[str], said: str
) -> None:
    assert said in refused(save(tmp_path, **arrays), *words)


def test_images_of_different_sizes(tmp_path: Path, refused: Refused) -> None:
    several = np.empty(5, object)
    several[:] = [IMAGES[0, : 8 - k] for k in range(5)]
    said = refused(save(tmp_path, x=several))
    assert "`x` holds Python objects" in said and "must have one size: crop or resize them" in said


def test_images_that_do_not_fit(
    tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(npz, "LIMIT", 2000)  # 720 bytes, but 2,880 as 32-bit numbers
    assert "its images take 0.0 GiB as 32-bit numbers" in refused(save(tmp_path, x=IMAGES))


@pytest.mark.parametrize("share", [0.01, 0.5, 0.95])
def test_cut_short(tmp_path: Path, refused: Refused, share: float) -> None:
    path = save(tmp_path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    assert "the npz file is damaged; copy it again" in refused(path)


def test_a_flipped_byte(tmp_path: Path, refused: Refused) -> None:
    path = save(tmp_path)
    data = bytearray(path.read_bytes())
    data[data.index(X.tobytes()) + 9] ^= 1
    path.write_bytes(data)
    assert "the npz file is damaged; copy it again" in refused(path)


def test_a_zip_that_promises_too_much(
    tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path, x=np.zeros((5, 10_000)))
    monkeypatch.setattr(npz, "LIMIT", 100_000)
    assert "its arrays have 0.0 GiB, of which at most 0 are read" in refused(path)
    monkeypatch.setattr(npz, "LIMIT", 1_000_000)
    assert "every feature is constant" in refused(path)
