"""Which devices a verb computes on, and that its rounds then take them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.distributed import accelerators
from epistax.distributed.campaign import streamed
from epistax.engine import mesh as meshes
from epistax.engine import stream
from epistax.engine.policy import rules
from epistax.engine.policy.catalogue import Settings
from epistax.engine.posterior import moments

P = 60


def test_several_accelerators_are_a_mesh_and_the_cores_of_a_cpu_are_not(monkeypatch):
    assert accelerators.mesh() is None
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert accelerators.mesh() == meshes.mesh()
    monkeypatch.setattr(jax, "devices", lambda: jax.local_devices()[:1])
    assert accelerators.mesh() is None


@pytest.mark.parametrize("policy", ["ucb", "ids"])
def test_a_streamed_round_uses_them_and_chooses_the_same(monkeypatch, policy):
    rng = np.random.default_rng(0)
    shapes = ((), (), P, P, 2, 2, (P, 2), (P, 2))
    belief = moments.Factors(*(jnp.asarray(rng.random(s), jnp.float32) for s in shapes))
    rule, seen = rules.rules(P, 8), []
    ranked = stream.ranked

    def watched(*args, **how):
        seen.append(how["mesh"])
        return ranked(*args, **how)

    monkeypatch.setattr(stream, "ranked", watched)

    def best():
        settings, key = Settings(batch=8, draws=16), jax.random.key(0)
        return streamed.best(policy, settings, key, belief, rule, rules.empty(rule), 8)

    one = best()
    monkeypatch.setattr(accelerators, "mesh", meshes.mesh)
    many = best()
    assert set(seen) == {None, meshes.mesh()}
    np.testing.assert_array_equal(one.pairs.i, many.pairs.i)
    np.testing.assert_array_equal(one.pairs.j, many.pairs.j)
    np.testing.assert_allclose(one.value, many.value, rtol=1e-5)
