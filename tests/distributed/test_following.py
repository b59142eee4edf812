"""The next step: a command that parses, of the figures of the run, never in JSON."""

import json
import shlex

import numpy as np
import polars as pl
import pytest

from epistax import cli
from epistax.distributed import flags, following
from epistax.distributed.options import VERBS

SILENT = ("simulate", "score", "campaign new", "campaign propose", "campaign record",
          "campaign status", "submit", "bench", "bench compare", "completion")  # fmt: skip
AREAS = {name: {"area_under_discovery_curve": {"mean": v}} for name, v in
         {"random": 0.5, "ids": 0.9, "ucb": 0.8}.items()}  # fmt: skip
ERROR = {"mean": 0.4}
SUMMARIES = {
    "check": {"files": [{"kind": "screen (npz)", "source": "my screen.npz"}]},
    "rank": {"ranked": "run/ranked.parquet"},
    "discover": {"policies": AREAS, "batch": 7},
    "effects benchmark": {
        "models": {
            "linear": {"80": {"rmse": {"mean": 0.5}}, "160": {"rmse": ERROR}},
            "naiad": {"80": {"rmse": {"mean": 0.3}}},
        }
    },
    "causal benchmark": {
        "models": {
            "vae": {"reconstruction": ERROR},
            "environment": {"reconstruction": {"mean": 0.2}},
            "structured": {"reconstruction": None},
        }
    },
    "response refine": {"graph": "run/graph.csv"},
    "status": {"state": "finished"},
    "verify": {"bad": []},
    "report": {"report": "run/report.html"},
}


def options(verb):
    """Of the verb's own example."""
    words = shlex.split(VERBS[verb].example.split(" > ")[0])[1:]
    return cli.parse(VERBS[verb], cli.split(words)[1])


def test_every_verb_has_a_next_step_or_its_own_line():
    assert set(following.STEPS) == set(VERBS) - set(SILENT)


@pytest.mark.parametrize("verb", following.STEPS)
def test_the_next_step_is_one_line_and_its_command_parses(verb):
    line = following.next_step(options(verb), SUMMARIES.get(verb, {}))
    assert line.startswith("next: ") and "\n" not in line
    words = shlex.split(line[line.find("epistax ") :])[1:]
    if line.endswith("--help"):
        assert " ".join(words[:2]) in VERBS
    elif verb != "report":
        name, rest = cli.split(words)
        assert isinstance(cli.parse(VERBS[name], rest), VERBS[name])


@pytest.mark.parametrize(
    "verb, want",
    [
        ("check", "next: epistax score 'my screen.npz' --known complexes.txt --out DIR"),
        ("discover", "next: epistax campaign new DIR --genes FILE --policy ids --batch 7"),
        ("effects benchmark", "next: epistax effects fit pairs.csv --model naiad --out DIR"),
        ("causal benchmark", "next: epistax causal fit l1000.h5ad --model environment --out DIR"),
    ],
)
def test_the_figures_decide(verb, want):
    assert following.next_step(options(verb), SUMMARIES[verb]) == want


def test_nothing_is_advised_where_there_is_nothing_to_say():
    assert following.next_step(options("score"), {}) == ""
    assert following.next_step(options("verify"), {"bad": [{"file": "x", "why": "y"}]}) == ""
    assert following.next_step(options("status"), {"state": "running"}) == ""
    assert following.next_step(options("discover"), {"policies": {}}.items()) == ""
    assert following.next_step(options("discover"), {"of": "an older run"}) == ""


@pytest.mark.parametrize("pairs, verb", [(40, "discover"), (20, "campaign new")])
def test_a_table_that_lacks_most_pairs_goes_on_as_a_campaign(tmp_path, capsys, pairs, verb):
    path = tmp_path / "pairs.csv"
    i, j = np.triu_indices(10, 1)
    frame = pl.DataFrame({"a": [f"G{k}" for k in i], "b": [f"G{k}" for k in j],
                          "score": np.sin(np.arange(45.0))})[:pairs]  # fmt: skip
    frame.write_csv(path)
    assert cli.main(["check", str(path)]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith(f"next: epistax {verb} ") and str(path) in line
    if verb == "campaign new":
        words = shlex.split(line.removeprefix("next: epistax "))
        words[words.index("DIR")] = str(tmp_path / "screen")
        assert cli.main([*words, "--batch", "4"]) == 0
        assert f"now: {pairs} of 45 pairs measured" in capsys.readouterr().out


def test_how_the_file_was_read_is_carried_over_and_json_has_none_of_it(tmp_path, capsys):
    path = tmp_path / "pairs.csv"
    frame = pl.DataFrame({"one": ["A", "A", "B"], "two": ["B", "C", "C"], "s": [0.1, 0.2, 0.3]})
    frame.write_csv(path)
    assert cli.main(["check", str(path), "--columns", "one,two,s", "--sep", "|"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f"next: epistax discover {path} --") and last.endswith("--out DIR")
    assert "--columns one,two,s" in last and "--sep '|'" in last
    assert cli.main(["check", str(path), "--columns", "one,two,s", "--json"]) == 0
    out, err = capsys.readouterr()
    assert "next" not in json.loads(out) and "next:" not in err


def test_words_of_options_parse_to_the_same_options():
    given = {"pairs": "a b.csv", "at": (0.1, 0.25), "lam": 0.5, "policy": ("ids", "ucb"),
             "force": True, "out": "o", "seed": 0, "batch": None}  # fmt: skip
    words = flags.asked(flags.specs(VERBS["discover"]), given)
    made = cli.parse(VERBS["discover"], words)
    assert {name: getattr(made, name) for name in given} == given
    assert "--seed" not in words and "--batch" not in words
