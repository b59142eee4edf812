"""Parameters begin by the laws of PyTorch's layers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from epistax.engine.nets.combos import Combining, Rows, network

ROWS = Rows(jnp.zeros((1, 2), jnp.int32), jnp.zeros((1, 2)))


def begun(config, seed=0):
    return network(config).init(jax.random.key(seed), ROWS)


def even(x, bound):
    """Uniform up to the bound: by its range and Kolmogorov's test."""
    x = np.asarray(x).ravel()
    assert np.abs(x).max() <= bound
    return stats.kstest(x, stats.uniform(-bound, 2 * bound).cdf).pvalue


def test_linear_layers_are_uniform_by_their_inputs_biases_too():
    params = begun(Combining(500, 40, 90, symmetric=False))
    assert even(params["Pheno_0"]["Dense_0"]["kernel"], 2**-0.5) > 0.01
    assert even(params["Pheno_0"]["Dense_1"]["kernel"], 90**-0.5) > 0.01
    assert even(params["Embed_0"]["Dense_0"]["bias"], 40**-0.5) > 0.01
    assert even(params["Embed_0"]["Head_0"]["Dense_1"]["kernel"], 40**-0.5) > 0.01
    assert stats.kstest(np.asarray(params["table"]["free"]).ravel(), "norm").pvalue > 0.01


def test_the_bilinear_form_begins_near_identities_and_ones():
    own = begun(Combining(5, 30, 0, "bilinear"))["Recover_0"]
    noise = (np.asarray(own["weight"]) - np.eye(30)) / 0.01
    assert stats.kstest(noise.ravel(), "norm").pvalue > 0.01
    assert stats.kstest((np.asarray(own["diagonal"]).ravel() - 1) / 0.01, "norm").pvalue > 0.01
    assert np.std(own["offset"]) == pytest.approx(0.01, rel=0.5)


def test_attention_has_glorots_weights_and_no_biases_at_first():
    block = begun(Combining(5, 16, 0, "token"), seed=1)["Transformer_0"]["Block_0"]
    attention = block["Attention_0"]
    assert even(attention["joint"]["kernel"], (6 / (64 + 192)) ** 0.5) > 0.01
    assert even(attention["outward"]["kernel"], 64**-0.5) > 0.01
    for layer in ("joint", "outward"):
        np.testing.assert_array_equal(attention[layer]["bias"], 0)
    np.testing.assert_array_equal(block["LayerNorm_0"]["scale"], 1)
    np.testing.assert_array_equal(block["LayerNorm_0"]["bias"], 0)


def test_no_two_parameters_share_their_numbers():
    params = begun(Combining(9, 4, 8))
    leaves = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(params)])
    assert len(np.unique(leaves)) == len(leaves)
    other = begun(Combining(9, 4, 8), seed=1)
    assert not np.array_equal(params["table"]["free"], other["table"]["free"])
