"""Genes of a row as tokens that look at one another: the authors' later form of NAIAD.

Two blocks of multi-head attention and a two-layer network, each added to what goes in, with one
LayerNorm between them; then the mean over genes or a learned extra token, and the usual head.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from epistax.engine.nets.beginning import JOINT, OUTWARD
from epistax.engine.nets.layers import Drop, Head, Linear, picked

BLOCKS = 2
EPSILON = 1e-5  # of LayerNorm
NEVER = -1e9  # finite: a row without genes must not make a gradient NaN


def heads(width: int) -> int:
    """How many heads attention has; the vector of a gene has so many times this width."""
    return max(2, width.bit_length() - 1)


class Transformer(nn.Module):
    """The effect of a row from its genes' vectors; heads divides their width."""

    heads: int
    dropout: float
    token: bool  # read an extra token of its own, not the mean over genes

    @nn.compact
    def __call__(
        self, table: Float[Array, "p d"], genes: Int[Array, "q k"], train: bool
    ) -> Float[Array, "q"]:
        """One number a row."""
        x, there = picked(table, genes), genes >= 0
        if self.token:
            extra = self.param("token", nn.initializers.zeros, (table.shape[1],))
            first = jnp.broadcast_to(extra[None, None, :], (len(x), 1, x.shape[2]))
            x = jnp.concatenate([first, x], axis=1)
            there = jnp.concatenate([jnp.ones((len(x), 1), bool), there], axis=1)
        for _ in range(BLOCKS):
            x = Block(self.heads, self.dropout)(x, there, train)
        if self.token:
            return Head(self.dropout)(x[:, 0], train)
        total = jnp.sum(jnp.where(there[..., None], x, 0.0), axis=1)
        share = jnp.maximum(jnp.sum(there, axis=1), 1).astype(x.dtype)
        return Head(self.dropout)(total / share[:, None], train)


class Block(nn.Module):
    """x + attention(x), LayerNorm, x + network(x)."""

    heads: int
    dropout: float

    @nn.compact
    def __call__(
        self, x: Float[Array, "q k d"], there: Bool[Array, "q k"], train: bool
    ) -> Float[Array, "q k d"]:
        """Tokens of the same shape; what a token that is not there becomes means nothing."""
        x = x + Attention(self.heads, self.dropout)(x, there, train)
        x = nn.LayerNorm(epsilon=EPSILON)(x)
        hidden = nn.gelu(Linear(x.shape[-1])(x), approximate=False)
        return x + Linear(x.shape[-1])(Drop(self.dropout)(hidden, train))


class Attention(nn.Module):
    """Multi-head attention of tokens on one another."""

    heads: int
    dropout: float

    @nn.compact
    def __call__(
        self, x: Float[Array, "q k d"], there: Bool[Array, "q k"], train: bool
    ) -> Float[Array, "q k d"]:
        """A mixture of the tokens that are there, for each token."""
        q, k, d = x.shape
        joint = Linear(3 * d, name=JOINT)(x)
        query, of, value = jnp.split(joint.reshape(q, k, 3 * self.heads, -1), 3, axis=2)
        score = jnp.einsum("qihd,qjhd->qhij", query, of) * (d // self.heads) ** -0.5
        share = jax.nn.softmax(jnp.where(there[:, None, None, :], score, NEVER), axis=-1)
        mixed = jnp.einsum("qhij,qjhd->qihd", Drop(self.dropout)(share, train), value)
        return Linear(d, name=OUTWARD)(mixed.reshape(q, k, d))
