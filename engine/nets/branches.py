"""The two branches of NAIAD: single effects, and embeddings of genes; their sum is the prediction.

"NAIAD" (active learning of combinatorial perturbations), section 3.1: phi([Y_i, Y_j] W_1) A_1 +
f(phi(W_2 X_i), phi(W_2 X_j)) A_2, with the layers of the authors' program, which has one more in
each branch than the equation.
"""

from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from epistax.engine.nets.layers import Drop, Head, Linear, picked


class Pheno(nn.Module):
    """The effect of a row from the single effects of its genes, that of none where there is none.

    ordered, as published, reads the effects as they stand: another order, another answer. sorted
    reads them from the least to the largest, which is symmetric and leaves nothing out.
    """

    hidden: int
    dropout: float
    form: Literal["ordered", "sorted"]

    @nn.compact
    def __call__(self, singles: Float[Array, "q k"], train: bool) -> Float[Array, "q"]:
        """One number a row."""
        x = jnp.sort(singles, axis=1) if self.form == "sorted" else singles
        for _ in range(2):
            x = Drop(self.dropout)(Linear(self.hidden, use_bias=False)(x), train)
            x = nn.gelu(x, approximate=False)
        return Linear(1)(x)[:, 0]


class Embed(nn.Module):
    """The effect of a row from its genes' vectors: a network for each, their sum, a head."""

    dropout: float

    @nn.compact
    def __call__(
        self, table: Float[Array, "p d"], genes: Int[Array, "q k"], train: bool
    ) -> Float[Array, "q"]:
        """One number a row."""
        width = table.shape[1]
        each = Linear(width)(picked(table, genes))
        each = Linear(width)(nn.relu(Drop(self.dropout)(each, train)))
        there = (genes >= 0)[..., None]
        return Head(self.dropout)(jnp.sum(jnp.where(there, each, 0.0), axis=1), train)
