"""A campaign played through its files on a measured table is `discover` with the same seed."""

import numpy as np
import polars as pl
import pytest

from epistax.cli import main

P, BATCH, ROUNDS = 32, 24, 3
NAMES = [f"g{n:02d}" for n in range(P)]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Every pair measured, additive and rank-2 effects, with single effects."""
    rng = np.random.default_rng(5)
    s, u = rng.uniform(-1, 0, P), rng.normal(size=(P, 2))
    rows = [
        (NAMES[a], NAMES[b], s[a] + s[b] + float(u[a] @ u[b]) + 0.05 * rng.normal())
        for a in range(P)
        for b in range(a + 1, P)
    ]
    rows += [(name, "control", value) for name, value in zip(NAMES, s, strict=True)]
    path = tmp_path_factory.mktemp("table") / "pairs.csv"
    pl.DataFrame(rows, schema=["a", "b", "score"], orient="row").write_csv(path)
    return path


def discovered(table, out, seed, policies, *flags):
    """By policy: the pairs of every round, as `discover` chose them, with acquisition values."""
    words = ["discover", table, "--out", out, "--batch", BATCH, "--rounds", ROUNDS, "--seed", seed]
    words += [word for name in policies for word in ("--policy", name)]
    assert main([str(w) for w in (*words, "--quiet", *flags)]) == 0
    chosen = pl.read_parquet(out / "chosen.parquet")
    return {
        name: [
            (part.select("a", "b").rows(), part["acquisition"].to_list())
            for part in chosen.filter(policy=name).partition_by("round", maintain_order=True)
        ]
        for name in policies
    }


def played(table, folder, seed, *flags):
    """The same of a campaign whose batches are measured as they are proposed."""
    folder.mkdir()
    genes, where = folder / "genes.txt", folder / "campaign"
    genes.write_text("\n".join(reversed(NAMES)) + "\n")
    truth = pl.read_csv(table)
    words = ["new", where, "--genes", genes, "--batch", BATCH, "--rounds", ROUNDS, "--seed", seed]
    assert main(["campaign", *(str(w) for w in (*words, *flags))]) == 0
    rounds = []
    for number in range(ROUNDS + 1):
        assert main(["campaign", "propose", str(where), "--quiet"]) == 0
        made = pl.read_csv(where / f"rounds/{number:04d}/proposed.csv", infer_schema_length=None)
        rounds.append((made.select("a", "b").rows(), made["acquisition"].to_list()))
        results = folder / f"round{number}.csv"
        made.join(truth, on=["a", "b"], maintain_order="left").select(
            "a", "b", "score", "campaign"
        ).reverse().write_csv(results)
        assert main(["campaign", "record", str(where), str(results)]) == 0
    return rounds


@pytest.mark.parametrize(
    "seed, policies, flags",
    [
        (3, ["ids"], ["--reward", "interaction", "--draws", "64"]),
        pytest.param(
            3, ["ucb", "random"], ["--reward", "interaction"], marks=pytest.mark.slow
        ),
        pytest.param(
            6, ["ucb"], ["--belief", "mixed", "--reward", "score"], marks=pytest.mark.slow
        ),
        pytest.param(
            7, ["ids"], ["--belief", "naiad", "--reward", "score"], marks=pytest.mark.slow
        ),
        pytest.param(0, ["ids", "ids-self", "us"], ["--beta", "1"], marks=pytest.mark.slow),
        pytest.param(
            4, ["ts", "greedy"], ["--belief", "gibbs", "--reward", "abs", "--rank", "2"],
            marks=pytest.mark.slow,
        ),
        pytest.param(5, ["ids-clusters"], ["--belief", "lowrank"], marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_the_same_pairs_in_the_same_order(table, tmp_path, seed, policies, flags):
    singles = tmp_path / "singles.csv"
    rows = pl.read_csv(table).filter(pl.col("b") == "control")
    rows.select(gene="a", effect="score").write_csv(singles)
    want = discovered(table, tmp_path / "run", seed, policies, *flags)
    for name in policies:
        have = played(table, tmp_path / name, seed, "--singles", singles, "--policy", name, *flags)
        assert len(want[name]) == len(have) == ROUNDS + 1
        for (pairs, value), (proposed, acquisition) in zip(want[name], have, strict=True):
            assert proposed == pairs
            for x, y in zip(value, acquisition, strict=True):
                assert (np.isnan(x) and y is None) or y == pytest.approx(x, rel=1e-5)
