"""`score --test latent`: pairs whose singles shift one latent, told without doubles."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from epistax.cli import main
from epistax.distributed import latents
from epistax.engine import screen as screens
from epistax.engine.causal import disentanglement


def drawn(seed: int, doubles: int = 20) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Six genes on three axes behind a mixing of eight features; the axis of each."""
    random = np.random.default_rng(seed)
    axis = np.array([0, 0, 1, 1, 2, 2])
    mixing = random.normal(size=(8, 3))
    pairs = [(i, j) for i in range(6) for j in range(i + 1, 6)]
    codes = [(-1, -1)] * 600 + [(-1, i) for i in range(6) for _ in range(200)]
    codes += [pair for pair in pairs for _ in range(doubles)]
    c = random.normal(size=(len(codes), 3))
    for row, members in enumerate(codes):
        for gene in members:
            if gene >= 0:
                c[row, axis[gene]] += 2.0
    x = c @ mixing.T + 0.1 * random.normal(size=(len(codes), 8))
    return x.astype(np.float32), np.array(codes), axis


def test_shared_is_the_largest_shift_that_both_make() -> None:
    one, other = np.array([[3.0, -1.0, 0.5]]), np.array([[0.2, 2.0, -0.4]])
    assert disentanglement.shared(one, other) == pytest.approx(1.0)
    assert disentanglement.shared(other, one) == pytest.approx(1.0)


def test_genes_of_one_axis_shift_one_latent_and_doubles_do_not_count() -> None:
    x, codes, axis = drawn(0)
    screen = screens.screen(x, codes, p=6, well=None)
    found = latents.shifts(screen, seed=0)
    top = np.argmax(np.abs(found), axis=1)
    assert all((top[i] == top[j]) == (axis[i] == axis[j]) for i in range(6) for j in range(6))
    np.testing.assert_allclose(np.abs(found).max(axis=1), 2.0, rtol=0.15)
    x = np.where((codes[:, 0] >= 0)[:, None], 1e3, x).astype(np.float32)
    again = latents.shifts(screens.screen(x, codes, p=6, well=None), seed=0)
    np.testing.assert_array_equal(again, found)


def test_through_the_door(tmp_path: Path) -> None:
    x, codes, axis = drawn(1)
    names = np.array(["A", "B", "C", "D", "E", "F"])
    label = ["+".join(names[[g for g in row if g >= 0]]) or "control" for row in codes]
    np.savez(tmp_path / "data.npz", x=x, perturbation=np.array(label))
    pairs = [(i, j) for i in range(6) for j in range(i + 1, 6)]
    truth = {
        "a": [names[i] for i, _ in pairs],
        "b": [names[j] for _, j in pairs],
        "separable": [bool(axis[i] != axis[j]) for i, j in pairs],
    }
    pl.DataFrame(truth).write_parquet(tmp_path / "truth.parquet")
    out = tmp_path / "run"
    told = ("score", tmp_path / "data.npz", "--test", "latent", "--out", out, "--quiet")
    assert main([str(word) for word in told]) == 0
    summary = json.loads((out / "summary.json").read_text())
    assert summary["tests"]["latent"]["auroc"] == 1.0
    frame = pl.read_parquet(out / "scores.parquet")
    assert frame["p_value"].null_count() == len(pairs)
    assert set(frame["status"]) == {"ok"}
    shifts = pl.read_parquet(out / "shifts.parquet")
    assert shifts["gene"].to_list() == list(names)
    both = shifts.drop("gene").to_numpy()
    score = dict(zip(zip(frame["a"], frame["b"], strict=True), frame["score"], strict=True))
    for i, j in pairs:
        expected = np.minimum(both[i], both[j]).max()
        assert score[names[i], names[j]] == pytest.approx(expected, rel=1e-5)
