"""What a file probably means, said as a remedy and never acted upon."""

import re
from collections import Counter
from collections.abc import Sequence

CONTROLS = frozenset(
    "mock wt wildtype wild-type untreated unperturbed uninfected untransfected scramble scrambled "
    "safe safe-targeting nt ntc nontargeting non_targeting neg negctrl neg_control luciferase lacz "
    "gfp aavs1 rosa26 empty empty_vector none water".split()
)
SEPARATORS = "_|,;:/&~-."
DATE = re.compile(r"\d{1,2}-(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*", re.IGNORECASE)
ARCHIVES = {
    ".rds": "an R file; write it from R as h5ad or csv",
    ".rdata": "an R file; write it from R as h5ad or csv",
    ".loom": "a loom file; write it as h5ad",
    ".tar": "an archive; unpack it",
    ".tar.gz": "an archive; unpack it",
    ".tgz": "an archive; unpack it",
    ".7z": "an archive; unpack it",
    ".pkl": "a pickle, which may hold code; write it as parquet or h5ad",
    ".pt": "a file of PyTorch, which may hold code; write it as npz or h5ad",
    ".mtx": "a bare matrix; join it with its names and labels in an h5ad file",
}


def control(names: Sequence[str]) -> str:
    """`; 'mock' looks like one: --control mock`, or nothing."""
    found = next((name for name in names if name.casefold() in CONTROLS), None)
    return "" if found is None else f"; {found!r} looks like one: --control {found}"


def separator(names: Sequence[str], sep: str) -> str:
    """`; 'A_B' looks like one: --sep _`, of the sign that splits most names into two others."""
    known, found = set(names), Counter[str]()
    example: dict[str, str] = {}
    for name in names:
        for sign in SEPARATORS:
            parts = name.split(sign)
            if sign != sep and len(parts) == 2 and all(part in known for part in parts):
                found[sign] += 1
                example.setdefault(sign, name)
    if not found:
        return ""
    sign = found.most_common(1)[0][0]
    return f"; {example[sign]!r} looks like one: --sep '{sign}'"


def dates(names: Sequence[str]) -> list[str]:
    """Names that a spreadsheet may have made of genes, such as 1-Mar of MARCHF1."""
    return [name for name in names if DATE.fullmatch(name)]


def absent(path: str) -> str:
    """What a path is where there is no file, with the remedy."""
    if re.match(r"[a-z][a-z0-9+]*://", path.lower()):
        return "is an address; download the file and name it here"
    if re.search(r"[*?]", path):
        return "is a pattern that no file matches; check the path"
    return "no such file; check the path"


def foreign(path: str) -> str:
    """What a file is by its name that no reader takes, with the remedy; or nothing."""
    kinds = sorted(ARCHIVES, key=len, reverse=True)
    kind = next((kind for kind in kinds if path.lower().endswith(kind)), "")
    return f"is {ARCHIVES[kind]}" if kind else ""
