"""Errors outside the range of training, and turned decoders, beside those by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest

from epistax.distributed.causal import encoding, outside
from epistax.engine.causal.records import Latents, Method


def test_a_known_world_from_data_to_pictures(world, save, call, tmp_path, capsys, study):
    arrays, _ = two(world, save, "none", study)
    flags = ("--model", "vae", "--preset", "published", "--epochs", 1, "--seeds", 1, "--latents", 2)
    out = tmp_path / "run"
    assert call("benchmark", save(arrays), *flags, "--scale", "none", "--out", out) == 0
    ood = pl.read_parquet(out / "ood.parquet")
    assert ood.height == 2 * 41 and set(ood["model"]) == {"vae"}
    rotation = pl.read_parquet(out / "rotation.parquet")
    assert rotation.height == 2  # the published decoder of ten features is linear
    html = (out / "report.html").read_text()
    assert "The decoder beside the true mixing" in html and html.count("<svg") == 4
    assert "Training environments" in html and "nothing is held out" in html


def two(world, save, scale, study):
    """A world of two latents whose vectors are the offsets, and its study."""
    arrays = world()
    mixing = arrays["mixing"][:, :2]
    shift = np.array([[0.0, 0.0], [0.0, 0.5]])
    rng = np.random.default_rng(3)
    z = rng.normal(size=(400, 2)) + np.repeat(shift, 200, 0)
    names = np.array(["control", "E"])
    arrays |= {
        "x": z @ mixing.T, "environment": np.repeat(names, 200), "environments": names,
        "vectors": shift, "split": np.array(["train", "train"]), "c": z, "mixing": mixing,
        "edges": np.zeros((2, 2)), "sd": np.ones(2), "noise": np.array(0.0),
        "target": np.array([-1, 1]), "offset": np.array([0.0, 0.5]),
    }  # fmt: skip
    return arrays, study(save(arrays), model=("vae",), seeds=2, latents=2, scale=scale)


@pytest.mark.parametrize("scale", ["none", "auto"])
def test_errors_outside_are_those_by_hand(world, save, scale, study):
    arrays, one = two(world, save, scale, study)
    mixing = arrays["mixing"].astype(np.float32)
    by = encoding.scale_of(one.division, scale)
    place = outside.world(one.division, one.truth, by)
    spread = np.ones(8) if by is None else by.spread
    turn = np.array([[0.6, -0.8], [0.8, 0.6]], np.float32)
    own = (mixing / spread[:, None]) @ turn
    keep = own[:, :1] @ np.linalg.pinv(own)[:1]  # forgets one of its latents

    def decode(fits, z, v):
        return jnp.stack([z[0] @ own.T, z[1] @ own.T + 1])

    def encode(fits, x, v):
        z = jnp.asarray(x @ np.linalg.pinv(own).T) * jnp.array([[1.0, 0.0]])
        return Latents(jnp.stack([z, z]), jnp.full((2, len(x), 2), -20.0))

    def prior(fits, v):
        return Latents(*[jnp.zeros((2, len(v), 2))] * 2)

    method = Method(None, encode, decode, prior, None)
    keys = jnp.stack([jax.random.key(0)] * 2)
    each = one.fits("vae", False)
    frame = pl.concat(outside.curve(each, keys, method, None, place, 2))
    assert frame.height == 2 * 2 * 41
    base = arrays["x"][:200] if by is None else (arrays["x"][:200] - by.centre) / spread
    for k, t in ((0, 20.0), (1, -7.0)):
        x = base + t * mixing[:, k] / spread
        row = frame.filter(pl.col("direction") == k, pl.col("offset") == t).row(0, named=True)
        assert row["error"] == pytest.approx(((x @ keep.T - x) ** 2).mean(), rel=1e-3)
        assert row["sampled"] == pytest.approx(row["error"], rel=1e-3)
        assert row["anchor"] == pytest.approx(0, abs=1e-8) and row["anchor_vae"] > 1e-3
    found = outside.columns(method, None, 2, 2, 2)
    np.testing.assert_allclose(found[1], own, rtol=1e-4, atol=1e-5)
    (rotation,), curve = outside.turned(each, found, place)
    straight = rotation.filter(~pl.col("flip")).row(0, named=True)
    assert straight["angle"] == pytest.approx(np.arctan2(0.8, 0.6), abs=0.01)
    assert straight["mean_distance"] < 1e-4 and straight["residual"] < 1e-4
    assert sum(part.height for part in curve) == 2 * 2 * 8 * len(set(curve[0]["angle"]))

    def bent(fits, z, v):
        return decode(fits, z**3, v)

    assert outside.columns(method._replace(decode=bent), None, 2, 2, 2) is None


def test_worlds_that_are_no_offsets_have_no_errors_outside(source, study):
    one = study(source, model=("vae",))
    assert outside.world(one.division, one.truth, None) is None
