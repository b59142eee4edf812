"""Two processes of four devices each, joined by jax.distributed, are one process of eight."""

import itertools
import os
import socket
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from epistax.engine import fit as loop
from epistax.engine import stream
from epistax.engine.interaction import paired
from epistax.engine.mesh import mesh
from epistax.engine.pairs import Pairs, upper
from epistax.engine.posterior import moments
from epistax.engine.posterior.lowrank import LowRank, lowrank
from epistax.engine.screen import gather, screen

P, EACH = 48, 4


def best_pairs(devices):
    """The best of all pairs by mean + sd: tiles, nothing summed across devices."""
    rng = np.random.default_rng(0)
    shapes = ((), (), P, P, 3, 3, (P, 3), (P, 3))
    belief = moments.Factors(*(jnp.asarray(rng.random(s), jnp.float32) for s in shapes))
    where = stream.space(P, Pairs(np.array([0], np.int32), np.array([1], np.int32)), size=8)
    beta = jnp.float32(1.0)
    found = stream.ranked(
        stream.confidence, where, belief, beta, p=P, batch=20, size=8, mesh=devices
    )
    return {"i": found.pairs.i, "j": found.pairs.j, "moments": found.value}


def disjointness(devices):
    """MMD of every pair of a screen."""
    pairs = list(itertools.combinations(range(4), 2))
    kinds = np.array([(-1, -1), *((-1, k) for k in range(4)), *pairs], np.int32)
    x = np.random.default_rng(1).normal(size=(16 * len(kinds), 3)).astype(np.float32)
    made = screen(x, np.repeat(kinds, 16, axis=0), p=4, well=None)
    test = paired.disjoint(made, kernel="rbf", length_scale=2.0, seed=0, mesh=devices)
    return test(np.arange(6))._asdict()


def loss(key, params, state, batch):
    off = jnp.tanh(batch["x"] @ params).sum(1) - batch["x"][:, 0]
    return (off**2).mean(), (None, {})


def training(devices):
    """Steps of descent, every one a mean over the rows of all devices."""
    tx = optax.adam(1e-2)
    x = np.random.default_rng(2).normal(size=(64, 3)).astype(np.float32)
    state = loop.trainable(jnp.full((3, 4), 0.1), tx)
    step = loop.gradient(loss, tx)
    state, info = loop.fit(
        jax.random.key(0), step, state, {"x": x}, steps=10, chunk=5, mesh=devices
    )
    return {"weights": state.params, "loss": info["loss"]}


def belief(devices):
    """Steps of the variational fit over measured pairs."""
    rng, pairs = np.random.default_rng(3), upper(P)
    y = rng.normal(size=len(pairs.i)).astype(np.float32)
    measured = gather(pairs, y, np.zeros_like(y), np.arange(200), length=203)
    config = LowRank(rank=2, steps=10, restarts=2)
    posterior = lowrank(config, p=P, reward="score", mesh=devices)
    found, info = posterior.fit(jax.random.key(0), None, measured)
    return {**found.params, "elbo": info["elbo"]}


STAGES = {f.__name__: f for f in (best_pairs, training, disjointness, belief)}
SUMMED = {"weights", "loss", "elbo", *(f"{s}_auto_{k}" for s in ("a", "b", "s", "u", "tau", "sigma")
                               for k in ("loc", "scale"))}  # fmt: skip


def everything(names, devices):
    """What the stages say, on the host."""
    found = [STAGES[name](devices) for name in names]
    return {name: np.asarray(value) for part in found for name, value in part.items()}


def joined(port, number, out, *names):
    """One of the two processes."""
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=2, process_id=int(number))
    assert len(jax.local_devices()) == EACH
    np.savez(out, **everything(names, mesh()))


@pytest.mark.skipif(
    jax.config.jax_cpu_collectives_implementation != "gloo",
    reason="processes on CPUs talk by gloo, which is switched off here",
)
@pytest.mark.parametrize(
    "names",
    [
        ("best_pairs", "training"),
        pytest.param(("disjointness", "belief"), marks=pytest.mark.slow),
    ],
    ids=["tiles and steps", "pairs and belief"],
)
def test_two_processes_are_one(tmp_path, names):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = os.environ["XLA_FLAGS"].replace("device_count=8", f"device_count={EACH}")
    outs = [tmp_path / f"{number}.npz" for number in range(2)]
    both = [
        subprocess.Popen(
            [sys.executable, __file__, str(port), str(number), str(out), *names],
            # no two processes order their sets alike: what is compiled must not depend on it
            env=os.environ | {"XLA_FLAGS": flags, "PYTHONHASHSEED": str(1 + number)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for number, out in enumerate(outs)
    ]
    try:
        one = everything(names, mesh(2 * EACH))
        for process in both:
            error = process.communicate(timeout=240)[1]
            assert process.returncode == 0, error
    finally:
        for process in both:
            process.kill()
    for out in outs:
        found = np.load(out)
        assert set(found.files) == set(one)
        for name, value in one.items():
            if name in SUMMED:
                np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-6, err_msg=name)
            else:
                np.testing.assert_array_equal(found[name], value, err_msg=name)


if __name__ == "__main__":
    joined(*sys.argv[1:])
