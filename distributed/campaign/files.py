"""The files of a campaign: their names, the seal that tells damage, and what is there to read.

    campaign.json                     what was decided at the start; never changes
    genes.txt                         the perturbations, a name a line, sorted
    side.npz                          what is known of them beforehand, if anything
    rounds/NNNN/proposal.json         a round: its pairs, why, and which results it knew
    rounds/NNNN/proposed.csv          the same for the laboratory
    rounds/NNNN/belief.npz            what was believed then: where the next round starts from
    results/NNNN-HASH.csv             results as they were given, byte for byte
    results/NNNN-HASH.json            what was read from them
    draws/                            while workers make draws for a round; nothing that counts
    report.html, LOCK

Every .json ends with the sha256 of what stands before, and holds that of the files beside it. It
is published last, so a round or a result is there with its .json or not at all; proposed.csv is
made from proposal.json, by the next command if a kill came between. Nothing that is published is
written again. No file holds a time or a host: the same commands make the same bytes.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from epistax.distributed import atomic
from epistax.distributed.errors import BadInput
from epistax.distributed.record import dumps
from epistax.distributed.rundir import lock

RECORD, GENES, SIDE, REPORT = "campaign.json", "genes.txt", "side.npz", "report.html"
ROUNDS, RESULTS = "rounds", "results"
PROPOSAL, PROPOSED, BELIEF = "proposal.json", "proposed.csv", "belief.npz"


@dataclass(frozen=True)
class Fault:
    """A file that is not as it was written: which, and what to do."""

    path: Path
    problem: str
    remedy: str
    fatal: bool  # no round can be proposed and nothing recorded until it is mended

    def __str__(self) -> str:
        return f"{self.path} {self.problem}: {self.remedy}"


@dataclass(frozen=True)
class Campaign:
    """All that the files of a campaign say."""

    path: Path
    record: Mapping[str, Any]
    names: tuple[str, ...]
    proposals: tuple[Mapping[str, Any], ...]  # by round
    results: tuple[Mapping[str, Any], ...]  # by number
    faults: tuple[Fault, ...]

    @property
    def key(self) -> str:
        """What tells this campaign from others."""
        return str(self.record["campaign"])

    @property
    def fresh(self) -> bool:
        """Whether there are results that the last proposal did not know."""
        known = self.proposals[-1]["results"] if self.proposals else []
        return len(known) < len(self.results)

    def round(self, number: int) -> Path:
        """The folder of a round."""
        return self.path / ROUNDS / f"{number:04d}"

    def sound(self) -> "Campaign":
        """The same; BadInput where a file that everything builds on is damaged."""
        fatal = [fault for fault in self.faults if fault.fatal]
        if fatal:
            more = f" ({len(fatal) - 1:,} more: epistax campaign status)" if len(fatal) > 1 else ""
            raise BadInput(f"{fatal[0]}{more}")
        return self


def seal(record: Mapping[str, Any]) -> bytes:
    """A record as JSON, a line an entry, ending in the hash of the lines before."""
    lines = [f"{dumps(name)}: {dumps(value, indent=None)}" for name, value in record.items()]
    digest = sha256("\n".join(lines).encode())
    return ("{\n" + ",\n".join([*lines, f'"sha256": "{digest}"']) + "\n}\n").encode()


def unseal(path: Path) -> dict[str, Any] | None:
    """The record of a file; None where it is not as `seal` wrote it."""
    try:
        data = path.read_bytes()
        record = json.loads(data)
        record.pop("sha256")
        return record if seal(record) == data else None
    except (OSError, ValueError, AttributeError, KeyError, TypeError, RecursionError):
        return None


def plainly(value: Any) -> Any:
    """The value as it comes back from a file."""
    return json.loads(dumps(value))


def sha256(data: bytes) -> str:
    """The content's hash."""
    return hashlib.sha256(data).hexdigest()


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    """Rows of text as csv."""
    return "".join(",".join(map(cell, line)) + "\n" for line in (columns, *rows)).encode()


def cell(text: str) -> str:
    """A cell of a csv, quoted where it must be."""
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\n\r') else text


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """The campaign for one writer; leftovers of writers that died are removed."""
    with lock(path, "DIR: "):
        for folder in (path, path / RESULTS, *(path / ROUNDS).glob("*")):
            if folder.is_dir():
                atomic.sweep(folder)
        yield


def read(path: Path) -> Campaign:
    """A campaign from its files. BadInput where there is none, or its beginning is damaged."""
    if not (path / RECORD).is_file():
        raise BadInput(
            f"{path}: is no campaign, it has no {RECORD}; begin one with epistax campaign new"
        )
    record = unseal(path / RECORD)
    if record is None:
        raise BadInput(f"{path / RECORD} is damaged: restore it from a copy")
    if content(path / GENES) != record["genes"]["sha256"]:
        raise BadInput(
            f"{path / GENES} is not the list that the campaign began with: restore it from a copy, "
            "or begin another campaign for another list"
        )
    if record["side"] and content(path / SIDE) != record["side"]["sha256"]:
        raise BadInput(f"{path / SIDE} is not what the campaign began with: restore it from a copy")
    faults: list[Fault] = []
    results = tuple(read_results(path / RESULTS, faults))
    proposals = tuple(read_proposals(path / ROUNDS, faults))
    there = {entry["id"] for entry in results}
    lost = sorted({name for p in proposals for name in p["results"]} - there)
    known = {fault.path.stem for fault in faults if fault.fatal}
    faults += [
        Fault(path / RESULTS / f"{name}.json", "is gone", "restore it from a copy", True)
        for name in lost
        if name not in known
    ]
    names = tuple((path / GENES).read_text(encoding="utf-8").split("\n")[:-1])
    return Campaign(path, record, names, proposals, results, tuple(faults))


def content(path: Path) -> str:
    """The hash of a file; of nothing where it cannot be read."""
    try:
        return sha256(path.read_bytes())
    except OSError:
        return sha256(b"")


def read_results(folder: Path, faults: list[Fault]) -> Iterator[dict[str, Any]]:
    """What was recorded, by number; faults are added to the list."""
    stems = {p.name.split(".")[0] for p in folder.glob("[0-9]*-*")} if folder.is_dir() else set()
    for stem in sorted(stems, key=lambda name: (int(name.split("-")[0]), name)):
        record = unseal(folder / f"{stem}.json")
        given = [p for p in folder.glob(f"{stem}.*") if p.suffix != ".json"]
        if record is None:
            if (folder / f"{stem}.json").exists():
                remedy = "restore it from a copy"
                if given:
                    again = f"epistax campaign record {folder.parent} {given[0]}"
                    remedy += f", or delete it and run {again}"
                faults.append(Fault(folder / f"{stem}.json", "is damaged", remedy, True))
            else:
                remedy = f"epistax campaign record {folder.parent} {given[0]}, or delete it"
                faults.append(Fault(given[0], "was not recorded to the end", remedy, False))
            continue
        path = folder / record["file"]
        if not path.is_file() or sha256(path.read_bytes()) != record["content"]:
            problem = "is damaged" if path.exists() else "is gone"
            kept = f"restore it from a copy (what was read from it is kept in {stem}.json)"
            faults.append(Fault(path, problem, kept, False))
        yield record


def read_proposals(folder: Path, faults: list[Fault]) -> Iterator[dict[str, Any]]:
    """The rounds in order; faults are added to the list."""
    places = sorted((int(p.name), p) for p in folder.glob("[0-9]*")) if folder.is_dir() else []
    whole = [number for number, path in places if (path / PROPOSAL).exists()]
    there = {number for number, _ in places}
    begun = min(whole, default=0)
    for number, path in places:
        if number > max(whole, default=-1):
            continue  # killed before it was there
        record = unseal(path / PROPOSAL)
        if record is None:
            problem = "is damaged" if number in whole else "is gone"
            faults.append(Fault(path / PROPOSAL, problem, "restore it from a copy", True))
            continue
        with contextlib.suppress(FileNotFoundError):  # absent: the next command writes it
            if (path / PROPOSED).read_bytes() != proposed(record):
                remedy = (
                    "if results were filled in, save them under another name and record that; "
                    f"delete it, and epistax campaign propose {folder.parent} writes it again"
                )
                faults.append(Fault(path / PROPOSED, "is damaged or was edited", remedy, False))
        if number == begun and record["after"] is not None:
            begun = record["after"]  # the rounds before it are gone
        # only the last belief is of use: where the next round starts from
        believed = record["belief"] if number == whole[-1] else None
        if believed and not (path / BELIEF).is_file():
            faults.append(Fault(path / BELIEF, "is gone", REFIT, False))
        elif believed and sha256((path / BELIEF).read_bytes()) != believed:
            faults.append(Fault(path / BELIEF, "is damaged", REFIT, False))
        yield record
    faults += [
        Fault(folder / f"{number:04d}", "is gone", "restore it from a copy", True)
        for number in range(begun, max(whole, default=0))
        if number not in there
    ]


REFIT = "nothing is lost, it is fitted again from the results when it is needed"


def proposed(record: Mapping[str, Any]) -> bytes:
    """The proposed.csv of a round."""
    return table(record["columns"], record["rows"])


def mend(campaign: Campaign) -> list[str]:
    """Write what a kill between two files left out; only under the lock. What was written."""
    done = []
    for record in campaign.proposals:
        path = campaign.round(record["round"]) / PROPOSED
        if not path.exists() and atomic.publish(path, proposed(record)):
            done.append(f"{path} was not there: written again")
    return done
