"""The report of a run directory, or of a directory of them: one HTML file and its figures.

Made from files only (run.json, summary.json, tables, figures), so that it can be made again at
any time; the same files give the same bytes.
"""

import base64
import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata, resources
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
from jinja2 import Environment, StrictUndefined

from epistax.distributed import atomic
from epistax.distributed.errors import BadInput
from epistax.distributed.report.sections import (
    causal_benchmark,
    causal_fit,
    discover,
    effects_benchmark,
    effects_discover,
    effects_fit,
    facts,
    rank,
    response_benchmark,
    response_fit,
    response_refine,
    runs,
    score,
    simulate,
    svg,
)
from epistax.distributed.report.sections.blocks import Figure, Section, printable
from epistax.distributed.rundir import RunDir

NAME = "report.html"
SCRIPTS = ("page.js", "matrix.js")
SECTIONS = {
    "simulate": simulate.section,
    "score": score.section,
    "rank": rank.section,
    "discover": discover.section,
    "effects fit": effects_fit.section,
    "effects benchmark": effects_benchmark.section,
    "effects discover": effects_discover.section,
    "response fit": response_fit.section,
    "response benchmark": response_benchmark.section,
    "response refine": response_refine.section,
    "causal fit": causal_fit.section,
    "causal benchmark": causal_benchmark.section,
}
# what reading a file of another shape raises, wherever the shape shows
FOREIGN = (ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError,
           pl.exceptions.PolarsError)  # fmt: skip


class Page(NamedTuple):
    """A report, made and not yet written."""

    path: Path
    html: bytes
    figures: dict[Path, bytes]


def finish(run: RunDir, summary: Mapping[str, Any]) -> dict[str, Any]:
    """End a run and make its report, which is made from files: summary.json among them."""
    done = run.finish({**summary, "report": str(run.path / NAME)})
    write(run.path)
    return done


def write(directory: Path) -> Path:
    """Make the report of a finished run, or of the runs below; its path."""
    return save(compose(directory))


def compose(directory: Path) -> Page:
    """Read everything and draw everything; nothing is written."""
    found = runs.find(directory)
    sections = []
    for run in found:
        with readable(run.path):
            sections.append(SECTIONS[run.verb](run))
    repeated = {s.title for s in sections if sum(t.title == s.title for t in sections) > 1}
    sections = [
        Section(f"{s.title} ({run.name})", s.blocks) if s.title in repeated else s
        for run, s in zip(found, sections, strict=True)
    ]
    with readable(directory):
        sections.append(facts.section(found))
    figures: dict[Path, bytes] = {}
    for entry in sections:
        for figure in entry.figures():
            figures |= figure.files()
    return Page(directory / NAME, render(directory, sections), figures)


def publish(directory: Path, sections: Sequence[Section]) -> Path:
    """The page of a directory that is no run, of sections that keep no figures."""
    return save(Page(directory / NAME, render(directory, sections), {}))


def render(directory: Path, sections: Sequence[Section]) -> bytes:
    """The page."""
    title = f"epistax report: {directory.resolve().name}"
    version = metadata.version("epistax")
    html = template().render(
        title=title, sections=sections, inline=inline, version=version, script=script()
    )
    return str(html).encode()


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """Files that a run of ours would not have written are bad input."""
    try:
        yield
    except FOREIGN as error:
        raise BadInput(
            f"{path}: holds a file that is damaged or not as the run wrote it "
            f"({type(error).__name__}: {error}); make the run again"
        ) from error


def save(page: Page) -> Path:
    """Write the figures, then the page."""
    keep({**page.figures, page.path: page.html})
    return page.path


def keep(files: Mapping[Path, bytes]) -> None:
    """Write files in their order, each whole or not at all."""
    try:
        for path, data in files.items():
            if path.parent.name == "figures" and path.parent.is_symlink():
                raise BadInput(f"{path.parent}: leads out of the run directory; remove the link")
            path.parent.mkdir(mode=0o700, exist_ok=True)
            atomic.replace(path, data)
    except OSError as error:
        raise BadInput(f"{error.filename or path}: cannot be written: {error.strerror}") from None


def script() -> dict[str, str]:
    """The page's script and its hash: nothing else may run on the page."""
    text = "\n".join(packaged(name) for name in SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return {"text": text, "hash": f"sha256-{digest}"}


def packaged(name: str) -> str:
    """A file beside this one."""
    return resources.files("epistax.distributed.report").joinpath(name).read_text("utf-8")


def template() -> Any:
    """The page's template; whatever is put in is escaped."""
    return Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=shown,
    ).from_string(packaged("page.html"))


def shown(value: Any) -> Any:
    """What is put into the page, text without characters that have no place there."""
    return type(value)(printable(value)) if isinstance(value, str) else value


def inline(figure: Figure, prefix: str) -> str:
    """A picture's <svg>, its ids told apart by the prefix."""
    return svg.inline(f"figures/{figure.name}.svg", figure.svg, prefix, figure.caption)
