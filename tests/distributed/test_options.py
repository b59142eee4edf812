"""Options: one field, one flag; what a run's key takes from them."""

import dataclasses
import subprocess
import sys

import pytest

from epistax.distributed import flags
from epistax.distributed.errors import BadInput
from epistax.distributed.options import VERBS, Bench, Discover
from epistax.distributed.options.bench import SUITES
from epistax.distributed.options.shared import RunOptions


def made(cls=Discover, **raw):
    return flags.build(cls, {"pairs": "p", "out": "o"} | raw, lambda spec: spec.shown)


@pytest.mark.parametrize("cls", VERBS.values())
def test_every_field_is_a_flag_with_help_and_a_valid_default(cls):
    table = flags.specs(cls)
    assert set(table) == {f.name for f in dataclasses.fields(cls)}
    for spec in table.values():
        assert spec.flag.help and spec.flag.help[0] != " " and not spec.flag.help.endswith(".")
        default = spec.default
        if default in (dataclasses.MISSING, None, ()) or spec.flag.positional:
            continue
        raw = list(default) if spec.repeat else default
        assert flags.convert(spec, raw, "default") == default
        text = [str(d) for d in default] if spec.repeat else str(default)
        if spec.kind is not bool:  # what --help shows can be typed
            assert flags.convert(spec, text, "default") == default


def test_the_module_needs_no_array_library():
    code = (
        "import sys; import epistax.distributed.options;"
        "print([m for m in ('jax', 'numpy', 'polars') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_values_take_the_kind_of_their_field():
    found = made(rank="5", lam="1e-3", at=[".1,.2", ".3"], policy=["ids", "ucb"], seed="3")
    assert (found.rank, found.lam, found.at) == (5, 0.001, (0.1, 0.2, 0.3))
    assert found.policy == ("ids", "ucb") and found.seed == 3
    assert type(made(lam=2).lam) is float
    assert made(rank="auto").rank == "auto" and made().batch is None


@pytest.mark.parametrize("raw", [{"seed": "-1"}, {"seeds": 0}, {"sep": ""}, {"top": 1.5}])
def test_rules_hold_for_text_and_for_toml_values(raw):
    with pytest.raises(BadInput):
        made(**raw)


def test_only_what_changes_the_figures_is_decisive():
    base = flags.decisive(made())
    for same in ({"out": "x"}, {"quiet": True}, {"workers": "1"}, {"pairs": "elsewhere.csv"}):
        assert flags.decisive(made(**same)) == base, same
    for other in ({"seed": 1}, {"batch": 3}, {"policy": ["ts"]}, {"control": ["x"]}):
        assert flags.decisive(made(**other)) != base, other


def test_contract_names():
    assert {"check", "simulate", "discover", "bench"} <= set(VERBS)
    for cls in VERBS.values():
        if issubclass(cls, RunOptions):
            shared = {"out", "seed", "executor", "workers", "config", "json", "quiet", "resume"}
            assert shared <= set(flags.specs(cls))
    assert flags.specs(Bench)["suite"].flag.choices == ("all", *SUITES)
