"""What the sides of `bench svi` reach."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from epistax.benchmarks import svi
from epistax.engine import reward


def test_the_reference_is_judged_as_we_are():
    # a guide that is sure of what made the pairs: their log-likelihood is that of the noise
    p, rng = 300, np.random.default_rng(0)
    _, tables, rest = svi.rounds(p, 600, 10, 0)
    scale = svi.levelled(tables[1])[2]
    a, u, s = rng.normal(size=p), rng.normal(size=(p, 2)), rng.normal(size=2)
    sites = {"b": 0.5, "tau": 1.0, "a": a, "u": u, "s": s, "sigma": np.log(0.4)}
    params = {f"{k}_auto_loc": jnp.asarray(v, jnp.float32) for k, v in sites.items()}
    params |= {f"{k}_auto_scale": jnp.full(np.shape(v), 1e-4) for k, v in sites.items()}
    i, j = (np.asarray(x) for x in rest.pairs)
    mean = 0.5 + a[i] + a[j] + (u[i] * u[j]) @ s
    expected = norm.logpdf(reward.levelled(rest.score, scale), mean, 0.4).mean()
    assert svi.predicted(params, rest, scale) == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.slow
def test_svi_run_is_what_the_steps_were_looked_for_with(monkeypatch):
    monkeypatch.setattr(svi, "EVERY", 50)
    size = {"genes": 300, "measured": 2000, "batch": 20, "seed": 0}
    _, tables, rest = svi.rounds(300, 2000, 20, 0)
    steps, reached = svi.needed(**size, goal=-3.0)
    assert reached >= -3.0 and steps % 50 == 0
    params = svi.scratch(**size, steps=steps)()
    again = svi.predicted(params, rest, svi.levelled(tables[1])[2])
    assert again == pytest.approx(reached, abs=1e-3)
