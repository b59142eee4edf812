"""The door: what it says, what it returns, and what it does not import to say it."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import types

import pytest

from epistax import cli
from epistax.distributed import options as declared
from epistax.distributed.errors import BadInput, Stopped

HEAVY = ("jax", "numpy", "polars", "ray", "scipy", "rich", "matplotlib")


@pytest.fixture
def verb(monkeypatch):
    """Make `epistax check` run a function of the test instead."""

    def install(run, **extra):
        module = types.ModuleType("epistax.distributed.verbs.check")
        module.run = run
        for name, value in extra.items():
            setattr(module, name, value)
        monkeypatch.setitem(sys.modules, module.__name__, module)

    return install


@pytest.mark.parametrize(
    "words, message",
    [
        ("discover p --out o --batch -5", "discover: --batch: -5 is not a positive number"),
        ("discover p --out o --batch x", "discover: --batch: 'x' is not a whole number"),
        ("discover p --out o --batch 2.5", "discover: --batch: '2.5' is not a whole number"),
        ("discover p --out o --top 0", "discover: --top: 0 is not a fraction above 0 and at most"),
        ("discover p --out o --lam nan", "discover: --lam: 'nan' is not a number"),
        ("discover p --out o --at .1,2", "discover: --at: 2 is not a fraction above 0"),
        (
            "discover p --out o --rank many",
            "discover: --rank: 'many' is not a whole number or auto",
        ),
        (
            "discover p --out o --policy nosuch",
            "discover: --policy: 'nosuch' is not one of ids, ids-argmax",
        ),
        ("discover p --out o --policy gredy", "random (did you mean greedy?)"),
        (
            "discover p --out o --polcy ids",
            "--polcy is not an option here (did you mean --policy?)",
        ),
        ("discover p --out o --pol ids", "discover: --pol is not an option here"),
        ("discover p", "discover: --out is missing: directory for the results"),
        ("discover --out o", "discover: PAIRS is missing: pair table"),
        ("discover p q --out o", "discover: q is not an option here"),
        ("discover p --out", "discover: --out: expected one argument"),
        ("check", "check: FILE is missing"),
        ("simulate cube --out o", "simulate: KIND: 'cube' is not one of matrix"),
        (
            "discovr",
            "'discovr' is not one of check, simulate, score, rank, discover, campaign new, "
            "campaign propose, campaign record, campaign status, effects fit, effects predict, "
            "effects benchmark, effects discover, response fit, response predict, response "
            "benchmark, response refine, causal fit, causal predict, causal benchmark, export, "
            "report, status, verify, repair, retry-failed, submit, bench, bench compare, demo, "
            "completion (did you",
        ),
    ],
)
def test_a_usage_error_is_one_line_and_exit_2(words, message, capsys):
    assert cli.main(words.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1 and err.startswith("epistax") and message in err


@pytest.mark.parametrize(
    "words", [[], ["--help"], ["discover", "--help"], ["discover", "--batch", "x"], ["--version"]]
)
def test_help_and_usage_errors_import_nothing_heavy(words):
    code = textwrap.dedent(f"""
        import sys
        from epistax import cli
        try:
            cli.main({words!r})
        except SystemExit:
            pass
        print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name, cls", declared.VERBS.items())
def test_every_verb_shows_its_example_and_every_flag(name, cls, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main([*name.split(), "--help"])
    text = capsys.readouterr().out
    assert end.value.code == 0
    assert cls.example in text
    for spec in cli.specs(cls).values():
        assert spec.shown in text
    assert "%%" not in text and "{choices}" not in text


@pytest.mark.parametrize("cls", declared.VERBS.values())
def test_the_example_of_every_verb_parses(cls):
    words = cls.example.split(" > ")[0].split()
    name, rest = cli.split(words[1:])
    assert words[0] == "epistax" and name == cls.verb
    assert type(cli.parse(cls, rest)) is cls


def test_verbs_of_two_words_are_listed_with_examples(capsys):
    assert cli.main(["effects", "--help"]) == 0
    out = capsys.readouterr().out
    own = [cls for name, cls in declared.VERBS.items() if name.startswith("effects ")]
    assert len(own) == 4 and all(cls.example in out for cls in own)
    assert cli.main(["effects"]) == 2
    assert "effects needs one of fit, predict, benchmark" in capsys.readouterr().err


def test_the_version_names_the_device(capsys):
    assert cli.main(["--version"]) == 0
    words = capsys.readouterr().out.strip().partition("; device ")
    assert words[0].startswith("epistax ") and ", jax " in words[0] and words[2]


def test_the_overview_lists_every_verb(capsys):
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"\n  {name}" in out for name in declared.VERBS)


def test_flags_win_over_the_file_and_the_file_over_defaults(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text('pairs = "a.csv"\nbatch = 7\nlam = 1\nat = [0.1, 0.5]\npolicy = "ucb"\nout="o"')
    found = cli.parse(declared.Discover, ["--config", str(file), "--batch", "9"])
    assert (found.pairs, found.batch, found.lam, found.at) == ("a.csv", 9, 1.0, (0.1, 0.5))
    assert found.policy == ("ucb",) and found.seeds == 1


@pytest.mark.parametrize(
    "text, message",
    [
        ("bach = 3", "bach is not an option here (did you mean batch?)"),
        ("batch = -3", "run.toml: batch: -3 is not a positive number"),
        ("batch = true", "batch: True is not a whole number"),
        ("resume = 1", "resume: 1 is not true or false"),
        ("batch = [1, 2]", "batch: one value is needed"),
        ("batch = ", "is not TOML"),
        ('config = "x"', "config is not an option here"),
    ],
)
def test_a_wrong_config_file_says_where(text, message, tmp_path, capsys):
    file = tmp_path / "run.toml"
    file.write_text(text)
    assert cli.main(["discover", "p", "--out", "o", "--config", str(file)]) == 2
    assert message in capsys.readouterr().err


def test_positionals_may_stand_between_flags():
    found = cli.parse(declared.Check, ["a.csv", "--sep", "|", "b.csv", "--json", "c.csv"])
    assert found.files == ("a.csv", "b.csv", "c.csv")


def test_json_is_strict_and_alone_on_stdout(verb, capsys):
    verb(lambda options: {"rows": 3, "mean": float("nan")})
    assert cli.main(["check", "x", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"rows": 3, "mean": None}


def test_the_text_form_is_the_verbs_own_or_an_outline(verb, capsys):
    verb(lambda options: {"a": {"b": 1}})
    assert cli.main(["check", "x"]) == 0
    assert capsys.readouterr().out == "a:\n  b: 1\n"
    verb(lambda options: {"a": 1}, describe=lambda summary: f"a is {summary['a']}")
    assert cli.main(["check", "x"]) == 0
    assert capsys.readouterr().out == "a is 1\n"


def test_exit_codes(verb, capsys):
    def bad(options):
        raise BadInput("x.csv: line 3: score is 'abc'\nwhich is no number")

    verb(bad)
    assert cli.main(["check", "x"]) == 2
    assert capsys.readouterr().err == (
        "epistax check: x.csv: line 3: score is 'abc' which is no number\n"
    )

    def stop(options):
        raise Stopped("3 of 9 chunks are done")

    verb(stop)
    assert cli.main(["check", "x"]) == 75
    assert "stopped: 3 of 9 chunks are done" in capsys.readouterr().err
    verb(lambda options: {"n_failed": 2})
    assert cli.main(["check", "x"]) == 3

    def bug(options):
        raise KeyError("a bug keeps its traceback")

    verb(bug)
    with pytest.raises(KeyError):
        cli.main(["check", "x"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_one_line_and_exit_75(number, verb, capsys):
    verb(lambda options: os.kill(os.getpid(), number))
    before = signal.getsignal(signal.SIGTERM)
    assert cli.main(["check", "x"]) == 75
    assert capsys.readouterr().err == "epistax check: stopped\n"
    assert signal.getsignal(signal.SIGTERM) is before


def test_records_are_printed_as_they_come(verb, capsys):
    def run(options):
        yield {"n": 1}
        assert json.loads(capsys.readouterr().out) == {"n": 1}
        yield {"n": 2}

    verb(run)
    assert cli.main(["check", "x", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"n": 2}


def test_two_word_verbs_find_their_function(monkeypatch, verb):
    class Count(declared.Check):
        """Count."""

        verb = "check count"

    monkeypatch.setitem(declared.VERBS, "check count", Count)
    seen = []
    verb(lambda options: {}, count=lambda options: seen.append(options.files) or {})
    assert cli.main(["check", "count", "a"]) == 0
    assert seen == [("a",)]


def test_a_reader_that_leaves_is_no_error():
    code = "from epistax import cli; import sys; sys.exit(cli.main(['--help']))"
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    assert process.wait(timeout=60) == 0
    assert b"Traceback" not in process.stderr.read()


STUDY = textwrap.dedent("""
    import sys, time, types
    import polars as pl
    from epistax import cli
    from epistax.distributed.driver import execute
    from epistax.distributed.plan import Plan
    from epistax.distributed.progress import Progress
    from epistax.distributed.rundir import RunDir
    from epistax.distributed.store import Store

    def kernel(chunk):
        print("chunk", flush=True)
        time.sleep(0.05)
        return pl.DataFrame({"seed": [chunk.work["seed"]] * 10})

    def run(options):
        with RunDir.open(options, inputs=[options.pairs]) as run:
            if run.finished:
                return run.summary
            plan = Plan.of(run.key, [{"seed": s} for s in range(6)])
            store = Store(run.folder("shards"))
            with Progress("discover", quiet=options.quiet) as progress:
                execute(plan, kernel, store, progress=progress)
            run.write_table("curve", store.read(plan))
            return run.finish({"rows": 60})

    module = types.ModuleType("epistax.distributed.verbs.discover")
    module.run = run
    sys.modules[module.__name__] = module
    sys.exit(cli.main(sys.argv[1:]))
""")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_goes_on_and_ends_the_same(number, tmp_path):
    data = tmp_path / "pairs.csv"
    data.write_text("id1,id2,score\n")

    def start(out, *more):
        words = [sys.executable, "-c", STUDY, "discover", str(data), "--out", str(tmp_path / out)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen([*words, *more], **pipes)

    stopped = start("a")
    assert stopped.stdout.readline() == "chunk\n"
    stopped.send_signal(number)
    _, err = stopped.communicate(timeout=60)
    assert stopped.returncode == 75
    assert "of 6 chunks are done; the same command with --resume goes on" in err.splitlines()[-1]
    assert json.loads((tmp_path / "a" / "run.json").read_text())["status"] == "stopped"
    resumed, whole = start("a", "--resume"), start("b")
    assert resumed.communicate(timeout=60)[0].count("chunk") < 6
    assert whole.communicate(timeout=60)[0].count("chunk") == 6
    assert (resumed.returncode, whole.returncode) == (0, 0)
    for table in ("curve.parquet", "summary.json", "manifest.json"):
        assert (tmp_path / "a" / table).read_bytes() == (tmp_path / "b" / table).read_bytes()
