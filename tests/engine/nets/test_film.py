"""Hidden units moved by a vector."""

import jax
import jax.numpy as jnp
import numpy as np

from epistax.engine.nets.beginning import STILL, begun
from epistax.engine.nets.film import Film


def test_units_stay_at_first_and_then_are_stretched_and_moved():
    net = Film(6)
    h, e = (jax.random.normal(jax.random.key(seed), (9, k)) for seed, k in ((0, 4), (1, 3)))
    shapes = jax.eval_shape(net.init, jax.random.key(0), h, e)["params"]
    params = begun(jax.random.key(2), shapes)
    np.testing.assert_array_equal(net.apply({"params": params}, h, e), h)

    last = params[STILL]
    told = {"kernel": last["kernel"] + 0.3, "bias": last["bias"].at[:4].add(1.0).at[4:].add(-2.0)}
    moved = net.apply({"params": {**params, STILL: told}}, h, e)
    first = jax.tree.map(np.asarray, params["Dense_0"])
    read = (
        np.maximum(np.asarray(e) @ first["kernel"] + first["bias"], 0).sum(1, keepdims=True) * 0.3
    )
    np.testing.assert_allclose(
        moved, (1 + 1 + read) * np.asarray(h) + (read - 2), rtol=1e-4, atol=1e-5
    )


def test_slopes_reach_what_is_still():
    net = Film(6)
    h, e = jnp.ones((2, 4)), jnp.ones((2, 3))
    shapes = jax.eval_shape(net.init, jax.random.key(0), h, e)["params"]
    params = begun(jax.random.key(2), shapes)
    slope = jax.grad(lambda p: net.apply({"params": p}, h, e).sum())(params)[STILL]
    assert float(jnp.abs(slope["kernel"]).min()) >= 0 < float(jnp.abs(slope["kernel"]).max())
    np.testing.assert_allclose(slope["bias"], 2.0)
