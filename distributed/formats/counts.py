"""Read counts of guides, dual or single: a row a construct, a column a sample.

An observation is a construct in a replicate; its features are log2 fold changes from the start,
one for every later time,
    log2((c_end + 0.5) / sum c_end) - log2((c_start + 0.5) / sum c_start),
the sums over all constructs of the sample. The replicate is the batch, the construct the well.
"""

from dataclasses import replace

import numpy as np
import polars as pl

from epistax.distributed.errors import BadInput
from epistax.distributed.formats import gimap
from epistax.distributed.formats.census import Fact, LeftOut
from epistax.distributed.formats.features import pick
from epistax.distributed.formats.longtable import blank_lines, numeric, offered, sample
from epistax.distributed.formats.matrix import numbers
from epistax.distributed.formats.observations import Observations
from epistax.distributed.formats.roles import Held, Roles, choose, find_guides, find_labels
from epistax.distributed.formats.sheets import Sheet, strings
from epistax.distributed.formats.tables import PAIRS
from epistax.distributed.formats.where import listed
from epistax.distributed.options.shared import ScreenOptions

GENES = (("genea", "geneb"), *PAIRS)
PROBES = (("probea", "probeb"), ("probe_a", "probe_b"), ("guide_a", "guide_b"),
          ("grna1_seq", "grna2_seq"))  # fmt: skip
GUIDE = "sgrna"  # beside it, one column of genes will do
REPLICATE, CONSTRUCT = "replicate", "construct"
HALF = 0.5  # added to every count, so that none is zero


def is_counts(sheet: Sheet, options: ScreenOptions) -> bool:
    """Whether samples are named, or genes or a guide stand beside columns of counts alone."""
    if options.start or options.end:
        return True
    if options.features or "score" in sheet.header:
        return False
    held = offered(sheet)
    roles = choose(held, options)
    if len(roles.labels) < 2 and held.known(GUIDE) is None:
        return False
    columns = numeric(sheet, roles)
    if len(columns) < 2:
        return False
    x = numbers(sample(sheet), columns)
    return bool((np.isnan(x) | ((x >= 0) & (x == np.floor(x)))).all())


def read_counts(sheet: Sheet, options: ScreenOptions) -> Observations:
    """Log fold changes of every construct in every replicate."""
    held = offered(sheet)
    genes = tuple(held.named(name, "--label-col") for name in options.label_col)
    genes = genes or held.pair(GENES)
    alone = held.known(GUIDE) is not None  # MAGeCK: a guide a row
    genes = genes or (find_labels(held, ()) if alone else ())
    if len(genes) != 2 and not (alone and genes):
        has = listed([repr(name) for name in sheet.header])
        raise BadInput(
            f"{sheet.source}: counts need two columns of genes; it has {has}: name them with"
            " --label-col A,B"
        )
    both = len(genes) == 2 and not options.guide_col
    probes = held.pair(PROBES) if both else find_guides(held, options.guide_col, len(genes))
    roles = Roles(genes, REPLICATE, None, CONSTRUCT, probes)
    start, end = named_samples(sheet, held, roles, options)
    r = len(start)
    c, text, lines = read_rows(sheet, (*genes, *probes), (*start, *end))
    if len(genes) == 2 and gimap.TYPE in sheet.header:
        sides = gimap.controlled(sheet, lines, [text[name] for name in genes])
        text |= dict(zip(genes, sides, strict=True))
    m = len(c)
    change = fold_changes(sheet.source, c, (*start, *end), r)
    times = pick(sheet.source, end[::r], options.features)
    low = (c[:, :r] < options.min_count).T.ravel()
    absent = np.isnan(change).any(axis=1)
    kept = np.flatnonzero(~low & ~absent)
    columns = {name: column.gather(kept % m) for name, column in text.items()}
    columns[REPLICATE] = pl.Series(start, dtype=pl.String).gather(kept // m)
    columns[CONSTRUCT] = pl.Series(kept % m).cast(pl.String)
    where = sheet.where(genes[0])
    few = f"fewer than {options.min_count:,} reads at the start (--min-count)"
    left = (
        LeftOut("uncounted", int(absent.sum()), "without a count in some sample"),
        LeftOut("few_reads", int((low & ~absent).sum()), few),
    )
    return Observations(
        source=sheet.source,
        kind="screen (read counts)",
        where=replace(where, kept=lines[kept % m]),
        roles=roles,
        columns=columns,
        x=change[np.ix_(kept, times)].astype(np.float32),
        features=tuple(end[k * r] for k in times),
        origin="log2 fold changes",
        nested=False,
        facts=(
            Fact("constructs", "constructs", m, f"in {r} replicates" if r > 1 else ""),
            Fact("replicates", "", r),
        ),
        left_out=tuple(entry for entry in left if entry.count),
    )


def named_samples(
    sheet: Sheet, held: Held, roles: Roles, options: ScreenOptions
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The samples of the start and of later times, as the user named them."""
    start, end = options.start, options.end
    if not start or not end:
        raise BadInput(unnamed(sheet, roles))
    for name in (*start, *end):
        if (*start, *end).count(name) > 1:
            raise BadInput(f"--start, --end: {name} is named twice")
        held.named(name, "--start" if name in start else "--end")
    if len(end) % len(start):
        raise BadInput(
            f"--end: the number of its samples, {len(end)}, is no multiple of the {len(start)} of"
            " --start; give every later time once a replicate"
        )
    return start, end


def read_rows(
    sheet: Sheet, names: tuple[str, ...], samples: tuple[str, ...]
) -> tuple[np.ndarray, dict[str, pl.Series], np.ndarray]:
    """Counts [m, s] and text of the rows, blank lines left aside, and where each row stood."""
    at = [sheet.header.index(name) for name in samples]
    ascending = sorted(at)
    c = numbers(sheet, ascending)[:, [ascending.index(k) for k in at]]
    place = [sheet.header.index(name) for name in names]
    text = dict(zip(names, strings(sheet, place), strict=True))
    lines = np.flatnonzero(~blank_lines(sheet, c, list(text.values())))
    for k, name in enumerate(samples):
        wrong = np.flatnonzero((c[:, k] < 0) | (np.floor(c[:, k]) < c[:, k]))
        if len(wrong):
            value, remedy = f"{c[wrong[0], k]:g}", "give the counts as they were read"
            raise sheet.where(name).fault(wrong, value, "is no number of reads", remedy)
    return c[lines], {name: column.gather(lines) for name, column in text.items()}, lines


def fold_changes(source: str, c: np.ndarray, samples: tuple[str, ...], r: int) -> np.ndarray:
    """Log fold changes [r * m, times] of counts whose first r columns are the start."""
    total = np.nansum(c, axis=0)
    if not total.all():
        name = samples[int(np.flatnonzero(total == 0)[0])]
        raise BadInput(f"{source}: the sample {name!r} has no reads at all; leave it out")
    level = np.log2((c + HALF) / total)
    first, later = level[:, :r], level[:, r:].reshape(len(c), -1, r)  # [m, times, r]
    return (later - first[:, None]).transpose(2, 0, 1).reshape(r * len(c), -1)


def unnamed(sheet: Sheet, roles: Roles) -> str:
    """No samples named: which there are, and how to name them."""
    samples = [sheet.header[k] for k in numeric(sheet, roles)]
    if len(samples) < 2:
        return f"{sheet.source}: has {len(samples)} columns of counts; a screen needs two or more"
    example = f"--start {samples[0]} --end {samples[1]}"
    return (
        f"{sheet.source}: which samples are the start is not told; it has"
        f" {', '.join(map(repr, samples))}: name them, as in {example} (replicates by commas),"
        " or features of another kind with --features"
    )
