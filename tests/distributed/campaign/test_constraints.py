"""Batches that a laboratory can run: quotas, money, plates, lists; and rules that none can keep."""

from collections import Counter

import numpy as np
import polars as pl
import pytest

from epistax.distributed.campaign.constraints import Constraints
from epistax.distributed.campaign.plates import Pick, deal, name, rows

GENES = [f"G{n:02d}" for n in range(12)]


def uses(pairs):
    return Counter(gene for pair in pairs for gene in pair)


def ready(desk, *words, policy="ucb", batch=8):
    """A campaign with its first round measured."""
    desk.new(*words, policy=policy, batch=batch)
    desk.go("propose")
    desk.go("record", desk.measure("r0.csv", desk.pairs(0)))


def best_first(desk, tmp):
    """All open pairs of round 1 in the order of the policy, from a campaign without rules."""
    ready(tmp)
    tmp.go("propose", "--batch", 58)
    rows = tmp.proposed(1)
    return list(zip(tmp.pairs(1), rows["acquisition"].cast(float), strict=True))


def greedy(ranked, size, *, quota=99, budget=np.inf, price=lambda pair: 0.0, out=(), first=()):
    """The definition of a batch under rules."""
    chosen, spent = [], 0.0
    for pair in [*first, *(pair for pair, _ in ranked)]:
        used = uses([*chosen, pair])
        if len(chosen) == size or pair in chosen or pair in out or {*pair} & {*out}:
            continue
        if max(used[g] for g in pair) > quota or spent + price(pair) > budget:
            continue
        chosen.append(pair)
        spent += price(pair)
    return chosen, spent


@pytest.fixture
def ranked(desk, desks):
    """The campaign `desk`, measured once, and the order in which ucb wants all open pairs."""
    order = best_first(desk, desks("order"))
    ready(desk)
    assert len(order) == 58
    return order


def test_a_batch_is_the_greedy_one_under_every_rule(desk, ranked):
    whole = [pair for pair, _ in ranked]
    costs = {gene: 1.0 + k / 4 for k, gene in enumerate(GENES)}
    cost = desk.file("cost.csv", "gene,cost\n" + "\n".join(f"{g},{c}" for g, c in costs.items()))
    out = [whole[0], whole[3], GENES[4]]
    text = [x if isinstance(x, str) else f"{x[1]},{x[0]}" for x in out]
    exclude = desk.file("out.csv", "\n".join(text))
    first = [pair for pair in reversed(whole) if GENES[4] not in pair][:2]
    include = desk.file("in.csv", "a,b\n" + "\n".join(f"{a},{b}" for a, b in first))
    elsewhere = [whole[1], whole[5]]
    ordered = desk.file("way.csv", "\n".join(f"{a} {b}" for a, b in elsewhere))
    step = desk.go("propose", "--quota", 2, "--cost", cost, "--budget", 30, "--exclude", exclude,
                   "--include", include, "--ordered", ordered)  # fmt: skip
    want, spent = greedy(
        ranked, 8, quota=2, budget=30, price=lambda pair: sum(costs[g] for g in pair),
        out=[*out, *elsewhere], first=first,
    )  # fmt: skip
    assert desk.pairs(1) == want and step["cost"] == pytest.approx(spent)
    assert set(want) != set(whole[:8]) and step["passes"] > 1
    reasons = desk.proposed(1)["reason"].to_list()
    assert reasons[:2] == ["must include"] * 2 and reasons[2].startswith("ucb: expected")
    # the same again is the same round; other rules are refused; none are the round as it is
    again = desk.go("propose", "--quota", 2, "--cost", cost, "--budget", 30, "--exclude", exclude,
                    "--include", include, "--ordered", ordered)  # fmt: skip
    assert "already proposed" in again["notices"][0]
    assert "already proposed" in desk.go("propose")["notices"][0]
    assert "is proposed already, under other rules" in desk.refused("propose", "--quota", 3)
    # what was ordered elsewhere stays on its way, the other rules were for one round
    desk.go("record", desk.measure("r1.csv", desk.pairs(1)))
    state = desk.go("propose")
    assert not {*desk.pairs(2)} & {*elsewhere} and state["pending"] == 8 + 2
    failed = {"".join(reversed(pair)): "NaN" for pair in elsewhere}
    text = "\n".join(["a,b,score", *(f"{a},{b},NaN" for a, b in elsewhere)])
    assert failed and desk.go("record", desk.file("f.csv", text))["failed"] == 2


def test_pairs_to_include_that_do_not_fit_come_next_time(desk):
    first = [("G00", f"G{n:02d}") for n in range(1, 6)]
    include = desk.file("in.csv", "\n".join(f"{a},{b}" for a, b in first))
    desk.new("--include", include, "--quota", 3, batch=4)
    step = desk.go("propose")
    assert desk.pairs(0)[:3] == first[:3] and len(desk.pairs(0)) == 4
    assert "2 pairs to include do not fit into this batch; they come next time" in step["notices"]
    desk.go("record", desk.measure("r.csv", desk.pairs(0)))
    desk.go("propose")
    assert desk.pairs(1)[:2] == first[3:]


def test_without_rules_there_is_one_pass_and_rules_that_do_not_bind_change_nothing(desk, ranked):
    step = desk.go("propose", "--quota", 11, "--batch", 8)
    assert step["passes"] == 1 and desk.pairs(1) == [pair for pair, _ in ranked[:8]]


@pytest.mark.parametrize("policy", ["ids", "random", "ts"])
def test_rules_hold_for_every_policy_and_in_round_0(desk, policy):
    costs = {gene: 1.0 + k % 3 for k, gene in enumerate(GENES)}
    cost = desk.file("cost.csv", "\n".join(f"{g},{c}" for g, c in costs.items()))
    desk.new("--quota", 1, "--cost", cost, "--budget", 21, policy=policy, batch=6)
    for number in range(2):
        step = desk.go("propose")
        pairs = desk.pairs(number)
        assert max(uses(pairs).values()) == 1 and 0 < len(pairs) <= 6
        spent = sum(costs[g] for pair in pairs for g in pair)
        assert spent <= 21 and step["cost"] == pytest.approx(spent)
        desk.go("record", desk.measure(f"r{number}.csv", pairs))


def test_prices_of_pairs_and_a_batch_that_money_cuts_short(desk):
    some = [("G00", "G01", 5), ("G00", "G02", 3), ("G03", "G04", 4), ("G05", "G06", 90)]
    cost = desk.file("cost.csv", "a,b,cost\n" + "\n".join(f"{a},{b},{c}" for a, b, c in some))
    desk.new("--cost", cost, "--budget", 20, "--replicates", 2)
    step = desk.go("propose")
    pairs = desk.pairs(0)
    price = {(a, b): 2 * c for a, b, c in some}
    assert set(pairs) <= set(price) and sum(price[pair] for pair in pairs) == step["cost"] <= 20
    # greedy: nothing that is left would still fit
    assert all(step["cost"] + price[pair] > 20 for pair in price if pair not in pairs)
    assert "no other free pair keeps the rules" in step["notices"][0]


def test_plates_replicates_and_controls(desk):
    desk.new("--plate-size", 24, "--plates", 2, "--controls", 3, "--replicates", 2, batch=None)
    step = desk.go("propose")
    table = desk.proposed(0)
    assert step["batch"] == 2 * (24 - 3) // 2 == len(desk.pairs(0)) == 21
    assert table.height == 2 * 21 + 2 * 3
    wells = table.select("plate", "well").rows()
    assert len(set(wells)) == len(wells) and set(table["plate"]) == {"1", "2"}
    assert set(table["well"]) == {f"{row}{column:02d}" for row in "ABCD" for column in range(1, 7)}
    control = table.filter(pl.col("a") == "control")
    assert Counter(control["plate"]) == {"1": 3, "2": 3} and set(control["reason"]) == {"control"}
    first = table.filter(
        ~pl.col("reason").str.starts_with("replicate") & (pl.col("a") != "control")
    )
    second = table.filter(pl.col("reason").str.starts_with("replicate"))
    assert second["reason"].to_list() == [f"replicate 2 of {a}+{b}" for a, b in desk.pairs(0)]
    # each set fills a plate, so that two wells of a pair stand on two plates
    assert set(first["plate"]) == {"1"} and set(second["plate"]) == {"2"}
    # order of choice and place on the plate have nothing to do with each other
    assert first["well"].to_list() != sorted(first["well"])
    # results well by well: replicates are combined
    rows = table.with_columns(score=pl.Series(np.arange(table.height) / 7).cast(pl.String))
    rows.write_csv(desk.folder / "r.csv")
    done = desk.go("record", desk.folder / "r.csv")
    assert done["measured"] == 21 and done["notices"] == ["not used: 6 control wells"]
    assert {x["wells"] for x in done["best"]} == {2}


def test_every_row_has_a_well_of_its_own_whatever_the_numbers():
    rng = np.random.default_rng(0)
    for _ in range(200):
        size, controls = int(rng.integers(2, 40)), int(rng.integers(0, 3))
        if controls >= size:
            continue
        pairs, replicates = int(rng.integers(1, 60)), int(rng.integers(1, 4))
        made = Constraints(plate_size=size, plates=99, controls=controls, replicates=replicates)
        plate, well, kept = deal(pairs, made, np.random.default_rng(1))
        places = [*zip(plate, well, strict=True)]
        places += [(n, w) for n, wells in enumerate(kept, 1) for w in wells]
        assert len(set(places)) == len(places) == pairs * replicates + controls * len(kept)
        assert len(kept) == -(-pairs * replicates // (size - controls))
        assert all(0 <= w < size for _, w in places)
        for n in range(1, len(kept) + 1):  # no gaps
            here = sorted(w for p, w in places if p == n)
            assert here == list(range(len(here)))


def test_controls_without_plates_and_names_of_wells():
    picks = [Pick("A", "B", "1", "", "", "x"), Pick("A", "C", "2", "", "", "y")]
    columns, table = rows(picks, Constraints(batch=2, controls=2), key="k", control="NTC", sep="+",
                          seed=(0, 0))  # fmt: skip
    assert "well" not in columns and [row[0] for row in table] == ["A", "A", "NTC", "NTC"]
    assert [name(n, 96) for n in (0, 11, 12, 95)] == ["A01", "A12", "B01", "H12"]
    assert [name(n, 1536) for n in (26 * 48, 1535)] == ["AA01", "AF48"]
    assert name(6, 100) == "7"


@pytest.mark.parametrize(
    "words, said",
    [
        (["--quota", 1, "--batch", 7], "1 pairs a gene of 12 genes allow 6 pairs a batch, not 7"),
        (["--plates", 2], "--plates: 2 plates of which size? add --plate-size"),
        (["--plate-size", 6, "--controls", 6], "6 controls leave no well of a plate of 6"),
        (
            ["--plate-size", 6, "--controls", 1, "--batch", 6],
            "hold 1 x (6 - 1) / 1 = 5; give fewer",
        ),
        (["--plate-size", 6, "--replicates", 7], "7 wells of a pair do not fit on the plates"),
        ([], "--batch is missing: distinct pairs a round; or give --plate-size"),
        (["--batch", 4, "--budget", 5], "--budget: 5 for what? give prices with --cost"),
        (["--batch", 4, "--budget", 3, "--cost", "cost"], "the cheapest pair costs 4; raise it"),
        (
            ["--plate-size", 6, "--budget", 20, "--cost", "cost"],
            "20 is too little: the 6 cheapest pairs cost 24, and one plate holds as many",
        ),
        (["--batch", 4, "--exclude", "G0X"], "line 1: 'G0X' is not one of the 12 genes of the"),
        (["--batch", 4, "--exclude", "g07"], "(did you mean G07?)"),
        (["--batch", 4, "--include", "G01"], "is 'G01', not a,b"),
        (["--batch", 4, "--include", "G01,G01"], "pairs 'G01' with itself"),
        (["--batch", 4, "--include", "G01,G02", "--exclude", "G02"], "G01+G02 is excluded as well"),
        (["--batch", 4, "--cost", "G01,3"], "has no price of G00, G02, G03"),
        (["--batch", 4, "--cost", "G01,G02,-3"], "-3 is a negative price"),
        (["--batch", 4, "--exclude", "G01,G02,G03"], "has 3 names; give a gene, or a,b"),
        (["--batch", 4, "--singles", "G01,3"], "has no single effect of G00, G02"),
        (["--batch", 4, "--singles", "G01,x"], "line 1: 'x' is not a number"),
    ],
)
def test_rules_that_no_batch_can_keep_are_refused_with_the_figures(desk, words, said):
    cost = "\n".join(f"{gene},2" for gene in GENES)
    given = []
    for k, word in enumerate(words):
        flag = words[k - 1] if k else ""
        if flag in ("--exclude", "--include", "--cost", "--singles"):
            word = desk.file(f"{flag[2:]}.csv", cost if word == "cost" else word)
        given.append(word)
    genes = desk.folder / "genes.txt"
    error = desk.refused("new", "--genes", genes, "--policy", "random", *given)
    assert said in error
    assert not desk.path.exists()
