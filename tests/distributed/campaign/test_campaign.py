"""A campaign through the door: once and again, in parts, out of order, failed, damaged, refused."""

import hashlib
import json
import multiprocessing
import os

import numpy as np
import polars as pl
import pytest

from epistax.cli import main
from epistax.distributed.campaign import beliefs, files, proposing
from epistax.distributed.campaign.expected import expected
from epistax.distributed.report import campaign as described
from epistax.distributed.rundir import lock
from epistax.engine.pairs import Pairs

GENES = [f"G{n:02d}" for n in range(12)]


def believed(path, pairs):
    """Mean and sd of the last round's belief, on its own scale."""
    campaign = files.read(path)
    held, _ = proposing.earlier(campaign, lambda text: None)
    place = proposing.places(campaign)
    coded = Pairs(*(np.array([place[pair[k]] for pair in pairs], np.int32) for k in (0, 1)))
    mean, var = beliefs.parts(proposing.choice(campaign))[0].moments(held, coded)
    return np.asarray(mean), np.sqrt(np.asarray(var))


def test_a_campaign_from_its_beginning_to_its_third_round(desk):
    made = desk.new(policy="ucb")
    assert made["perturbations"] == 12 and made["pairs"] == 66 and made["belief"] == "ame"
    assert made["next"] == f"epistax campaign propose {desk.path}"
    assert (desk.path / "genes.txt").read_text().split() == GENES
    seen = set()
    for number in range(3):
        step = desk.go("propose")
        assert step["round"] == number and f"{number:04d}/proposed.csv, then:" in step["next"]
        rows = desk.proposed(number)
        columns = ["a", "b", "acquisition", "predicted", "sd", "plate", "reason", "campaign"]
        assert rows.columns == columns and rows.height == 8
        assert set(rows["campaign"]) == {made["campaign"]}
        pairs = desk.pairs(number)
        assert len(pairs) == 8 and not seen & set(pairs) and all(a < b for a, b in pairs)
        seen |= set(pairs)
        if number:
            value = rows["acquisition"].cast(float).to_numpy()
            mean, sd = believed(desk.path, pairs)
            np.testing.assert_allclose(value, mean + 0.5 * sd, rtol=2e-5)
            assert (np.diff(value) <= 0).all()
            assert rows["reason"][0].startswith("ucb: expected ")
            assert (desk.path / f"rounds/{number:04d}/belief.npz").is_file()
        else:
            assert set(rows["reason"]) == {"random first batch"}
            assert rows["predicted"].null_count() == 8
        done = desk.go("record", desk.measure(f"r{number}.csv", pairs))
        assert done["recorded"] == 8 and done["pending"] == 0
    state = desk.go("status")
    assert state["measured"] == 24 and state["open"] == 42 and not state["damaged"]
    assert [r["measured"] for r in state["rounds"]] == [8, 8, 8]
    best = max(seen, key=lambda pair: desk.score(*pair))
    assert (state["best"][0]["a"], state["best"][0]["b"]) == best
    page = (desk.path / "report.html").read_text()
    assert "Best pairs so far" in page and best[0] in page
    assert {p.name for p in desk.path.iterdir()} == {
        "campaign.json", "figures", "genes.txt", "rounds", "results", "report.html", "LOCK"
    }  # fmt: skip
    assert "Chosen in round 2" in page and "belief-0002" in page
    assert f"<td>{rows['reason'][0]}</td>" in page and f'"n">{rows["sd"][0]}</td>' in page
    kinds = {path.name for path in (desk.path / "figures").iterdir()}
    assert kinds == {f"belief-000{n}.{kind}" for n in (1, 2) for kind in ("png", "svg")}


def test_what_is_believed_of_the_chosen_is_what_was_proposed(desk):
    desk.new(policy="ucb")
    desk.go("propose")
    assert expected(files.read(desk.path)) is None  # a random batch: nothing is believed
    desk.go("record", desk.measure("r0.csv", desk.pairs(0)))
    desk.go("propose")
    found = expected(files.read(desk.path))
    assert sorted(found.names) == GENES and np.isnan(np.diagonal(found.mean)).all()
    for row in desk.proposed(1).iter_rows(named=True):
        i, j = found.names.index(row["a"]), found.names.index(row["b"])
        for drawn, told in ((found.mean, "predicted"), (found.sd, "sd")):
            np.testing.assert_allclose([drawn[i, j], drawn[j, i]], float(row[told]), rtol=1e-4)


def test_a_sampled_belief_goes_on_from_its_file(desk):
    desk.new("--belief", "gibbs", "--rank", 2, policy="greedy")
    for number in range(3):
        step = desk.go("propose")
        assert step["round"] == number and not step["notices"]
        desk.go("record", desk.measure(f"r{number}.csv", desk.pairs(number)))
    assert (desk.path / "rounds/0002/belief.npz").is_file()


def test_every_step_twice_changes_nothing_and_says_so(desk):
    desk.new()
    before = desk.tree()
    assert "nothing to do" in desk.new()["notices"][0]
    assert desk.tree() == before
    desk.go("propose")
    before = desk.tree()
    again = desk.go("propose")
    assert "already proposed" in again["notices"][0] and desk.tree() == before
    results = desk.measure("r.csv", desk.pairs(0))
    desk.go("record", results)
    before = desk.tree()
    copy = desk.file("other-name.csv", results.read_text())
    for file in (results, copy):
        done = desk.go("record", file)
        assert done["recorded"] == 0 and "recorded already" in done["notices"][0]
    assert desk.tree() == before
    assert desk.go("propose")["round"] == 1


def test_a_second_beginning_is_told_what_differs(desk):
    desk.new("--seed", 1)
    rest = ("--policy", "random", "--rounds", 3, "--seed", 1)
    genes = desk.folder / "genes.txt"
    said = desk.refused("new", "--genes", genes, "--batch", 8, "--policy", "random", "--rounds", 3)
    assert "is another campaign: its seed is 1, not 0" in said
    said = desk.refused("new", "--genes", genes, "--batch", 9, *rest)
    assert "its batch is 8, not 9" in said
    genes.write_text(genes.read_text() + "G99\n")
    said = desk.refused("new", "--genes", genes, "--batch", 8, *rest)
    assert "its list of genes is not the same" in said


def test_results_in_parts_and_out_of_order(desk):
    desk.new()
    for number in range(2):
        desk.go("propose")
        if not number:
            desk.go("record", desk.measure("a.csv", desk.pairs(0)[:3]))
    first, second = desk.pairs(0), desk.pairs(1)
    assert not set(first) & set(second)
    done = desk.go("record", desk.measure("c.csv", second))  # round 1 before round 0 is complete
    assert done["measured"] == 11 and done["pending"] == 5
    step = desk.go("propose")
    assert step["notices"] == ["5 pairs are pending and not proposed again"]
    assert not set(desk.pairs(2)) & {*first, *second}
    done = desk.go("record", desk.measure("b.csv", first[3:]))
    assert done["measured"] == 16 and done["pending"] == 8
    assert [r["measured"] for r in done["rounds"]] == [8, 8, 0]


def test_the_order_of_results_does_not_matter(desks):
    made = []
    for name, order in (("one", (0, 1, 2)), ("two", (2, 0, 1))):
        one = desks(name)
        one.new(policy="ucb")
        one.go("propose")
        pairs = one.pairs(0)
        parts = [pairs[:4], pairs[4:], pairs[2:6]]
        texts = [[f"{a},{b},{one.score(a, b) + .1 * k},{.1 + k}" for a, b in part]
                 for k, part in enumerate(parts)]  # fmt: skip
        for k in order:
            one.go("record", one.file(f"{k}.csv", "\n".join(["a,b,score,se", *texts[k]])))
        one.go("propose")
        made.append(one.proposed(1))
    assert made[0].equals(made[1])


def test_failed_wells_are_kept_and_may_be_proposed_again(desk):
    desk.new("--exclude", desk.file("out.txt", "\n".join(GENES[5:])))  # 10 pairs of 5 genes
    desk.go("propose")
    bad = desk.pairs(0)[:2]
    failed = {f"{a}{b}": "NaN" for a, b in bad}
    done = desk.go("record", desk.measure("r.csv", desk.pairs(0), **failed))
    assert done["counts"]["failed"] == 2 and done["failed"] == 2 and done["measured"] == 6
    step = desk.go("propose")
    again = {(row["a"], row["b"]): row["reason"] for row in desk.proposed(1).to_dicts()}
    assert set(bad) <= set(again) and step["failed"] == 0 and step["pending"] == len(again) == 4
    assert all(again[pair] == "random; failed 1 time before" for pair in bad)
    assert "4 pairs instead of 8" in step["notices"][0]
    more = desk.measure("s.csv", bad, **failed)  # they fail once more, alone in a file
    assert desk.go("record", more)["failed"] == 2
    last = desk.measure("t.csv", bad, **{"".join(bad[0]): "NaN"})
    done = desk.go("record", last)
    assert (done["measured"], done["failed"], done["pending"]) == (7, 1, 2)


def test_an_empty_score_is_no_result_yet(desk):
    desk.new()
    desk.go("propose")
    rows = desk.proposed(0)
    text = ["a,b,score,campaign"]
    for k, row in enumerate(rows.to_dicts()):
        value = desk.score(row["a"], row["b"]) if k < 3 else "NaN" if k == 3 else ""
        text.append(f"{row['a']},{row['b']},{value},{row['campaign']}")
    text.append("control,control,0.1," + rows["campaign"][0])
    text.append("G01,control,0.3," + rows["campaign"][0])
    done = desk.go("record", desk.file("r.csv", "\n".join(text)))
    assert (done["measured"], done["failed"], done["pending"]) == (3, 1, 4)
    assert done["notices"] == [
        "not used: 4 pairs without a result yet",
        "not used: 1 control wells",
        "not used: 1 wells of a single gene",
    ]


def test_repeated_measurements_are_combined(desk):
    desk.new()
    desk.go("propose")
    (a, b), (c, d), (e, f), *_ = desk.pairs(0)
    one = f"a,b,score,se\n{a},{b},1.0,0.1\n{a},{b},2.0,0.2\n{c},{d},1.0,0.1\n{e},{f},5,\n"
    two = f"a,b,score,se\n{d},{c},4.0,\n{e},{f},6,\n{e},{f},7,\n"
    desk.go("record", desk.file("one.csv", one))
    done = desk.go("record", desk.file("two.csv", two))
    assert done["counts"]["again"] == 2
    found = {(x["a"], x["b"]): x for x in done["best"]}
    assert found[a, b]["score"] == pytest.approx((1 / 0.01 + 2 / 0.04) / (1 / 0.01 + 1 / 0.04))
    assert found[a, b]["se"] == pytest.approx((1 / 0.01 + 1 / 0.04) ** -0.5)
    assert found[c, d]["score"] == pytest.approx(2.5)  # one without se: the plain mean
    assert found[e, f]["score"] == pytest.approx(6.0) and found[e, f]["wells"] == 3
    assert found[e, f]["se"] == pytest.approx(1 / 3**0.5)


def test_rows_of_another_file_are_the_same_measurements_unless_told(desk):
    desk.new()
    desk.go("propose")
    pairs = desk.pairs(0)
    desk.go("record", desk.measure("part.csv", pairs[:3], **{"".join(pairs[0]): "NaN"}))
    grown = desk.measure("grown.csv", pairs[:5], **{"".join(pairs[0]): "NaN"})
    done = desk.go("record", grown)
    assert done["counts"]["repeated"] == 3 and done["recorded"] == 2 and done["measured"] == 4
    assert "3 rows stand in other files to the last digit" in done["notices"][0]
    before = desk.tree()
    same = desk.file("same.csv", grown.read_text().replace("id1,id2", "a,b"))
    done = desk.go("record", same)
    assert done["recorded"] == 0 and "every row is recorded already" in done["notices"][-1]
    assert desk.tree() == before
    done = desk.go("record", same, "--replicates")
    assert done["recorded"] == 5 and {x["wells"] for x in done["best"]} == {2}


def test_pairs_that_nobody_proposed_are_taken_with_a_notice(desk):
    desk.new()
    desk.go("propose")
    other = [(a, b) for a in GENES for b in GENES if a < b and (a, b) not in desk.pairs(0)][:3]
    done = desk.go("record", desk.measure("r.csv", other))
    assert done["notices"] == ["3 pairs were proposed in no round: taken too"]
    assert done["unproposed"] == 3
    desk.go("propose")
    assert not set(desk.pairs(1)) & {*other, *desk.pairs(0)}


def test_results_before_the_first_round_take_its_place(desk):
    first = [(GENES[0], gene) for gene in GENES[1:7]]
    start = desk.measure("start.csv", first)
    made = desk.new("--start", start, policy="ucb")
    assert made["measured"] == 6 and made["results_recorded"] == 1
    step = desk.go("propose")
    assert step["round"] == 1 and not set(desk.pairs(1)) & set(first)
    assert desk.proposed(1)["predicted"].null_count() == 0
    assert "nothing to do" in desk.new("--start", start, policy="ucb")["notices"][0]


@pytest.mark.parametrize(
    "text, words",
    [
        (
            "a,b,score\nG01,G0X,1\n",
            ["r.csv: line 2: 'G0X' is not one of the 12 genes of the campaign (did you mean G"],
        ),
        ("a,b,score\ng03,G04,1\n", ["'g03' is not one of", "(did you mean G03?)", "nothing was"]),
        ("a,b\nG01,G02\n", ["has no column 'score', it has 'a', 'b'; add what was measured"]),
        ("a,b,score\nG01,G02,inf\n", ["line 2: 'inf' is not a finite number"]),
        ("a,b,score\nG01,G02,1\nG01,G03,high\n", ["line 3: 'high' is not a number"]),
        ("a,b,score,se\nG01,G02,1,-2\n", ["is a negative standard error"]),
        ("a,b,score\nG01,G02,\n", ["has no result of a pair (1 pairs without a result yet)"]),
        ("a,b,score,campaign\nG01,G02,1,123\n", ["is of campaign '123', this is '"]),
        ("a,b,score\n", ["has a header but no rows"]),
        ("", ["the file is empty"]),
        ("x,y,z\nG01,G02,1\n", ["name two labels and a score with --columns a,b,score"]),
    ],
)
def test_results_that_cannot_be_used_are_refused_whole(desk, text, words):
    desk.new()
    desk.go("propose")
    said = desk.refused("record", desk.file("r.csv", text))
    for word in words:
        assert word in said


def test_columns_may_be_named(desk):
    desk.new()
    path = desk.file("r.csv", "x,y,z,e\nG01,G02,1.5,.25\n")
    done = desk.go("record", path, "--columns", "x,y,z,e")
    assert done["best"][0]["score"] == 1.5 and done["best"][0]["se"] == 0.25


def test_the_belief_of_the_last_round_is_fitted_again_where_its_file_is_lost(desk):
    desk.new(policy="ids")
    for number in range(3):
        desk.go("propose")
        desk.go("record", desk.measure(f"r{number}.csv", desk.pairs(number)))
    kept = desk.path / "rounds/0002/belief.npz"
    data = kept.read_bytes()
    desk.go("propose")
    want = desk.tree()
    for spoilt in (None, data[:-9] + bytes(9), b"", data[:100]):
        for name in ("proposal.json", "proposed.csv", "belief.npz"):
            (desk.path / "rounds/0003" / name).unlink()
        kept.unlink(missing_ok=True)
        if spoilt is not None:
            kept.write_bytes(spoilt)
        step = desk.go("propose")
        how = "is gone" if spoilt is None else "is damaged"
        assert f"belief.npz {how}: the belief was fitted again from the results" in str(
            step["notices"]
        )
        have = desk.tree()
        assert have["rounds/0003/belief.npz"] == want["rounds/0003/belief.npz"]
        assert have["rounds/0003/proposed.csv"] == want["rounds/0003/proposed.csv"]


def test_damage_is_found_named_and_can_be_mended(desk):
    desk.new()
    for number in range(2):
        desk.go("propose")
        desk.go("record", desk.measure(f"r{number}.csv", desk.pairs(number)))
    whole = desk.tree()

    def spoil(name, data=None):
        path = desk.path / name
        if data is None:
            path.unlink()
        else:
            path.write_bytes(data)
        return path

    def mended():
        for name, data in whole.items():
            (desk.path / name).write_bytes(data)
        assert not desk.go("status")["damaged"]

    # a plan that was written into: nothing is lost, nothing is overwritten
    edited = whole["rounds/0001/proposed.csv"] + b"G01,G02,,,,1,mine,\n"
    spoil("rounds/0001/proposed.csv", edited)
    found = desk.go("status")["damaged"]
    assert found[0]["problem"] == "is damaged or was edited" and not found[0]["fatal"]
    desk.go("propose")
    assert (desk.path / "rounds/0001/proposed.csv").read_bytes() == edited
    spoil("rounds/0002/proposed.csv", b"")
    assert "rounds/0002/proposed.csv is damaged or was edited" in desk.refused("propose")
    spoil("rounds/0002/proposed.csv")
    assert "written again" in desk.go("propose")["notices"][0]
    mended()
    # the heart of a round
    later = json.loads(whole["rounds/0000/proposal.json"])
    for data in (None, b"", whole["rounds/0000/proposal.json"][:-30], json.dumps(later).encode()):
        spoil("rounds/0000/proposal.json", data)
        for step in (["propose"], ["record", desk.measure("x.csv", [("G01", "G02")])]):
            said = desk.refused(*step)
            assert "rounds/0000/proposal.json is" in said and "restore it from a copy" in said
        assert desk.go("status")["damaged"][0]["fatal"]
        mended()
    # results: the copy is evidence, what was read from it counts
    (raw, read) = (next(n for n in whole if n.startswith("results/0000") and n.endswith(end))
                   for end in (".csv", ".json"))  # fmt: skip
    spoil(raw, b"x")
    assert desk.go("status")["damaged"][0]["file"].endswith(raw)
    mended()
    path = spoil(read, whole[read].replace(b"0.", b"1."))
    said = desk.refused("propose")
    assert f"{read} is damaged" in said and f"record {desk.path} {desk.path / raw}" in said
    path.unlink()
    desk.go("record", desk.path / raw)
    rows = [json.loads(data)["rows"] for data in (desk.tree()[read], whole[read])]
    assert rows[0] == rows[1] and not desk.go("status")["damaged"]
    spoil(read)
    spoil(raw)
    assert f"{read} is gone: restore it from a copy" in desk.refused("propose")
    mended()
    # the beginning
    spoil("campaign.json", whole["campaign.json"].replace(b'"seed": 0', b'"seed": 1'))
    assert "campaign.json is damaged: restore it from a copy" in desk.refused("propose")
    mended()
    spoil("genes.txt", whole["genes.txt"] + b"G99\n")
    assert "is not the list that the campaign began with" in desk.refused("status")
    mended()


def test_every_file_that_counts_is_under_a_hash(desk):
    desk.new(policy="ucb")
    for number in range(2):
        desk.go("propose")
        desk.go("record", desk.measure(f"r{number}.csv", desk.pairs(number)))
    for name, data in desk.tree().items():
        path = desk.path / name
        for at in np.linspace(0, len(data) - 1, 7).astype(int):
            path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            try:
                found = files.read(desk.path).faults
                assert any(fault.path.name == path.name for fault in found), (name, at)
            except Exception as problem:
                assert path.name in str(problem), (name, at)
        path.write_bytes(data)
    assert not files.read(desk.path).faults
    record = json.loads((desk.path / "rounds/0001/proposal.json").read_text())
    for key, name in (("belief", "belief.npz"), ("proposed", "proposed.csv")):
        data = (desk.path / "rounds/0001" / name).read_bytes()
        assert record[key] == hashlib.sha256(data).hexdigest()


def hold(path, ready, leave):
    with lock(path):
        ready.set()
        leave.wait(60)


@pytest.mark.parametrize("step", ["propose", "record"])
def test_a_second_process_is_refused(desk, step):
    desk.new()
    desk.go("propose")
    words = [desk.measure("r.csv", desk.pairs(0))] if step == "record" else []
    context = multiprocessing.get_context("spawn")
    ready, leave = context.Event(), context.Event()
    other = context.Process(target=hold, args=(desk.path, ready, leave))
    other.start()
    try:
        assert ready.wait(60)
        said = desk.refused(step, *words)
        assert f"DIR: {desk.path} is in use by another epistax; wait or stop it" in said
        assert desk.go("status")["pending"] == 8  # whoever only looks is not held up
    finally:
        leave.set()
        other.join(60)
    desk.go(step, *words)


def test_more_genes_than_a_list_of_all_pairs_can_take_have_a_belief_without_one(desk):
    genes = desk.file("many.txt", "\n".join(f"N{n}" for n in range(1501)))
    assert desk.go("new", "--genes", genes, "--batch", 5)["belief"] == "informed"
    assert len(desk.go("propose")["rows"]) == 5


def test_a_campaign_that_goes_beyond_its_plan(desk):
    desk.new("--rounds", 1)
    for number in range(4):
        assert desk.go("propose")["round"] == number
        desk.go("record", desk.measure(f"r{number}.csv", desk.pairs(number)))
    seen = [pair for number in range(4) for pair in desk.pairs(number)]
    assert len(set(seen)) == 32
    choice = proposing.choice(files.read(desk.path))
    # what is still to choose is the plan's, then a batch at a time; the table grows by batches
    assert [choice.remaining(n, free) for n, free in ((0, 66), (1, 58), (2, 50), (9, 3))] == [
        16, 8, 8, 3
    ]  # fmt: skip
    assert [choice.length(n) for n in (0, 16, 17, 24, 25, 63, 66)] == [16, 16, 24, 24, 32, 64, 66]


def test_the_pairs_run_out(desk):
    made = desk.new("--rounds", 9, batch=50)
    assert "9 rounds were asked for; the pairs end after 1" in made["notices"]
    for number, size in enumerate((50, 16)):
        desk.go("propose")
        assert len(desk.pairs(number)) == size
        done = desk.go("record", desk.measure(f"r{number}.csv", desk.pairs(number)))
    assert done["next"] == "nothing: every pair is measured"
    said = desk.refused("propose")
    assert "no pair can be proposed: of 66, 66 are measured and 0 pending" in said


@pytest.mark.parametrize(
    "name, text, count, note",
    [
        ("one.txt", "A\nB\nC\n\nB\n", 3, "1 names stand in"),
        ("two.csv", "gene,pathway\nA,x\nB,x\nNTC,y\n", 2, "'NTC', a control"),
        ("pairs.csv", "id1,id2,score\nA,B,1\nC,control,2\nA,C,1\n", 3, ""),
        ("square.csv", ",A,B,C\nA,,1,2\nB,1,,3\nC,2,3,\n", 3, ""),
        ("screen.csv", "perturbation,f_0,f_1\nA,1,2\nA+B,2,3\ncontrol,1,1\nB,1,0\n", 2, ""),
    ],
)
def test_genes_come_from_lists_tables_and_screens(desk, name, text, count, note):
    made = desk.go("new", "--genes", desk.file(name, text), "--batch", 1)
    assert made["perturbations"] == count and note in str(made["notices"])
    assert (desk.path / "genes.txt").read_text() == "\n".join("ABC"[:count]) + "\n"


@pytest.mark.parametrize(
    "text, words, said",
    [
        ("A\n", [], "holds 1 gene; a pair needs two"),
        ("A\nB+C\n", [], "line 2: 'B+C' is a combination"),
        ("A\nB\nC\n", ["--batch", 4], "--batch: 4 is more than there are pairs, 3"),
        ("A\nB\nC\n", ["--batch", 2, "--reward", "interaction"], "give them with --singles"),
    ],
)
def test_what_no_campaign_can_begin_with(desk, text, words, said):
    words = words or ["--batch", 1]
    assert said in desk.refused("new", "--genes", desk.file("g.txt", text), *words)
    assert not desk.path.exists()


def test_a_directory_of_something_else_is_left_alone(desk):
    desk.path.mkdir()
    (desk.path / "notes.txt").write_text("mine")
    said = desk.refused("new", "--genes", desk.folder / "genes.txt", "--batch", 5)
    assert "holds notes.txt, which is no campaign's" in said
    assert "is no campaign, it has no campaign.json" in desk.refused("propose")
    assert "is no campaign" in desk.refused("status")


def test_a_copy_for_reading_can_be_looked_at(desk, monkeypatch):
    desk.new()
    desk.go("propose")
    before = desk.tree()
    real = os.open

    def readonly(path, mode, *rest, **more):
        if mode & (os.O_WRONLY | os.O_RDWR):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, mode, *rest, **more)

    monkeypatch.setattr(os, "open", readonly)
    assert desk.go("status")["pending"] == 8 and desk.tree() == before
    assert "cannot be written to: Permission denied" in desk.refused("propose")


def test_names_that_a_csv_must_quote_come_through(desk):
    genes = desk.file("odd.tsv", 'name\tx\nA, the first\t1\nB "two"\t2\nC\t3\n')
    desk.go("new", "--genes", genes, "--batch", 3, "--sep", "|")
    desk.go("propose")
    made = desk.proposed(0)
    assert set(made["a"]) | set(made["b"]) == {"A, the first", 'B "two"', "C"}
    made.with_columns(score=pl.lit("1.5")).write_csv(desk.folder / "r.csv")
    assert desk.go("record", desk.folder / "r.csv")["measured"] == 3


def test_the_page_of_a_campaign_is_made_again_like_any_other(desk, capsys):
    desk.new()
    desk.go("propose")
    (desk.path / "report.html").unlink()
    assert main(["report", str(desk.path)]) == 0
    assert str(desk.path / "report.html") in capsys.readouterr().out
    assert "epistax campaign record" in (desk.path / "report.html").read_text()


def test_a_proposal_fits_a_terminal_of_80_columns():
    names = ["a", "b", "acquisition", "predicted", "sd", "plate", "reason", "campaign"]
    reason = "ids: expected 0.303, sd 0.274; best open 0.34"
    row = ["GENELONGNAME13", "GENELONGNAME21", "-0.00406914", "0.303019", "0.274237", "1", reason]
    summary = {"round": 1, "batch_pairs": 12, "columns": names, "rows": [[*row, "c"]] * 12,
               "cost": None, "proposed": "camp/rounds/0001/proposed.csv"}  # fmt: skip
    lines = list(described.proposed(summary))
    assert len(lines) == 1 + 1 + 10 + 1 and max(map(len, lines)) == 80
    assert lines[1].split() == ["a", "b", "plate", "reason"]
    assert lines[2].startswith("GENELONGNAME13  GENELONGNAME21  1      ids: expected 0.303, sd")
    assert lines[2].endswith("…") and lines[-1].startswith("... 2 more rows in camp/rounds/0001/")
