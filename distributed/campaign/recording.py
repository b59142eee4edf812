"""Results into a campaign: read whole, checked whole, then published; the same file once only.

    NNNN-HASH.csv (as given), then NNNN-HASH.json (what was read from it)

The second makes the result count. A copy that a kill left without it is taken up when the same
content is recorded again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from epistax.distributed import atomic
from epistax.distributed.campaign import files, history, results
from epistax.distributed.campaign.files import Campaign
from epistax.distributed.campaign.results import Results
from epistax.distributed.errors import BadInput

SUFFIXES = (".csv", ".tsv", ".txt", ".gz", ".parquet")


@dataclass(frozen=True)
class Given:
    """A file of results, read."""

    name: str  # as the user calls it
    data: bytes
    found: Results

    @property
    def content(self) -> str:
        """The hash of its bytes."""
        return files.sha256(self.data)


def read(path: str, told: Mapping[str, Any], place: Mapping[str, int], *, key: str,
         columns: tuple[str, ...] = ()) -> Given:  # fmt: skip
    """A file of results for the campaign of this key; BadInput for what cannot be used."""
    found = results.read(
        path, columns=columns, key=key, place=place, control=told["control"], sep=told["sep"]
    )
    if Path(path).is_dir():
        raise BadInput(f"{path}: is a folder of parts; give one file")
    return Given(Path(path).name, Path(path).read_bytes(), found)


def same(campaign: Campaign, data: bytes) -> Mapping[str, Any] | None:
    """The result that has this content already."""
    content = files.sha256(data)
    return next((entry for entry in campaign.results if entry["content"] == content), None)


def publish(path: Path, given: Given, entry: Mapping[str, Any]) -> None:
    """The file as it was given, then what was read from it."""
    folder = path / files.RESULTS
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    atomic.publish(folder / entry["file"], given.data)
    atomic.publish(folder / f"{entry['id']}.json", files.seal(entry))


def entry(campaign: Campaign, given: Given, *, replicates: bool) -> dict[str, Any]:
    """The record of a file; without rows where other files hold all of them."""
    found = given.found if replicates else results.new(given.found, campaign.results)
    known = history.known(campaign)
    pairs = {(a, b) for a, b, *_ in found.rows}
    measured = {(a, b) for a, b, score, _ in found.rows if score is not None}
    failed = {(a, b) for a, b, score, _ in found.rows if score is None} - measured
    proposed = {pair for p in campaign.proposals for pair in history.pairs_of(p)}
    return {
        "id": (name := number(campaign.path / files.RESULTS, given.content)),
        "file": name + suffix(given.name),
        "campaign": campaign.key,
        "given": given.name,
        "content": given.content,
        "read": found.read_as,
        "counts": {
            "rows": len(found.rows),
            "measured": len(measured),
            "failed": len(failed - known.measured.keys()),
            "again": len(measured & known.measured.keys()),
            "unproposed": len(pairs - proposed),
            "repeated": found.repeated,
        },
        "left_out": found.left_out,
        "rows": [list(row) for row in found.rows],
    }


def number(folder: Path, content: str) -> str:
    """The next number and the hash; those of a copy of the same content that a kill left."""
    stems = {p.name.split(".")[0] for p in folder.glob("[0-9]*-*")} if folder.is_dir() else set()
    for stem in sorted(stems):
        if stem.endswith(f"-{content[:8]}"):
            return stem
    return f"{max((int(s.split('-')[0]) + 1 for s in stems), default=0):04d}-{content[:8]}"


def suffix(name: str) -> str:
    """The endings of a name by which it is read."""
    ends = [end for end in Path(name).suffixes[-2:] if end.lower() in SUFFIXES]
    return "".join(ends).lower() or ".csv"


def told(record: Mapping[str, Any]) -> list[str]:
    """What a reader should know of a recorded file."""
    counts, lines = record["counts"], []
    if counts["again"]:
        lines.append(f"{counts['again']:,} pairs were measured before: combined")
    if counts["unproposed"]:
        lines.append(f"{counts['unproposed']:,} pairs were proposed in no round: taken too")
    if counts["repeated"]:
        lines.append(
            f"{counts['repeated']:,} rows stand in other files to the last digit: taken for the "
            "same measurements (--replicates: for new ones)"
        )
    lines += [f"not used: {count:,} {reason}" for reason, count in record["left_out"].items()]
    return lines
