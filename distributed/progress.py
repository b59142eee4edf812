"""How far a verb has come, on stderr: a bar on a terminal, a line every few seconds elsewhere."""

import contextlib
import sys
import time
from types import TracebackType
from typing import Any, TextIO


class Progress:
    """A count towards a total; silent with quiet. Use as a context manager.

    with Progress("discover", quiet=options.quiet) as progress:
        progress.start(total)
        progress.advance(note="ids, seed 3")
    """

    def __init__(
        self,
        title: str,
        *,
        quiet: bool = False,
        every: float = 3.0,
        stream: TextIO | None = None,
    ) -> None:
        """Nothing is shown before `start`."""
        self.title, self.quiet, self.every = title, quiet, every
        self.stream = sys.stderr if stream is None else stream
        self.total, self.done, self.fresh = 0, 0, 0
        self.text = ""
        self.started = self.shown = time.monotonic()
        self.bar: Any = None

    def start(self, total: int, *, done: int = 0) -> None:
        """Set the total; done counts what an earlier run left and takes no part in the rate."""
        self.total, self.done, self.fresh = total, done, 0
        self.started = self.shown = time.monotonic()
        if not self.quiet and self.stream.isatty():
            self.bar = self.bar or terminal_bar(self.stream)
            self.task = self.bar.add_task(self.title, total=total, completed=done, rate="", note="")

    def advance(self, count: int = 1, *, note: str = "") -> None:
        """Count what is finished."""
        self.done += count
        self.fresh += count
        self.note(note or self.text)

    def note(self, text: str) -> None:
        """Say what is being worked on, between two counts."""
        self.text = text
        if self.bar is not None:
            self.bar.update(self.task, completed=self.done, rate=self.rate(), note=text)
        elif time.monotonic() - self.shown >= self.every:
            self.line()

    def say(self, message: str) -> None:
        """One line that stays."""
        if self.quiet:
            return
        if self.bar is not None:
            self.bar.console.print(f"{self.title}: {message}", markup=False, highlight=False)
        else:
            # a signal handler may speak while a line is being written: losing that line is no harm
            with contextlib.suppress(RuntimeError):
                print(f"{self.title}: {message}", file=self.stream, flush=True)

    def line(self) -> None:
        """The plain form of the bar."""
        self.shown = time.monotonic()
        parts = [f"{self.done} of {self.total}"] if self.total else []
        if self.fresh:
            left = (self.total - self.done) * self.seconds() / self.fresh
            parts += [self.rate(), f"{clock(left)} left"]
        else:
            parts.append(clock(self.seconds()))
        self.say(", ".join(parts + [self.text] * bool(self.text)))

    def rate(self) -> str:
        """What this process does a second."""
        return f"{self.fresh / self.seconds():.3g}/s" if self.fresh else ""

    def seconds(self) -> float:
        """Time since `start`."""
        return max(time.monotonic() - self.started, 1e-9)

    def __enter__(self) -> "Progress":
        """Nothing to do: the bar comes with `start`."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the terminal back; the last count stays on it."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
        elif self.fresh and self.shown > self.started:
            self.line()  # the run was long enough for lines: end on the last count


def terminal_bar(stream: TextIO) -> Any:
    """Bar, count, rate, time left and what is left of the line for the note; started."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar
    from rich.table import Column

    def whole() -> Column:
        return Column(no_wrap=True)

    bar = Bar(
        TextColumn("{task.description}", table_column=whole()),
        BarColumn(bar_width=12, table_column=whole()),
        MofNCompleteColumn(table_column=whole()),
        TextColumn("{task.fields[rate]}", table_column=whole()),
        TimeRemainingColumn(table_column=whole()),
        TextColumn("{task.fields[note]}", table_column=Column(no_wrap=True, ratio=1)),
        console=Console(file=stream),
        expand=True,
    )
    bar.start()
    return bar


def clock(seconds: float) -> str:
    """Seconds as 42 s, 3:05 or 2:03:05."""
    whole = int(round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
