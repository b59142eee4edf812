"""The pages for readers: links lead somewhere, and the commands shown are commands."""

import re
import shlex

import pytest

from epistax import cli
from epistax.distributed.options import VERBS

PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "distributed/verbs/README.md",
    "engine/README.md",
    *(f"benchmarks/results/{name}.md" for name in
      ("README", "pairs", "selection", "effects", "response", "causal", "speed", "faults")),
)  # fmt: skip
LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(text):
    """Names of the headings as GitHub makes them."""
    plain = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    heads = re.findall(r"^#+ (.+)$", plain, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in heads}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(checkout, page):
    path = checkout / page
    text = path.read_text(encoding="utf-8")
    for link in LINK.findall(text):
        if link.startswith("http"):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), f"{page}: {link}"
        assert checkout.resolve() in (target, *target.parents), f"{page}: {link} leaves the project"
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), f"{page}: {link}"


@pytest.mark.parametrize("page", PAGES)
def test_commands_shown_are_commands(checkout, page):
    """Verbs and options exist and take these values; nothing is run."""
    text = (checkout / page).read_text(encoding="utf-8")
    for block in re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words and words[0] == "epistax":
                shell = [n for n, word in enumerate(words) if word in (">", "|", "&&")]
                name, rest = cli.split(words[1 : min(shell, default=None)])
                cli.parse(VERBS[name], rest)


def test_the_guide_has_every_verb(checkout):
    text = (checkout / "distributed/verbs/README.md").read_text(encoding="utf-8")
    assert [v for v in VERBS if not re.search(rf"\b{v.replace(' ', '.{1,80}')}\b", text)] == []
