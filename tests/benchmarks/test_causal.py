"""What the sides of `bench causal` compute."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.benchmarks import causal, causaltorch
from epistax.engine.causal.families import Batch, Pace
from epistax.engine.nets.hashing import normal

LAYERS = {  # of the loop: where ours are
    "read": ("encoder", "Dense_0"),
    "mean": ("encoder", "mean"),
    "log_sd": ("encoder", "log_sd"),
    "tell": ("auxiliary", "Tower_0", "Dense_0"),
    "prior_mean": ("auxiliary", "mean"),
    "prior_log_sd": ("auxiliary", "log_sd"),
    "hidden": ("decoder", "Tower_0", "Dense_0"),
}
OUT = {"6.1": ("decoder", "path"), "6.4": ("decoder", "mean")}


@pytest.mark.slow  # PyTorch takes longer to import than both sides to compute
@pytest.mark.parametrize("section", ["6.1", "6.4"])
def test_the_loop_has_our_loss_and_our_slopes_and_step(section):
    torch = pytest.importorskip("torch")
    made = causal.small(seed=0, **causal.SECTIONS[section])
    train = made.known.train
    x, place = train.x[:64], made.known.place[:64]
    e = made.known.vectors[train.environment[:64]]
    keys = jax.random.split(jax.random.key(1), made.family.keys)
    pace = Pace(jnp.float32(1), jnp.float32(1), jnp.float32(0))
    parts = jax.jit(made.family.begin)(jax.random.key(2))
    moved, info = jax.jit(made.family.turn)(keys[0], parts, Batch(x, e, place, keys, pace))

    net = causaltorch.network(made.settings)
    before, after = (
        {
            name: at(p["model"].params, (LAYERS | {"out": OUT[section]})[name])
            for name in net
        }
        for p in (parts, moved)
    )  # fmt: skip
    for name, layer in before.items():
        net[name].weight.data = torch.tensor(np.asarray(layer["kernel"]).T)
        net[name].bias.data = torch.tensor(np.asarray(layer["bias"]))
    noise = np.asarray(normal(keys[3], (64, made.settings.latents)))
    some = (torch.tensor(np.asarray(v)) for v in (x, e, noise))
    optimiser = torch.optim.Adam(net.parameters(), lr=made.settings.rate)
    lost = causaltorch.loss(net, *some)
    np.testing.assert_allclose(info["loss"], float(lost.detach()), rtol=1e-5)
    lost.backward()
    optimiser.step()
    for name, layer in after.items():
        weight = net[name].weight.detach().numpy().T
        np.testing.assert_allclose(weight, layer["kernel"], rtol=1e-4, atol=1e-5)


def at(params, path):
    for name in path:
        params = params[name]
    return params


def test_fits_one_after_another_are_those_side_by_side():
    size = {**causal.SECTIONS["6.1"], "fits": 3, "steps": causal.ROUNDS, "seed": 0}
    many, each = causal.ours(**size)(), causal.in_turn(**size)()
    for k, one in enumerate(each):
        for a, b in zip(jax.tree.leaves(many), jax.tree.leaves(one), strict=True):
            np.testing.assert_allclose(a[k], b[0], rtol=1e-3, atol=1e-4)
