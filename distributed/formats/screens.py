"""Screens in any form: h5ad, zarr, npz, a table of observations, a table of read counts.

The content says which form a file has, not its name.
"""

from pathlib import Path

from epistax.distributed.errors import BadInput
from epistax.distributed.formats import npz, tables
from epistax.distributed.formats.anndata import is_hdf5, is_zarr, read_anndata
from epistax.distributed.formats.arrays import read_arrays
from epistax.distributed.formats.batchie import is_batchie
from epistax.distributed.formats.counts import is_counts, read_counts
from epistax.distributed.formats.longtable import (
    groups_of,
    is_list,
    numeric,
    offered,
    peek,
    read_long,
)
from epistax.distributed.formats.matrix import is_matrix
from epistax.distributed.formats.observations import Observations, assemble
from epistax.distributed.formats.roles import Roles, find_labels
from epistax.distributed.formats.screentable import ScreenTable
from epistax.distributed.formats.sheets import Sheet, open_sheet
from epistax.distributed.options.shared import ScreenOptions


def read_screen(path: str | Path, options: ScreenOptions) -> ScreenTable:
    """All that can be used of a screen; its census says what was left out, and why."""
    return assemble(observe(path, options), options)


def observe(path: str | Path, options: ScreenOptions) -> Observations:
    """The rows of a file, whatever its form."""
    if is_batchie(path):
        raise BadInput(
            f"{path}: is a screen of BATCHIE, with one number an experiment; give it to discover or"
            " effects"
        )
    if is_hdf5(path) or is_zarr(path):
        return read_anndata(path, options)
    for flag, given in (("--layer", options.layer), ("--obsm", options.obsm)):
        if given is not None:
            raise BadInput(f"{path}: is neither h5ad nor zarr; drop {flag}")
    if str(path).endswith(".npz") or npz.names(path):
        return read_arrays(path, options)
    sheet = open_sheet(path)
    if tables.find(sheet.header) and not (options.features or options.label_col):
        raise BadInput(
            f"{path}: is a table of pair scores, not a screen of observations; give it to discover,"
            " or name its features with --features"
        )
    return (read_counts if is_counts(sheet, options) else read_long)(sheet, options)


def is_screen(path: str | Path, options: ScreenOptions) -> bool:
    """Whether a file is to be read as a screen, not as a table or matrix of pairs."""
    if is_hdf5(path) or is_zarr(path):
        return not is_batchie(path)
    held = npz.names(path)
    if held or str(path).endswith(".npz"):
        return "perturbation" in held or (bool(options.label_col) and "names" not in held)
    if options.label_col or options.features or options.start or options.end:
        return True
    sheet = peek(path)
    if tables.find(sheet.header) is not None:
        return False
    labels = find_labels(offered(sheet), ())
    if not labels or is_matrix(sheet):
        return False
    return has_features(sheet, labels)


def has_features(sheet: Sheet, labels: tuple[str, ...]) -> bool:
    """Whether a table has columns numbered alike, several of numbers or one of lists."""
    roles, every = Roles(labels), range(len(sheet.header))
    lists = any(is_list(sheet, k) for k in every)
    return bool(lists or groups_of(sheet, roles) or len(numeric(sheet, roles)) > 1)
