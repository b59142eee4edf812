"""Campaigns whose pairs are never listed: the same rules, the batches of a list of all pairs."""

import numpy as np
import pytest

from epistax.distributed.campaign import dense

QUICK = ("--belief", "informed", "--rank", 2)


@pytest.fixture
def unlisted(monkeypatch):
    """Every campaign is one of many genes."""
    monkeypatch.setattr(dense, "MOST", 2)


def rounds(desk, *words, policy, count=2):
    """The pairs of the first rounds, measured as they are proposed."""
    desk.new(*QUICK, *words, policy=policy)
    for number in range(count + 1):
        desk.go("propose")
        desk.go("record", desk.measure(f"r{number}.csv", desk.pairs(number)))
    return [desk.pairs(number) for number in range(count + 1)]


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["ucb", "ts"])
def test_batches_are_those_of_a_list_of_all_pairs(desks, monkeypatch, policy):
    first = rounds(desks("listed"), policy=policy)
    monkeypatch.setattr(dense, "MOST", 2)
    other = desks("unlisted")
    other.new(*QUICK, policy=policy)
    other.go("record", other.measure("r0.csv", first[0]))  # the same random batch
    for number in (1, 2):
        other.go("propose")
        assert other.pairs(number) == first[number]
        other.go("record", other.measure(f"r{number}.csv", first[number]))


@pytest.mark.usefixtures("unlisted")
@pytest.mark.parametrize(
    "policy", [*(pytest.param(n, marks=pytest.mark.slow) for n in ("ids", "ids-self")), "random"]
)
def test_no_pair_comes_twice_and_rules_hold(desk, policy):
    desk.file("out.txt", "G03\nG01,G02\n")
    made = rounds(desk, "--quota", 2, "--exclude", desk.folder / "out.txt", policy=policy)
    every = [pair for batch in made for pair in batch]
    assert len(set(every)) == len(every) == 24
    assert all("G03" not in pair for pair in every) and ("G01", "G02") not in every
    for batch in made:
        assert max(np.unique(np.array(batch), return_counts=True)[1]) <= 2


@pytest.mark.slow
def test_a_budget_is_spent_as_over_a_list_of_all_pairs(desks, monkeypatch):
    made = []
    for name, most in (("listed", dense.MOST), ("unlisted", 2)):
        monkeypatch.setattr(dense, "MOST", most)
        desk = desks(name)
        # the dearest genes have the highest scores: none of the best pairs can be paid for
        prices = "".join(f"{gene},{k + 1}\n" for k, gene in enumerate(desk.genes))
        cost = desk.file("cost.csv", f"gene,cost\n{prices}")
        start = [(a, b) for a in desk.genes for b in desk.genes if a < b][::2]
        results = desk.measure("start.csv", start)
        desk.new(*QUICK, "--cost", cost, "--budget", 14, "--start", results, policy="ucb", batch=4)
        desk.go("propose")
        made.append(desk.pairs(1))
        number = {gene: k + 1 for k, gene in enumerate(desk.genes)}
        assert sum(number[a] + number[b] for a, b in made[-1]) <= 14
    assert made[0] == made[1] and made[0]


@pytest.mark.slow
@pytest.mark.usefixtures("unlisted")
def test_a_lost_belief_is_fitted_again_to_the_same_bits(desk):
    rounds(desk, policy="ucb", count=1)
    desk.go("propose")
    path = desk.path / "rounds/0002/belief.npz"
    desk.go("record", desk.measure("r2.csv", desk.pairs(2)))
    desk.go("propose")
    kept = (desk.path / "rounds/0003/proposed.csv").read_bytes()
    for name in ("proposal.json", "proposed.csv", "belief.npz"):
        (desk.path / "rounds/0003" / name).unlink()
    path.unlink()
    said = desk.go("propose")["notices"]
    assert any("belief was fitted again" in line for line in said)
    assert (desk.path / "rounds/0003/proposed.csv").read_bytes() == kept


@pytest.mark.usefixtures("unlisted")
def test_side_information_is_kept_in_the_campaign(desk):
    rows = "\n".join(f"{name},{k % 3},{k / 7}" for k, name in enumerate(desk.genes[:-1]))
    side = desk.file("side.csv", f"gene,x,y\n{rows}\n")
    made = desk.new(*QUICK, "--side", side, policy="ucb")
    assert any("1 perturbations are not in it" in line for line in made["notices"])
    side.unlink()
    desk.go("propose")
    desk.go("record", desk.measure("r0.csv", desk.pairs(0)))
    assert desk.go("propose")["round"] == 1
    (desk.path / "side.npz").write_bytes(b"other")
    assert "is not what the campaign began with" in desk.refused("propose")


@pytest.mark.usefixtures("unlisted")
def test_beliefs_that_list_all_pairs_are_refused(desk):
    said = desk.refused(
        "new", "--genes", desk.folder / "genes.txt", "--batch", 4, "--belief", "ame"
    )
    assert "--belief: ame holds tables of all pairs, for at most 2 genes; 12 need one of" in said
