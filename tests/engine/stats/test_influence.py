import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine.stats import divergence as dv
from epistax.engine.stats import influence as fl


def gaussian(mu, n, m, seed=0):
    rng = np.random.default_rng(seed)
    p, q = rng.normal(mu, size=n) * mu - mu**2 / 2, rng.normal(size=m) * mu - mu**2 / 2
    masks = jnp.ones(n, bool), jnp.ones(m, bool)
    return dv.Ratios(jnp.asarray(p, jnp.float32), jnp.asarray(q, jnp.float32), *masks)


@pytest.mark.parametrize("name", dv.ESTIMATORS)
def test_influence_is_what_a_sample_left_out_changes(name):
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        p, q = rng.normal(1.2, size=40) * 1.2 - 0.72, rng.normal(size=60) * 1.2 - 0.72
        r = dv.Ratios(*map(jnp.asarray, (p, q)), jnp.ones(40, bool), jnp.ones(60, bool))
        whole, found = dv.ESTIMATORS[name](r, 1.5), fl.INFLUENCES[name](r, 1.5)
        for side, size in (("p", 40), ("q", 60)):
            masks = jnp.asarray(~np.eye(size, dtype=bool))
            key = f"{side}_mask"
            one = jax.jit(jax.vmap(lambda m, k=key: dv.ESTIMATORS[name](r._replace(**{k: m}), 1.5)))
            # leaving one out changes the estimate by n / (n - 1) of its influence, and by less
            expected = -(np.asarray(one(masks)) - float(whole)) * (size - 1) / size
            np.testing.assert_allclose(getattr(found, side), expected, rtol=0.1, atol=4e-4)


@pytest.mark.parametrize("name", dv.ESTIMATORS)
def test_the_standard_error_is_the_scatter_of_the_estimate(name):
    samples = [gaussian(1.5, 300, 500, seed) for seed in range(200)]
    r = jax.tree.map(lambda *v: jnp.stack(v), *samples)
    tau = 2.0

    def one(r):
        effect = fl.INFLUENCES[name](r, tau)
        parts = (
            fl.variance(v, jnp.arange(len(v)), m)
            for v, m in ((effect.p, r.p_mask), (effect.q, r.q_mask))
        )
        return dv.ESTIMATORS[name](r, tau), jnp.sqrt(sum(parts))

    value, se = jax.jit(jax.vmap(one))(r)
    assert float(np.mean(se)) == pytest.approx(float(np.std(value)), rel=0.2)


def test_units_are_what_varies():
    values = jnp.array([1.0, 1.0, -2.0, -2.0, 1.0, 1.0, 9.0])
    mask = jnp.array([True] * 6 + [False])
    unit = jnp.array([0, 0, 1, 1, 2, 2, 2])
    # three units of sums 2, -4, 2
    assert float(fl.variance(values, unit, mask)) == pytest.approx((4 + 16 + 4) * 3 / 2)
    assert np.isnan(float(fl.variance(values, jnp.zeros(7, int), mask)))
