"""Lists that a campaign is given: its perturbations, their single effects, pairs and prices.

A list is a text file or a table, with or without a header; lines that begin with # are remarks.
Names of single perturbations; every unknown one is an error that says what comes near it.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from epistax.distributed.errors import BadInput
from epistax.distributed.flags import did_you_mean
from epistax.distributed.formats import tables
from epistax.distributed.formats.anndata import is_hdf5, is_zarr
from epistax.distributed.formats.matrix import is_matrix
from epistax.distributed.formats.screens import is_screen, read_screen
from epistax.distributed.formats.sheets import decode, find_separator, is_number, open_sheet
from epistax.distributed.formats.where import listed, short
from epistax.distributed.labels import role
from epistax.distributed.options.shared import ScreenOptions

Line: TypeAlias = tuple[int, list[str]]  # its number in the file and its cells
Place: TypeAlias = Mapping[str, int]  # names of the campaign and where they stand

GENES = ("gene", "genes", "gene_name", "gene_symbol", "symbol", "hgnc_symbol", "name", "names")
HEADS = (*GENES, "id", "target", "label", "condition", "perturbation", "perturbations")
FIRST = {*HEADS, *(name for pair in tables.PAIRS for name in pair)}


def read_genes(
    path: str, *, control: tuple[str, ...], sep: str
) -> tuple[tuple[str, ...], str, list[str]]:
    """The perturbations, sorted by code point; where they were found; what was left out."""
    options = ScreenOptions(control=control, sep=sep)
    if Path(path).suffix == ".npz" or is_hdf5(path) or is_zarr(path):
        sheet = None
    else:
        sheet = open_sheet(path)
    listing = sheet is not None and (
        len(sheet.header) == 1 or sheet.header[0].lower() in GENES and not tables.find(sheet.header)
    )
    if not listing and is_screen(path, options):
        return read_screen(path, options).names, "the perturbations of a screen", []
    if sheet is None or tables.find(sheet.header) or (not listing and is_matrix(sheet)):
        found = tables.read_pairs(path, control=control, sep=sep)
        return found.names, f"the perturbations of a {found.census.kind}", []
    rows = lines(path)
    titled = bool(rows) and rows[0][1][0].lower() in HEADS
    where = f"column {rows[0][1][0]!r}" if titled else "a name a line"
    for number, cells in [] if titled else rows:
        if sum(map(bool, cells)) > 1:
            raise BadInput(
                f"{path}: line {number}: holds {len(cells)} cells; write a name a line, or title "
                "the column of names gene"
            )
    named = [(number, cells[0]) for number, cells in rows[titled:] if cells[0]]
    for number, name in named:
        if sep in name:
            raise BadInput(
                f"{path}: line {number}: {short(name)} is a combination; give single perturbations"
                " (or set --sep if the sign is part of a name)"
            )
    roles = {name: role(name, control) for _, name in named}
    names = tuple(sorted(name for name, kind in roles.items() if kind == "perturbation"))
    left = [
        f"left out of {path}: {name!r}, {'a control' if kind == 'control' else 'no name'}"
        for name, kind in roles.items()
        if kind != "perturbation"
    ]
    if len(roles) < len(named):
        left.append(f"{len(named) - len(roles):,} names stand in {path} more than once")
    return names, where, left


def read_singles(path: str, names: Place) -> list[float]:
    """The single effect of every perturbation: rows gene,effect."""
    found: dict[str, float] = {}
    for number, (name, text) in table(path, 2, "gene,effect"):
        known(name, names, path, number)
        found[name] = value(text, path, number)
    absent = [name for name in names if name not in found]
    if absent:
        raise BadInput(
            f"{path}: has no single effect of {listed(absent)} ({len(absent):,} of {len(names):,});"
            " give all of them, or choose reward score or abs"
        )
    return [found[name] for name in names]


def read_pairs(path: str, names: Place) -> list[tuple[str, str]]:
    """Pairs in the order of the file, each once; rows a,b."""
    rows = table(path, 2, "a,b")
    return list(dict.fromkeys(pair(cells, names, path, number) for number, cells in rows))


def read_excluded(path: str, names: Place) -> tuple[list[str], list[tuple[str, str]]]:
    """Perturbations (rows of one name) and pairs (rows of two)."""
    genes: dict[str, None] = {}
    pairs: dict[tuple[str, str], None] = {}
    for number, cells in headless(path):
        cells = [cell for cell in cells if cell]
        if len(cells) == 1:
            known(cells[0], names, path, number)
            genes[cells[0]] = None
        elif len(cells) == 2:
            pairs[pair(cells, names, path, number)] = None
        else:
            raise BadInput(f"{path}: line {number} has {len(cells)} names; give a gene, or a,b")
    return list(genes), list(pairs)


def read_cost(path: str, names: Place) -> tuple[dict[str, float], dict[tuple[str, str], float]]:
    """Prices of perturbations (gene,cost), which all need one, or of pairs (a,b,cost)."""
    genes: dict[str, float] = {}
    pairs: dict[tuple[str, str], float] = {}
    for number, cells in headless(path):
        if len(cells) not in (2, 3):
            raise BadInput(f"{path}: line {number} is neither gene,cost nor a,b,cost")
        price = value(cells[-1], path, number)
        if price < 0:
            raise BadInput(f"{path}: line {number}: {cells[-1]} is a negative price; correct it")
        if len(cells) == 3:
            pairs[pair(cells[:2], names, path, number)] = price
        else:
            known(cells[0], names, path, number)
            genes[cells[0]] = price
    absent = [name for name in names if name not in genes]
    if genes and absent:
        raise BadInput(
            f"{path}: has no price of {listed(absent)} ({len(absent):,} of {len(names):,}); give "
            "every gene one"
        )
    return genes, pairs


def table(path: str, width: int, form: str) -> list[Line]:
    """The rows, all of the same width."""
    rows = headless(path)
    for number, cells in rows:
        if len(cells) != width or not all(cells):
            raise BadInput(f"{path}: line {number} is {short(','.join(cells))}, not {form}")
    return rows


def headless(path: str) -> list[Line]:
    """The rows without a title: a first line that begins as one does, or whose number is a word."""
    rows = lines(path)
    first = [cell.lower() for cell in rows[0][1]] if rows else []
    if first and first[0] in FIRST:
        return rows[1:]
    if first and rows[1:] and not is_number(first[-1]) and is_number(rows[1][1][-1]):
        return rows[1:]
    return rows


def lines(path: str) -> list[Line]:
    """The lines that hold something, cut into cells without blanks around them."""
    sheet = open_sheet(path)
    if sheet.frame is not None:
        cells = [list(sheet.header), *map(list, sheet.frame.rows())]
        return [
            (number, ["" if cell is None else str(cell).strip() for cell in row])
            for number, row in enumerate(cells)
        ]
    text = decode(sheet.source, sheet.data).splitlines()
    # the first line may be a single name, and say nothing of what separates two
    widest = max(text, key=lambda line: max(map(line.count, ",;\t")), default="")
    separator = find_separator(widest, Path(path.removesuffix(".gz")).suffix)
    rows = ((number, cut(line, separator)) for number, line in enumerate(text, 1))
    found = [(n, cells) for n, cells in rows if any(cells) and not cells[0].startswith("#")]
    if not found:
        raise BadInput(f"{path}: holds no names; write a name a line")
    return found


def cut(line: str, separator: str) -> list[str]:
    """The cells of a line; blanks separate as one."""
    if separator == " ":
        return line.split()
    return [cell.strip() for cell in next(csv.reader([line], delimiter=separator), [])]


def pair(cells: Sequence[str], names: Place, path: str, number: int) -> tuple[str, str]:
    """Two known names, the smaller first."""
    for name in cells:
        known(name, names, path, number)
    if cells[0] == cells[1]:
        raise BadInput(f"{path}: line {number} pairs {cells[0]!r} with itself; give two genes")
    return min(cells), max(cells)


def known(name: str, names: Place, path: str, number: int) -> None:
    """BadInput for a name that the campaign does not have."""
    if name not in names:
        raise BadInput(unknown(f"{path}: line {number}", name, names))


def unknown(place: str, name: str, names: Iterable[str]) -> str:
    """What to say of a name that is not one of ours."""
    every = list(names)
    near = did_you_mean(name, every) or did_you_mean(name.upper(), every)
    hint = near or f"; the genes are {listed(every)}"
    return f"{place}: {short(name)} is not one of the {len(every):,} genes of the campaign{hint}"


def value(text: str, path: str, number: int) -> float:
    """A finite number."""
    try:
        found = float(text)
    except ValueError:
        found = float("nan")
    if not abs(found) < float("inf"):
        raise BadInput(f"{path}: line {number}: {short(text)} is not a number; correct it")
    return found
