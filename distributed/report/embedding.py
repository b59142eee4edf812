"""What an embedding is and what it gains, in words: for the terminal and for the report."""

from collections.abc import Iterator, Mapping
from typing import Any

FIGURES = {"auroc": "AUROC", "average_precision": "AP", "recall": "recall"}


def made(entry: Mapping[str, Any]) -> str:
    """What tests saw in place of the features."""
    if entry["kind"] == "pca":
        return f"{entry['features']:,} principal components, {entry['share']:.1%} of the variance"
    left = entry["left"]
    text = (
        f"{entry['features']:,} features of a classifier of {entry['classes']:,} classes, right "
        f"for {entry['accuracy']:.1%} of {entry['held_out']:,} held-out observations, classes "
        f"counting alike (chance {entry['chance']:.1%})"
    )
    return text + (f"; {left:,} more in too few wells to be learned" if left else "")


def gains(entry: Mapping[str, Any]) -> Iterator[tuple[str, str, str, float | None, float | None]]:
    """Test, relation, figure, and its value on the embedding and on components of the input."""
    for test, both in entry.get("tests", {}).items():
        for relation, plain in both["components"].items():
            learned = both["embedding"].get(relation, {})
            for key, name in FIGURES.items():
                if key in plain or key in learned:
                    yield test, relation, name, learned.get(key), plain.get(key)


def lines(entry: Mapping[str, Any]) -> Iterator[str]:
    """A line on the embedding, and one a test of the area by the first that it is judged by."""
    yield f"embedding: {made(entry)}"
    seen: set[str] = set()
    for test, relation, name, learned, plain in gains(entry):
        if name == "AUROC" and test not in seen and learned is not None and plain is not None:
            seen.add(test)
            yield (
                f"{test}: AUROC {learned:.3f} on it against {relation}, {plain:.3f} on "
                f"{entry['components']:,} principal components of the input"
            )
