"""`epistax export RUN_DIR --to SHAPE --out FILE`: the results of a run as another tool's file.

Which shapes there are depends on the verb of the run; nothing is computed again.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from epistax.distributed import atomic
from epistax.distributed.annotated import annotated
from epistax.distributed.errors import BadInput
from epistax.distributed.formats.batchie import write_batchie
from epistax.distributed.formats.combined import Combined, write_naiad
from epistax.distributed.formats.gimap import write_gimap
from epistax.distributed.formats.h5ad import packed
from epistax.distributed.formats.mageck import write_mageck
from epistax.distributed.options import Export
from epistax.distributed.outcomes import combined, genes
from epistax.distributed.predictedcells import NAMES, predicted_cells
from epistax.distributed.report.sections import runs
from epistax.distributed.report.sections.runs import Run
from epistax.distributed.rundir import read_record

SHAPES = {
    "score": ("anndata", "naiad", "batchie", "gimap", "mageck"),
    "rank": ("anndata", "naiad"),
    "effects fit": ("anndata", "naiad", "batchie", "gimap", "mageck"),
    "effects predict": ("anndata", "naiad", "gimap", "mageck"),
    "response fit": ("anndata",),
    "response predict": ("anndata", *NAMES),
    "causal fit": ("anndata",),
    "causal predict": ("anndata",),
}
TABLES: dict[str, Callable[[Combined], bytes]] = {
    "naiad": write_naiad,
    "batchie": write_batchie,
    "gimap": write_gimap,
    "mageck": write_mageck,
}


def run(options: Export) -> dict[str, Any]:
    """Read the run, make the file, put it where nothing is."""
    found = read(Path(options.directory))
    if options.to not in SHAPES[found.verb]:
        has = ", ".join(SHAPES[found.verb])
        raise BadInput(f"--to: a run of {found.verb} has no {options.to}; it has {has}")
    for flag, given, need in (("--data", options.data, options.to == "anndata"),
                              ("--test", options.test, options.to in TABLES)):  # fmt: skip
        if given is not None and not need:
            raise BadInput(f"{flag}: says nothing to {options.to}; leave it out")
    path = target(options)
    facts, content = make(found, options)
    if options.force:
        atomic.replace(path, content)
    elif not atomic.publish(path, content):
        raise BadInput(f"--out: {path} exists; --force replaces it")
    return {"file": str(path), "shape": options.to, "verb": found.verb, **facts}


def make(found: Run, options: Export) -> tuple[dict[str, Any], bytes]:
    """The content of the file, and how much it holds."""
    if options.to in TABLES:
        pairs = combined(found, options.test)
        held = genes(pairs) if (options.to, found.verb) == ("mageck", "effects fit") else pairs
        facts = {"rows": len(held.score), "singles": len(pairs.singles), "left_out": pairs.lacking}
        return facts, TABLES[options.to](held)
    if options.to == "anndata":
        data = annotated(found, options.data)
    else:
        data = predicted_cells(found, options.to)
    return {"observations": data.n_obs, "features": data.n_vars}, packed(data)


def read(directory: Path) -> Run:
    """A finished run of a verb with something to write."""
    if not directory.is_dir():
        there = "is a file; name its run directory" if directory.exists() else "no such directory"
        raise BadInput(f"{directory}: {there}")
    record = read_record(directory)
    if record is None:
        raise BadInput(f"{directory}: is not a run directory; name one that holds run.json")
    if record["verb"] not in SHAPES:
        raise BadInput(f"{directory}: is a run of {record['verb']}; export takes those of "
                       f"{', '.join(SHAPES)}")  # fmt: skip
    return runs.read(directory, record)


def target(options: Export) -> Path:
    """Where the file goes. BadInput for what is in the way."""
    path = Path(options.out)
    if path.is_dir():
        raise BadInput(f"--out: {path} is a directory; name a file")
    if not path.parent.is_dir():
        raise BadInput(f"--out: {path.parent} is no directory; make it first")
    if options.data is not None and path.exists() and path.samefile(options.data):
        raise BadInput(f"--out: {path} is the input; name another file")
    if path.exists() and not options.force:
        raise BadInput(f"--out: {path} exists; --force replaces it")
    return path


def describe(summary: Mapping[str, Any]) -> str:
    """What the file holds."""
    if "rows" in summary:
        held = f"{summary['rows']:,} rows"
        if summary["singles"] and summary["shape"] != "mageck":
            held += f", {summary['singles']:,} single effects"
    else:
        held = f"{summary['observations']:,} observations, {summary['features']:,} features"
    left = summary.get("left_out")
    lines = [f"left out: {left:,} pairs without a score"] if left else []
    return "\n".join([*lines, f"{summary['shape']} of {summary['verb']}: {held}",
                      f"file: {summary['file']}"])  # fmt: skip
