"""How long a piece of work took, and how much of that went into compiling programs."""

import functools
import time
from dataclasses import dataclass, field

import jax


@dataclass
class Stopwatch:
    """Use as a context manager; seconds are without those of compiling."""

    seconds: float = 0.0
    compiling: float = 0.0
    spans: list[tuple[float, float]] = field(default_factory=list)

    def __enter__(self) -> "Stopwatch":
        """Start."""
        listening().append(self.spans)
        self.began = time.monotonic()
        return self

    def __exit__(self, *error: object) -> None:
        """Stop."""
        whole = time.monotonic() - self.began
        listening().remove(self.spans)
        self.compiling = min(whole, union(self.spans))
        self.seconds = whole - self.compiling


@functools.cache
def listening() -> list[list[tuple[float, float]]]:
    """Where the times of compiling go; jax is asked to tell them once."""
    ears: list[list[tuple[float, float]]] = []

    def told(event: str, seconds: float, **about: object) -> None:
        if event.startswith("/jax/core/compile/"):
            now = time.monotonic()
            for spans in ears:
                spans.append((now - seconds, now))

    jax.monitoring.register_event_duration_secs_listener(told)
    return ears


def union(spans: list[tuple[float, float]]) -> float:
    """Length of what the spans cover: one program is traced while another is."""
    total, end = 0.0, float("-inf")
    for first, last in sorted(spans):
        total += max(0.0, last - max(first, end))
        end = max(end, last)
    return total
