"""The bar on a terminal: the count, the rate and the time left stay whole, the note gives way."""

import io
from typing import TextIO

import pytest

from epistax.distributed import progress as module

NOTE = "ids-clusters, seed 3: round 21 of 49, 96.8% of the top found"


class Terminal(io.StringIO, TextIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("width", [80, 160])
def test_the_bar_fits_the_terminal(width, monkeypatch):
    from rich.console import Console

    monkeypatch.setattr("sys.stderr", Terminal())
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(module.Progress, "rate", lambda self: "0.0914/s")
    with module.Progress("effects benchmark") as progress:
        progress.start(12_345, done=10)
        progress.advance(500, note=NOTE)
        console = Console(width=width, file=io.StringIO(), force_terminal=True, color_system=None)
        console.print(progress.bar.get_renderable())
    (line,) = console.file.getvalue().splitlines()
    assert len(line) == width
    for text in ("effects benchmark ", " 510/12345 ", " 0.0914/s ", " -:--:-- "):
        assert text in line
    assert (NOTE in line) == (width == 160) and NOTE[:12] in line
