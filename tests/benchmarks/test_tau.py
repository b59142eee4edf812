import json

from epistax.benchmarks import tau


def test_curves_of_every_scenario_are_drawn(tmp_path, monkeypatch):
    assert tau.inseparable("four").tolist() == [True, *[False] * 4, True]
    assert tau.inseparable("guides").sum() == 6
    name = {"seed": 0, "shuffled": False, "test": "kl against tau", "tau": [1.0, 5.0]}
    rows = [
        name | {"scenario": scenario, "score": [[-1.0, -2.0]] * pairs}
        for scenario, pairs in (("four", 6), ("guides", 15))
    ]
    rows += [rows[0] | {"shuffled": True}, {"scenario": "gaussian", "estimator": "bridge"}]
    figure = tau.drawn(rows)
    assert [axes.get_title() for axes in figure.axes] == ["vectors", "images of cells"]
    assert [len(axes.get_lines()) for axes in figure.axes] == [6 + 1, 15 + 1]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    words = ["tau", str(tmp_path / "rows.jsonl"), "--out", str(tmp_path / "made.png")]
    monkeypatch.setattr("sys.argv", words)
    tau.main()
    assert (tmp_path / "made.png").stat().st_size > 1000
