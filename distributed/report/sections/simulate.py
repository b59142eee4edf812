"""What a simulate run made."""

from pathlib import Path

from epistax.distributed.report.sections.blocks import Block, Section, Table, Text, number
from epistax.distributed.report.sections.known import pathways
from epistax.distributed.report.sections.runs import Run

FILES = ("data", "truth", "known")  # entries of the summary that are paths


def section(run: Run) -> Section:
    """Counts, files and, of a morphology screen, the pathways."""
    summary = run.summary
    files = [summary[key] for key in FILES if key in summary]
    flat = [str(f) for entry in files for f in (entry if isinstance(entry, list) else [entry])]
    kind = summary.get("kind", run.record["options"].get("kind", ""))
    blocks: list[Block] = [
        Text(f"Simulated, so that the truth is known: {kind}. Files: {', '.join(flat)}.")
    ]
    counts = {
        name: entry
        for name, entry in summary.items()
        if isinstance(entry, int | float) and not isinstance(entry, bool)
    }
    rows = tuple((name.replace("_", " "), number(value, 4)) for name, value in counts.items())
    if rows:
        blocks.append(Table("What was made", ("", "count"), rows))
    blocks += genes(run.path / "genes.parquet")
    return Section("Simulated screen", tuple(blocks))


def genes(path: Path) -> list[Block]:
    """Pathways and their genes, where there are any."""
    groups: dict[str, list[str]] = {}
    for gene, pathway in pathways(path).items():
        groups.setdefault(pathway, []).append(gene)
    rows = tuple((name, ", ".join(g[:30]) + (", …" if len(g) > 30 else ""), f"{len(g):,}")
                 for name, g in groups.items())  # fmt: skip
    return [Table("Pathways", ("pathway", "genes", "count"), rows, names=2)] if rows else []
