"""What the networks of combinations share: dropout, a head, a table of genes.

Flax is told to begin all parameters at 0: `beginning` has the laws that they are drawn from.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from epistax.engine.nets.hashing import mixed

WORDS = 1 << 32
Linear = functools.partial(nn.Dense, kernel_init=nn.initializers.zeros)


class Drop(nn.Module):
    """Dropout; who is dropped is decided by a hash of its place and of two words that are drawn.

    A word of its own for each number takes longer to compile than all the rest of a network.
    """

    rate: float

    @nn.compact
    def __call__(self, x: Float[Array, "... d"], train: bool) -> Float[Array, "... d"]:
        """X with a share of its numbers 0 and the others larger by as much; x itself untrained."""
        if not train or not self.rate:
            return x
        first, second = jax.random.bits(self.make_rng("dropout"), (2,), jnp.uint32)
        place = jax.lax.iota(jnp.uint32, x.size).reshape(x.shape)
        word = mixed(mixed(place ^ first) + second)
        return jnp.where(word >= jnp.uint32(round(self.rate * WORDS)), x / (1 - self.rate), 0.0)


class Head(nn.Module):
    """Linear, dropout, ReLU, linear: from what the genes of a row add up to, to one number."""

    dropout: float

    @nn.compact
    def __call__(self, z: Float[Array, "q d"], train: bool) -> Float[Array, "q"]:
        """One number a row."""
        hidden = nn.relu(Drop(self.dropout)(Linear(z.shape[-1])(z), train))
        return Linear(1)(hidden)[:, 0]


class Genes(nn.Module):
    """A learned vector of each gene, and a linear map of what is known of it."""

    genes: int
    width: int

    @nn.compact
    def __call__(self, side: Float[Array, "p c"] | None) -> Float[Array, "p d"]:
        """The vectors of all genes."""
        table = self.param("free", nn.initializers.zeros, (self.genes, self.width))
        return table if side is None else table + Linear(self.width)(side)


def picked(table: Float[Array, "p d"], genes: Int[Array, "q k"]) -> Float[Array, "q k d"]:
    """The vectors of these genes; 0 of gene -1."""
    return jnp.where((genes >= 0)[..., None], table[genes], 0.0)
