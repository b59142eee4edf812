"""From what a cell's state is decoded to, h, to k numbers of each gene.

"Predicting Cellular Responses with Variational Causal Inference and Refined Relational
Information", eq. 9 and 10: each is att(h, Z_G(i)) . h. Where att is linear, nothing of the size of
cells x genes x units is needed: dot is (h W) Z_G' + h b; att without a softmax is that and one
number a cell, h' A h, of all genes alike; and a softmax over units of a sum, a_d + c_d, is
exp(a_d) exp(c_d) over the sum of these, two matrix products.
"""

from typing import Literal, TypeAlias

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Float

from epistax.engine.mesh import spread

Reading: TypeAlias = Literal["dot", "att", "mlp"]
Outputs: TypeAlias = tuple[Float[Array, "b g"], ...]
LOW = 40.0  # a unit whose logit is so far below the largest of its own side has no less


class PerGene(nn.Module):
    """A linear layer with weights of its own for each gene, k numbers of each."""

    genes: int
    k: int

    @nn.compact
    def __call__(self, h: Float[Array, "b d"]) -> Outputs:
        """The k numbers apart: what is not used is not computed."""
        zeros, n = nn.initializers.zeros, self.genes
        kernel = self.param("kernel", zeros, (h.shape[1], self.k * n))
        bias = self.param("bias", zeros, (self.k * n,))
        cuts = [slice(n * k, n * (k + 1)) for k in range(self.k)]
        return tuple(h @ kernel[:, cut] + bias[None, cut] for cut in cuts)


class ByGraph(nn.Module):
    """The k numbers by the genes' vectors Z_G."""

    reading: Reading
    k: int
    softmax: bool = False  # of att, over units; without it att sees the gene only by Z_G
    mesh: Mesh | None = None  # over which the genes are split

    @nn.compact
    def __call__(self, h: Float[Array, "b d"], z: Float[Array, "g v"]) -> Outputs:
        """The k numbers apart."""
        d, v = h.shape[1], z.shape[1]
        made = 1 if self.reading == "mlp" else d
        reads = v if self.reading == "dot" else d + v
        zeros, z = nn.initializers.zeros, spread(z, self.mesh)
        kernel = self.param("kernel", zeros, (reads, self.k * made))
        bias = self.param("bias", zeros, (self.k * made,))
        kernels, biases = jnp.split(kernel, self.k, axis=1), jnp.split(bias, self.k)
        read = {"dot": dot, "att": att, "mlp": linear}[self.reading]
        read = focused if self.reading == "att" and self.softmax else read
        return tuple(read(h, z, w, b) for w, b in zip(kernels, biases, strict=True))


def dot(
    h: Float[Array, "b d"], z: Float[Array, "g v"], w: Float[Array, "v d"], b: Float[Array, "d"]
) -> Float[Array, "b g"]:
    """The sum over d of h_d (z W + b)_d, eq. 10 with keys that do not depend on the cell."""
    return (h @ w.T) @ z.T + (h @ b)[:, None]


def att(
    h: Float[Array, "b d"], z: Float[Array, "g v"], w: Float[Array, "dv d"], b: Float[Array, "d"]
) -> Float[Array, "b g"]:
    """The sum over d of h_d ((h, z) W + b)_d: keys that depend on the cell, no softmax."""
    d = h.shape[1]
    return dot(h, z, w[d:], b) + jnp.sum(h * (h @ w[:d]), axis=1)[:, None]


def focused(
    h: Float[Array, "b d"], z: Float[Array, "g v"], w: Float[Array, "dv d"], b: Float[Array, "d"]
) -> Float[Array, "b g"]:
    """The sum over d of h_d softmax((h, z) W + b)_d: a mean of h's units."""
    d = h.shape[1]
    own, gene = weights(h @ w[:d] + b[None, :]), weights(z @ w[d:])
    return ((h * own) @ gene.T) / (own @ gene.T)


def weights(logits: Float[Array, "m d"]) -> Float[Array, "m d"]:
    """Exp of the logits less their largest, at least e^-40: products of two stay above 0."""
    top = jax.lax.stop_gradient(jnp.max(logits, axis=1, keepdims=True))
    return jnp.exp(jnp.maximum(logits - top, -LOW))


def linear(
    h: Float[Array, "b d"], z: Float[Array, "g v"], w: Float[Array, "dv 1"], b: Float[Array, "1"]
) -> Float[Array, "b g"]:
    """(h, z) w + b: one layer that reads cell and gene side by side."""
    d = h.shape[1]
    return (h @ w[:d]) + (z @ w[d:]).T + b[None, :]
