"""What the sides of `bench critic` compute."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.benchmarks import critic, critictorch
from epistax.engine.interaction import critic as critics


@pytest.mark.slow
def test_both_sides_end_at_the_same_parameters():
    records = list(critic.suite(size=4, repeats=1, seed=0))
    assert {r["name"] for r in records} == {"critic.train"} and len(records) == 2
    seen = critic.FOLDS * critic.BATCH * records[0]["size"]["steps"]
    for record in records:
        assert record["classes"] == 11 and 0 < record["gemm_share"] < 1
        assert record["observations_per_second"] == seen / record["ours_seconds"]
    assert 0 <= records[1]["parameter_difference"] < critic.CLOSE
    if records[0]["reference"]:  # as fast as the products go: the most that the ratio can be
        assert records[0]["most"] > records[0]["ratio"]


def test_operations_of_the_products_are_counted():
    few, many = critic.network(4), critic.network(50)
    layers = 2 * 1024 * (2 * 3 * 128 + 3 * 128 * 64 + 3 * 64 * 11)
    assert critic.operations(3, 11, few) == layers
    compiled = jax.jit(jnp.matmul).lower(jnp.ones((1024, 64)), jnp.ones((64, 1276))).compile()
    more = critic.operations(15, 1276, many) - critic.operations(15, 1275, many)
    assert more == 3 * (compiled.cost_analysis()["flops"] / 1276 + 2 * 64 * 64)


@pytest.mark.slow  # PyTorch takes longer to import than both sides to compute
@pytest.mark.parametrize("genes", [4, 13])
def test_the_loop_has_our_loss_and_our_slopes(genes):
    torch = pytest.importorskip("torch")
    made, _, dealt, keys, state = critic.prepared(genes, 10, 5, 1, 0)
    params, stats = (jax.tree.map(lambda v: v[0], part) for part in (state.params, state.stats))
    x, label = dealt.x[::3], dealt.label[::3]
    members = jnp.asarray(dealt.members, jnp.int32)
    rest = ({}, jnp.asarray(x), jnp.asarray(label), members, stats["log_prior"])
    of_batch = critics.trained_on(made)
    (value, _), slopes = jax.value_and_grad(of_batch, argnums=1, has_aux=True)(
        keys[0], params, *rest
    )

    net = critictorch.network(made, x.shape[1], len(members), genes)
    ours, names = (flat(tree) for tree in (params, slopes)), dict(net.named_parameters())
    values, slopes = ours
    assert set(names) == set(values)
    for name, one in names.items():
        one.data = torch.tensor(values[name])
    known = critictorch.Classes(
        torch.tensor(np.asarray(members)).long(), torch.tensor(np.asarray(stats["log_prior"]))
    )
    lost = critictorch.loss(net, torch.tensor(x), torch.tensor(label).long(), known, made.loss)
    np.testing.assert_allclose(value, float(lost.detach()), rtol=1e-5)
    lost.backward()
    for name, one in names.items():
        np.testing.assert_allclose(one.grad.numpy(), slopes[name], rtol=1e-3, atol=2e-6)


def flat(params):
    """Our parameters under the loop's names and in its layout."""
    found = {}
    for k in range(2):
        layer = params["encoder"][f"Dense_{k}"]
        found[f"encoder.{2 * k}.weight"] = np.asarray(layer["kernel"]).T
        found[f"encoder.{2 * k}.bias"] = np.asarray(layer["bias"])
    head = {name: np.asarray(v) for name, v in params["head"].items()}
    if "weight" in head:
        return found | {"head.weight": head["weight"], "head.bias": head["bias"]}
    embedded = {"class.weight": head["class"], "lift.weight": head["lift"].T}
    return found | embedded | {"tilt.weight": head["tilt"][None]}
