"""The pages of causal embeddings: what tables and figures say of lines, and the page's copy."""

import json
import sys

import numpy as np

from epistax.benchmarks import environmentpages, environmentplots

OFFSETS = np.linspace(-20.0, 20.0, 41)
ROTATIONS = {"angle": np.pi / 2, "spread": 3.0, "distance": [[0.0, 1.0, 2.0]] * 10}


def outside(case, world, direction, *, model="vae", preset="published", times=1.0, linear=0.0):
    exact = OFFSETS**2 / 10 + 0.1
    line = {"name": "two", "world": world, "case": case, "offsets": OFFSETS.tolist(),
            "model": model, "direction": direction, "error": (times * exact).tolist(),
            "anchor_variational": exact.tolist(),
            "anchor_linear": (linear * OFFSETS**2).tolist()}  # fmt: skip
    return line if preset is None else line | {"preset": preset}


def turned(case, world, plain, flipped, **more):
    ways = {"plain": plain, "flipped": flipped}
    ways = {k: ROTATIONS | {"mean_distance": v} for k, v in ways.items()}
    ways["flipped"]["angle"] = 0.4 * np.pi
    return {"name": "two", "world": world, "case": case, "model": "vae", "preset": "published",
            "entangled": 0.3, "least_squares": 0.02} | ways | more  # fmt: skip


def curve(name, world, model, errors, *, rise=1.0, **more):
    return {"name": name, "world": world, "model": model, "curve": errors, "final": errors[-1],
            "worst_rise": rise, "mean_profile": 4.0, "components": 2.0} | more  # fmt: skip


def named(world, row, f1, **more):
    return {"name": "sparse", "world": world, "row": row, "mixing": "linear", "network": False,
            "mcc": 0.9, "f1": f1, "f1_trained": 1.0, "sparsity": 0.5} | more  # fmt: skip


CASES = {"independent": ["vae"], "dependent": ["vae"],
         "two-environments": ["vae", "environment", "conditional"]}  # fmt: skip
PRESETS = ("published", "default")


def every():
    """Lines of every part: two worlds, one of them with an error that is no number."""
    lines = []
    for w, end in ((0, 1.0), (1, None)):
        for case, models in CASES.items():
            lines += [outside(case, w, k, model=m, preset=p)
                      for m in models for p in PRESETS for k in (0, 1)]  # fmt: skip
            lines.append(turned(case, w, 0.7, 0.1))
        for name in ("growing", "l1000"):
            lines += [curve(name, w, m, [3.0, 2.0, end], rise=end, preset=p)
                      for m in ("vae", "environment") for p in PRESETS]  # fmt: skip
        lines += [curve("remedies", w, "vae", [3.0, 0.5, end], rise=end and 2.0, remedy=r)
                  for r in ("none", "all")]  # fmt: skip
        lines += [named(w, "vae", 0.8)]
        lines += [named(w, "temperature", 0.8, temperature=t) for t in (0.1, 1.0)]
    return lines


def row(lines, start):
    return next(x for x in environmentpages.tables(lines).splitlines() if x.startswith(start))


def test_errors_stand_beside_the_exact_ones_of_their_settings():
    lines = [outside("dependent", w, 1, times=t, linear=0.1) for w, t in ((0, 2.0), (1, 4.0))]
    lines += [outside("dependent", w, 1, model="linear", preset=None, linear=0.1) for w in (0, 1)]
    assert "| 40 | 10 | 0.9 | 0.9 | 10 | 40 |" in row(lines, "| 6.2 | 1 | exact, linear")
    published = row(lines, "| 6.2 | 1 | vae, published")
    assert "| 120 | 30.3 | 3 | 3 | 30.3 | 120 | 3 (4) |" in published
    # (0.9 + 0.1) / 0.9 at 3, 2 at 1, and nothing at 0, where the linear one errs by 0
    assert row(lines, "| 6.2 | 1 | components").endswith("| 2 (2) |")


def test_no_ratio_to_an_exact_error_of_0():
    lines = [outside("independent", 0, 0, preset="default")]
    assert row(lines, "| 6.1 | 0 | exact, linear").endswith("| 0 | 0 | 0 | 0 | 0 | 0 |  |")
    assert row(lines, "| 6.1 | 0 | vae, default").endswith("| 40.1 |  |")


def test_of_two_rotations_the_nearer_counts():
    lines = [turned("independent", 0, 0.7, 0.1), turned("independent", 1, 0.3, 0.8)]
    found = row(lines, "| 6.1 | vae, published")
    assert "| 0.40, 0.50 | 0.2 +- 0.141 | 3 +- 0 | 0.02 +- 0 |" in found


def test_final_errors_over_trivial_ones_and_how_many_rise_too_far():
    lines = [curve("growing", w, "vae", [3.0, 1.0 + w], rise=1.05 + w / 10, preset="default")
             for w in (0, 1)]  # fmt: skip
    shown = "1.5 +- 0.707 | 0.75 +- 0.354 | 0.375 +- 0.177 | 1.1 +- 0.0707 | 1.15 | 50% | 2 |"
    assert shown in row(lines, "| default | vae |")


def test_an_error_that_is_no_number_is_counted_not_averaged():
    found = row(every(), "| published | vae | 1 (1 of 2 not finite) | 0.5 (1 of 2 not finite)")
    assert found.endswith("| 1 (1 of 2 not finite) | inf | 50% | 2 |")
    assert "| 2 (1 of 2 not finite) | 2 (1 of 2" in row(every(), "| vae | none |")


def test_targets_by_row_and_temperature():
    lines = [named(0, "vae", 0.7), named(1, "vae", 0.9)]
    lines += [named(0, "temperature", 0.6, temperature=t) for t in (0.1, 1.0)]
    assert "| 0.900 +- 0.000 | 0.800 +- 0.100 | 1.000 +- 0.000 |" in row(lines, "| vae |")
    assert "| 0.600 |" in row(lines, "| temperature 0.1 |")


def test_one_command_writes_every_figure(tmp_path, monkeypatch, capsys):
    (tmp_path / "all.jsonl").write_text("".join(json.dumps(x) + "\n" for x in every()))
    drawn = environmentplots.figures
    monkeypatch.setattr(environmentpages, "figures", lambda lines: small(drawn(lines)))
    argv = ["environmentpages", str(tmp_path / "all.jsonl"), "--out", str(tmp_path / "pages")]
    monkeypatch.setattr(sys, "argv", argv)
    environmentpages.main()
    numbers = {f"figure-{n}.png" for n in (5, 6, 7, 8, 9, 10, 11, 12, 13, 14)}
    others = {"tables.md", "temperature.png", "remedies.png", "environments.png"}
    assert {p.name for p in (tmp_path / "pages").iterdir()} == numbers | others
    assert capsys.readouterr().out == ""


def small(figures):
    """Without the time that laying out and rendering takes."""
    for name, figure in figures:
        figure.set_layout_engine("none")
        figure.savefig = lambda path, dpi: path.write_bytes(b"")
        yield name, figure


def test_what_is_missing_is_said():
    lines = [x for x in every() if x["name"] == "sparse"]
    made = [name for name, _ in environmentplots.figures(lines)]
    assert made == ["temperature"]
    told = list(environmentpages.left_out(lines, made))
    assert len(told) == 5 and told[1] == "no lines of `growing`: skipped its tables and figures 9"
    assert told[-1] == "no lines of `two`, `growing`, `l1000`: skipped environments.png"


def test_a_curve_ends_in_a_cross_where_it_is_no_number():
    lines = [x for x in every() if x["name"] == "growing"]
    (axis, _) = dict(environmentplots.figures(lines))["9"].axes
    crosses = [x for x in axis.lines if x.get_marker() == "x" and len(x.get_xdata())]
    assert [(x.get_xdata()[0], x.get_ydata()[0]) for x in crosses] == [(2, 0.5)] * 2


def test_the_tables_of_the_page_are_those_of_the_committed_results(checkout):
    text = (checkout / "benchmarks/results/causal.md").read_text()
    files = sorted((checkout / "benchmarks/results").glob("environments-*.jsonl"))
    lines = [json.loads(x) for path in files for x in path.read_text().splitlines()]
    made = set(environmentpages.tables(lines).splitlines())
    begin, end = (text.index(f"<!-- {mark}: environmentpages -->") for mark in ("tables", "end"))
    rows = [x for x in text[begin:end].splitlines() if x.startswith("| ")]
    assert len(rows) > 10 and set(rows) <= made
