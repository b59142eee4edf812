"""Completion as the shells run it: what is offered where, and files where nothing is."""

import shutil
import subprocess

import pytest

from epistax import cli
from epistax.distributed import completion
from epistax.distributed.flags import specs
from epistax.distributed.options import VERBS
from epistax.distributed.options.score import TESTS

CASES = [
    ("disc", ["discover"]),
    ("effects ", ["fit", "predict", "benchmark", "discover"]),
    ("effects fit --mode", ["--model"]),
    ("discover p.csv --policy gr", ["greedy"]),
    ("discover --policy ids --policy uc", ["ucb"]),
    ("effects discover --acq", ["--acquisition"]),
    ("discover --acq", []),
    ("simulate cell", ["cells"]),
    ("bench com", ["compare"]),
    ("bench moments --devi", ["--device"]),
    ("bench compare --ga", ["--gate"]),
    ("score --out ", []),  # files
    ("score --seed ", []),
    ("score scr", []),
    ("nosuch --te", []),
]


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("completion")
    for name, made in completion.SHELLS.items():
        (folder / name).write_text(made(VERBS))
    return folder


def offered(script, words):
    """What bash offers at the end of these words; readline has broken them."""
    if shutil.which("bash") is None:
        pytest.skip("no bash")
    quoted = " ".join(f"'{word}'" for word in words)
    code = (
        f'source "{script}"; complete -p epistax; COMP_WORDS=({quoted}); '
        f"COMP_CWORD={len(words) - 1}; _epistax; "
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
    first, *rest = done.stdout.splitlines()
    assert first == "complete -o default -F _epistax epistax" and not done.stderr
    return [word for word in rest if word]


@pytest.mark.parametrize("line, want", CASES)
def test_bash_offers(line, want, scripts):
    assert offered(scripts / "bash", ["epistax", *line.split(" ")]) == want


def test_bash_offers_every_verb_and_every_option(scripts):
    assert set(offered(scripts / "bash", ["epistax", ""])) == {
        *(name.split()[0] for name in VERBS), "--help", "--version",
    }  # fmt: skip
    for name in ("score", "campaign new"):
        flags = {s.shown for s in specs(VERBS[name]).values() if not s.flag.positional}
        found = offered(scripts / "bash", ["epistax", *name.split(), "-"])
        assert set(found) == flags | {"--help"} and len(found) == len(set(found))


def test_bash_is_given_what_follows_the_last_colon(scripts):
    words = ["epistax", "score", "x", "--test", "severity", ":", "m"]
    assert offered(scripts / "bash", words) == ["min", "max"]
    words = ["epistax", "score", "x", "--test", "=", "severity"]
    assert offered(scripts / "bash", words) == [t for t in TESTS if t.startswith("severity")]


@pytest.mark.parametrize("line, want", CASES)
def test_fish_offers(line, want, scripts):
    if shutil.which("fish") is None:
        pytest.skip("no fish")
    code = f"source {scripts / 'fish'}; complete -C 'epistax {line}'"
    done = subprocess.run(["fish", "-N", "-c", code], capture_output=True, text=True, check=True)
    found = [row.partition("\t")[0] for row in done.stdout.splitlines()]
    if want:
        assert set(want) <= set(found) and not done.stderr
        assert all(w.startswith(line.split(" ")[-1]) for w in found)
    else:
        assert not set(found) & {*VERBS, *TESTS}


def test_zsh_can_read_its_script(scripts):
    if shutil.which("zsh") is None:
        pytest.skip("no zsh")
    code = f"source {scripts / 'zsh'}; print $_comps[epistax]"
    done = subprocess.run(["zsh", "-fc", code], capture_output=True, text=True, check=True)
    assert "_bash_complete" in done.stdout and "_epistax" in done.stdout


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_the_verb_prints_the_script_and_nothing_else(shell, scripts, capsys):
    assert cli.main(["completion", shell]) == 0
    out, err = capsys.readouterr()
    assert out.rstrip() == (scripts / shell).read_text().rstrip() and not err
    assert cli.main(["completion", "csh"]) == 2
    assert "'csh' is not one of bash, zsh, fish" in capsys.readouterr().err
