"""h5ad and zarr, written by anndata itself (and, for old forms and attacks, by h5py and hand)."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import zarr

from epistax.distributed.errors import BadInput
from epistax.distributed.formats import anndata as reader
from epistax.distributed.formats import blocks
from epistax.distributed.formats.screens import is_screen, read_screen
from epistax.distributed.formats.screentable import ScreenTable
from epistax.distributed.options import Check

Refused = Callable[..., str]
GEARS = ["A+ctrl", "ctrl+A", "A+B", "ctrl", "B+ctrl", "B+A", "ctrl"]
MEANT = [{"A"}, {"A"}, {"A", "B"}, set(), {"B"}, {"A", "B"}, set()]
X = np.random.default_rng(0).normal(size=(7, 5)) * (np.arange(35).reshape(7, 5) % 3 > 0)
GENES = ["TP53", "MYC", "KRAS", "BRCA1", "EGFR"]


def read(path: Path, **raw: object) -> ScreenTable:
    return read_screen(path, Check(files=(str(path),), **raw))


def carried(table: ScreenTable) -> list[set[str]]:
    """The perturbations of every row, by name."""
    return [{table.names[k] for k in row if k >= 0} for row in table.codes.tolist()]


def make(values: object = X, column: str = "condition", labels: object = None, **more: object):
    obs = pd.DataFrame({column: GEARS if labels is None else labels})
    obs.index = [f"cell{k}" for k in range(len(obs))]
    return anndata.AnnData(values, obs=obs, var=pd.DataFrame(index=GENES), **more)


def save(data: anndata.AnnData, folder: Path, form: str = "h5ad") -> Path:
    path = folder / f"screen.{form}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if form == "h5ad":
            data.write_h5ad(path)
        else:
            with anndata.settings.override(zarr_write_format=int(form[-1])):
                data.write_zarr(path)
    return path


@pytest.fixture
def h5ad(tmp_path: Path) -> Path:
    more = {"layers": {"counts": np.abs(X), "log": X}, "obsm": {"X_pca": X[:, :3], "X_umap": X}}
    return save(make(**more), tmp_path)


@pytest.mark.parametrize("form", ["h5ad", "zarr2", "zarr3"])
@pytest.mark.parametrize("stored", [np.asarray, sp.csr_matrix, sp.csc_matrix])
@pytest.mark.parametrize("labels", [GEARS, pd.Categorical(GEARS), pd.array(GEARS, "string")])
def test_every_form_of_the_same_screen(
    form: str, stored: Callable[..., object], labels: object, tmp_path: Path
) -> None:
    path = save(make(stored(X), labels=labels), tmp_path, form)
    assert is_screen(path, Check(files=("x",)))
    table = read(path)
    assert carried(table) == MEANT
    assert (table.names, table.features) == (("A", "B"), tuple(GENES))
    assert (table.x.dtype, table.codes.dtype) == (np.float32, np.int32)
    np.testing.assert_array_equal(table.x, X.astype(np.float32))
    assert table.batch is table.well is table.sides is None
    assert (table.census["label_column"], table.census["observations"]) == ("condition", 7)


@pytest.mark.parametrize("stored", [np.asarray, sp.csr_matrix, sp.csc_matrix])
@pytest.mark.parametrize("size", [1, 100, 10_000])
def test_blocks_do_not_show(
    stored: Callable[..., object], size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(make(stored(X)), tmp_path)
    monkeypatch.setattr(blocks, "BLOCK", size)
    np.testing.assert_array_equal(read(path).x, X.astype(np.float32))
    table = read(path, features=("EGFR", "[TM]*"))
    assert table.features == ("TP53", "MYC", "EGFR")
    np.testing.assert_array_equal(table.x, X[:, [0, 1, 4]].astype(np.float32))


def test_whole_chunks_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(make(), tmp_path)
    with h5py.File(path, "a") as file:
        about = dict(file["X"].attrs)
        del file["X"]
        file.create_dataset("X", data=X, chunks=(3, 2), compression="gzip").attrs.update(about)
    monkeypatch.setattr(blocks, "BLOCK", 1)
    np.testing.assert_array_equal(read(path).x, X.astype(np.float32))


def test_sharded_zarr(tmp_path: Path) -> None:
    path = save(make(), tmp_path, "zarr3")
    group = zarr.open_group(path, mode="a", use_consolidated=False)
    about = dict(group["X"].attrs)
    del group["X"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        array = group.create_array("X", shape=X.shape, dtype="f8", chunks=(2, 5), shards=(4, 5))
    array[:] = X
    array.attrs.update(about)
    np.testing.assert_array_equal(read(path).x, X.astype(np.float32))


@pytest.mark.parametrize("kind", [np.float64, np.int64, np.uint8, bool])
def test_every_kind_of_number(kind: type, tmp_path: Path) -> None:
    values = (np.abs(X) * 3).astype(kind)
    np.testing.assert_array_equal(read(save(make(values), tmp_path)).x, values.astype(np.float32))


def test_layers_and_embeddings(h5ad: Path) -> None:
    counts = read(h5ad, layer="counts")
    np.testing.assert_array_equal(counts.x, np.abs(X).astype(np.float32))
    assert counts.features == tuple(GENES)
    pca = read(h5ad, obsm="X_pca")
    np.testing.assert_array_equal(pca.x, X[:, :3].astype(np.float32))
    assert pca.features == ("X_pca_0", "X_pca_1", "X_pca_2")
    some = read(h5ad, obsm="X_umap", features=("X_umap_[13]",))
    np.testing.assert_array_equal(some.x, X[:, [1, 3]].astype(np.float32))
    without = read(h5ad, features=("!MYC", "!K*"))
    assert without.features == ("TP53", "BRCA1", "EGFR")
    assert any("layer counts" in line for line in counts.census.lines())


@pytest.mark.parametrize(
    ("column", "labels", "meant"),
    [
        ("perturbation", ["A+B", "control", "nan", "A", "B", "A", "A"], "AB  ? A B A A"),
        ("target_gene", ["A", "non-targeting", "B", "A", "B", "A", "B"], "A  B A B A B"),
        ("gene", ["A", "A", "B", "NTC", "None", "A", "B"], "A A B  ? A B"),
    ],
)
def test_columns_of_other_tools(column: str, labels: list[str], meant: str, tmp_path: Path) -> None:
    table = read(save(make(column=column, labels=labels), tmp_path))
    assert carried(table) == [set(word) for word in meant.split(" ") if word != "?"]
    assert table.census["label_column"] == column
    assert table.census["controls"] == 1
    unknown = [k for k, label in enumerate(labels) if label in ("nan", "None")]
    assert table.census["unassigned"] == len(unknown)
    kept = np.delete(X, unknown, axis=0).astype(np.float32)
    np.testing.assert_array_equal(table.x, kept)


@pytest.mark.parametrize(
    "labels",
    [
        pd.Categorical(["A", None, "B", "A", "B", "A+B", None]),
        pd.array(["A", None, "B", "A", "B", "A+B", None], dtype="string"),
    ],
)
def test_missing_labels_are_unassigned(labels: object, tmp_path: Path) -> None:
    with anndata.settings.override(allow_write_nullable_strings=True):
        table = read(save(make(labels=labels), tmp_path))
    assert carried(table) == [{"A"}, {"B"}, {"A"}, {"B"}, {"A", "B"}]
    assert table.census["unassigned"] == 2
    np.testing.assert_array_equal(table.x, X[[0, 2, 3, 4, 5]].astype(np.float32))


def test_labels_are_numbers(tmp_path: Path) -> None:
    table = read(save(make(labels=[0, 7, 8, 0, 7, 8, 12]), tmp_path), control=("0",))
    assert (table.names, carried(table)[1]) == (("12", "7", "8"), {"7"})
    assert table.census["control_observations"] == 2


def test_the_experiment_of_obs(tmp_path: Path) -> None:
    data = make()
    data.obs["batch"] = pd.Categorical(list("bbabaaa"))
    data.obs["plate"] = [2, 2, 1, 2, 1, 1, 1]
    data.obs["well"] = ["w1", "w1", "w1", "w2", "w1", "w2", "w1"]
    data.obs["guide_id"] = pd.array([1, 2, 3, None, 1, 2, None], dtype="Int64")
    table = read(save(data, tmp_path))
    assert [table.batches[k] for k in table.batch] == list("bbabaaa")
    np.testing.assert_array_equal(table.well, [2, 2, 0, 3, 0, 1, 0])
    assert [table.census[key] for key in ("plates", "wells", "guides")] == [2, 4, 3]
    named = read(save(data, tmp_path), batch_col="plate", well_col="batch")
    assert named.batches == ("1", "2")
    np.testing.assert_array_equal(named.well, [1, 1, 0, 1, 0, 0, 0])


def test_two_label_columns(tmp_path: Path) -> None:
    data = make()
    data.obs["one"] = ["A", "ctrl", "A", "ctrl", "B", "B", "ctrl"]
    data.obs["two"] = pd.Categorical(["ctrl", "A", "B", "ctrl", "ctrl", "A", "ctrl"])
    table = read(save(data, tmp_path), label_col=("one", "two"))
    assert carried(table) == MEANT
    assert table.sides is not None
    names = np.array(["A", "B", "ctrl"])[table.sides]
    assert names[:, 0].tolist() == data.obs["one"].tolist()
    assert names[:, 1].tolist() == data.obs["two"].tolist()


def test_categories_as_anndata_0_7_wrote_them(tmp_path: Path) -> None:
    path = save(make(), tmp_path)
    with h5py.File(path, "a") as file:
        obs = file["obs"]
        del obs["condition"]
        names = obs.create_dataset("__categories/condition", data=["A", "B", "ctrl"])
        names.attrs.update({"encoding-type": "string-array", "encoding-version": "0.2.0"})
        codes = obs.create_dataset("condition", data=np.array([2, 0, 1, -1, 0, 1, 0], np.int8))
        codes.attrs["categories"] = names.ref
    table = read(path)
    assert carried(table) == [set(), {"A"}, {"B"}, {"A"}, {"B"}, {"A"}]
    assert table.census["unassigned"] == 1


def test_content_not_name_says_the_form(tmp_path: Path) -> None:
    path = save(make(), tmp_path).rename(tmp_path / "screen.csv")
    assert read(path).census["observations"] == 7


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--layer", "count"], "has no layer 'count' (did you mean counts?); it has counts, log"),
        (["--obsm", "pca"], "has no obsm 'pca'"),
        (["--obsm", "X_pcs"], "(did you mean X_pca?); it has X_pca, X_umap"),
        (["--label-col", "conditions"], "has no obs column 'conditions' (did you mean condition?)"),
        (["--batch-col", "lane"], "has no obs column 'lane'; it has '_index', 'condition'"),
        (["--layer", "log", "--obsm", "X_pca"], "--layer and --obsm: give one of them"),
        (["--features", "TP35"], "no feature is 'TP35' (did you mean TP53?); it has 'TP53', 'MYC'"),
        (["--features", "!*"], "--features leaves no feature of 5"),
        (["--control", "NTC"], "no label is the control 'NTC'; it has 'ctrl'"),
    ],
)
def test_what_is_not_there(h5ad: Path, refused: Refused, words: list[str], said: str) -> None:
    assert said in refused(h5ad, *words)


def test_no_label_column(tmp_path: Path, refused: Refused) -> None:
    error = refused(save(make(column="cell_line"), tmp_path))
    assert (
        "has no obs column of labels (perturbation, condition, target_gene, target, gene" in error
    )
    assert "it has '_index', 'cell_line': name one with --label-col" in error


def test_no_x(tmp_path: Path, refused: Refused) -> None:
    error = refused(save(make(None, obsm={"X_pca": X}, layers={"raw": X}), tmp_path))
    assert "has no X; read --layer (raw) or --obsm (X_pca)" in error
    assert "has no X; it has no layers and no obsm either" in refused(save(make(None), tmp_path))


def test_no_layers_at_all(tmp_path: Path, refused: Refused) -> None:
    path = save(make(), tmp_path)
    assert "has no layer 'raw'; it has none: drop --layer" in refused(path, "--layer", "raw")


def test_an_embedding_of_pictures(tmp_path: Path, refused: Refused) -> None:
    path = save(make(obsm={"images": X.reshape(7, 5, 1)}), tmp_path)
    error = refused(path, "--obsm", "images")
    assert "obsm images is 7 x 5 x 1; give observations by features" in error


def test_an_embedding_that_is_a_table(tmp_path: Path, refused: Refused) -> None:
    data = make()
    data.obsm["frame"] = pd.DataFrame({"a": range(7)}, index=data.obs_names)
    assert "obsm frame is a dataframe; save it as an array" in refused(
        save(data, tmp_path), "--obsm", "frame"
    )


def test_a_matrix_of_text(tmp_path: Path, refused: Refused) -> None:
    path = save(make(), tmp_path)
    with h5py.File(path, "a") as file:
        del file["X"]
        file["X"] = np.full((7, 5), b"a")
    assert "X holds |S1, not numbers; save it as float" in refused(path)


def test_more_than_is_read(h5ad: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "LARGEST", 4 * 7 * 4)
    error = refused(h5ad)
    assert "X has 7 x 5 values" in error and "--obsm (X_pca, X_umap)" in error
    assert read(h5ad, features=("!MYC",)).x.shape == (7, 4)


def test_a_promise_of_terabytes_is_refused_unread(tmp_path: Path, refused: Refused) -> None:
    path = save(make(), tmp_path)
    with h5py.File(path, "a") as file:
        del file["X"]
        file.create_dataset("X", shape=(7, 10**12), chunks=(7, 100), dtype="f4")
    assert "X has 1,000,000,000,000 columns but var names 5" in refused(path)


def test_hdf5_of_something_else(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as file:
        file["layer1"] = X
    assert "is HDF5 but not h5ad: it has no obs; it has layer1" in refused(path)
    zarr.open_group(tmp_path / "other.zarr", mode="w").create_group("scale0")
    assert "is a zarr folder but not of AnnData: it has no obs" in refused(tmp_path / "other.zarr")


def test_obs_before_0_7(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "old.h5ad"
    with h5py.File(path, "w") as file:
        file["obs"] = np.array([(b"a", b"A")], dtype=[("index", "S1"), ("perturbation", "S1")])
    assert "its obs is no table of anndata 0.7 or later" in refused(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_cut_short(h5ad: Path, refused: Refused, share: float) -> None:
    data = h5ad.read_bytes()
    h5ad.write_bytes(data[: int(len(data) * share)])
    assert "the HDF5 file is cut short or damaged; copy it again" in refused(h5ad)


def test_a_flipped_chunk(tmp_path: Path, refused: Refused) -> None:
    path = save(make(), tmp_path)
    with h5py.File(path, "a") as file:
        del file["X"]
        values = file.create_dataset("X", data=X, chunks=(7, 5), compression="gzip")
        place = values.id.get_chunk_info(0)
    data = bytearray(path.read_bytes())
    data[place.byte_offset : place.byte_offset + place.size] = b"\0" * place.size
    path.write_bytes(data)
    assert "X cannot be read" in refused(path)


@pytest.mark.parametrize(
    ("link", "said"),
    [
        (h5py.ExternalLink("/etc/passwd", "/"), "'uns/more' is an external link"),
        (h5py.SoftLink("/obs"), "'uns/more' is a soft link"),
    ],
)
def test_links_are_not_followed(h5ad: Path, refused: Refused, link: object, said: str) -> None:
    with h5py.File(h5ad, "a") as file:
        file["uns"]["more"] = link
    assert said in refused(h5ad)


def test_data_in_other_files_are_not_read(tmp_path: Path, refused: Refused) -> None:
    path = save(make(), tmp_path)
    (tmp_path / "secret").write_bytes(bytes(280))
    with h5py.File(path, "a") as file:
        del file["X"]
        outside = [(str(tmp_path / "secret"), 0, 280)]
        file.create_dataset("X", shape=(7, 5), dtype="f8", external=outside)
    assert "the data of 'X' stand in another file, which is not read" in refused(path)
    with h5py.File(path, "a") as file:
        del file["X"]
        layout = h5py.VirtualLayout((7, 5), "f8")
        layout[:] = h5py.VirtualSource("other.h5", "X", (7, 5))
        file.create_virtual_dataset("X", layout)
    assert "the data of 'X' stand in another file, which is not read" in refused(path)


@pytest.mark.parametrize(("part", "value"), [("indices", 10**6), ("indices", -3), ("indptr", 99)])
@pytest.mark.parametrize("stored", [sp.csr_matrix, sp.csc_matrix])
def test_indices_outside_of_the_matrix(
    stored: Callable[..., object], part: str, value: int, tmp_path: Path, refused: Refused
) -> None:
    path = save(make(stored(X)), tmp_path)
    with h5py.File(path, "a") as file:
        file["X"][part][2] = value
    assert "X cannot be read" in refused(path)


@pytest.mark.parametrize(
    ("form", "change", "codec"),
    [
        ("zarr2", {"compressor": {"id": "pickle"}}, "pickle"),
        ("zarr2", {"filters": [{"id": "delta"}, {"id": "pickle"}]}, "pickle"),
        ("zarr3", {"codecs": [{"name": "bytes"}, {"name": "numcodecs.pickle"}]}, "pickle"),
        ("zarr3", {"codecs": ["bytes", "pickle"]}, "pickle"),
        (
            "zarr3",
            {"codecs": [{"name": "sharding_indexed", "configuration": {"codecs": ["evil"]}}]},
            "evil",
        ),
        (
            "zarr3",
            {"codecs": [{"name": "sharding_indexed", "configuration": {"index_codecs": ["evil"]}}]},
            "evil",
        ),
    ],
)
def test_codecs_that_may_run_code(
    form: str, change: dict[str, object], codec: str, tmp_path: Path, refused: Refused
) -> None:
    path = save(make(), tmp_path, form)
    place = path / "X" / ("zarr.json" if form == "zarr3" else ".zarray")
    place.write_text(json.dumps(json.loads(place.read_text()) | change))
    error = refused(path)
    assert f"{codec}'" in error and "'X' is stored with the codec" in error


def test_a_damaged_zarr(tmp_path: Path, refused: Refused) -> None:
    path = save(make(), tmp_path, "zarr3")
    (path / "X/zarr.json").write_text('{"codecs": [')
    assert "'zarr.json' in 'X' is damaged; copy it again" in refused(path)
    path = save(make(), tmp_path, "zarr2")
    (path / "X/0.0").write_bytes(b"nothing")
    assert "X cannot be read" in refused(path)


def test_zarr_with_a_symbolic_link(tmp_path: Path, refused: Refused) -> None:
    path = save(make(), tmp_path, "zarr3")
    (path / "uns/secret").symlink_to("/etc")
    assert "is a symbolic link, which is not followed" in refused(path)


def test_consolidated_metadata_are_not_believed(tmp_path: Path) -> None:
    path = save(make(), tmp_path, "zarr2")
    zarr.consolidate_metadata(path, zarr_format=2)
    held = json.loads((path / ".zmetadata").read_text())
    held["metadata"]["X/.zarray"]["compressor"] = {"id": "pickle"}
    (path / ".zmetadata").write_text(json.dumps(held))
    np.testing.assert_array_equal(read(path).x, X.astype(np.float32))


def test_lengths_that_disagree(tmp_path: Path) -> None:
    path = save(make(), tmp_path)
    with h5py.File(path, "a") as file:
        del file["X"]
        file["X"] = X[:5]
    with pytest.raises(BadInput, match="X has 5 rows but obs 7"):
        read(path)
