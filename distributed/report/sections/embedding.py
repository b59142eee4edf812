"""The embedding that tests were run on: how well it was learned, and what it gains."""

from collections.abc import Iterator

from epistax.distributed.report.embedding import gains, made
from epistax.distributed.report.sections.blocks import Block, Heading, Table, Text, fixed
from epistax.distributed.report.sections.runs import Run


def embedding(run: Run) -> Iterator[Block]:
    """A paragraph and, where there is something to judge by, a table; nothing without --embed."""
    entry = run.summary.get("embedding")
    if not entry:
        return
    yield Heading("Embedding")
    yield Text(f"Tests were run on {made(entry)}.")
    rows = [(*names, fixed(learned), fixed(plain)) for *names, learned, plain in gains(entry)]
    if rows:
        head = ("test", "against", "figure", "embedding", "principal components")
        note = f"The same tests on {entry['components']:,} principal components of the input."
        yield Table("What the embedding gains", head, tuple(rows), names=3, note=note)
