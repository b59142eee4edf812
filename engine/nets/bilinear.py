"""RECOVER's bilinear form of two genes' vectors, as published and made symmetric.

Bertin et al. 2023, "RECOVER", as the benchmark of "NAIAD", appendix B, has it: what is added to
the sum of the single effects. With v_i, v_j the outputs of one network for each gene,

    z_q = o_q + sum_p (W_qp . v_i) D_qp (W_pq . v_j)        as published: i and j differ
    z_q = o_q + sum_p (W_qp . v_i) D_qp (W_qp . v_j)        symmetric

Either is z_q = o_q + v_i' T_q v_j with one T_q for all rows, which halves the work of a batch.
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from epistax.engine.nets.layers import Drop, Head, Linear, picked


class Recover(nn.Module):
    """The sum of the single effects and a head of the bilinear form.

    The symmetric form takes any number of genes, and sums over pairs of them; a gene that is given
    twice makes a pair with itself. The published one takes two.
    """

    dropout: float
    symmetric: bool

    @nn.compact
    def __call__(
        self,
        table: Float[Array, "p d"],
        genes: Int[Array, "q k"],
        singles: Float[Array, "q k"],
        train: bool,
    ) -> Float[Array, "q"]:
        """One number a row."""
        d, there = table.shape[1], genes >= 0
        v = picked(table, genes)
        for _ in range(2):
            v = nn.relu(Drop(self.dropout)(Linear(d)(v), train))
        v = jnp.where(there[..., None], Linear(d)(v), 0.0)
        form = tensor(
            self.param("weight", nn.initializers.zeros, (d, d, d)),
            self.param("diagonal", nn.initializers.zeros, (d, d)),
            symmetric=self.symmetric,
        )
        z = outer(v, symmetric=self.symmetric).reshape(-1, d * d) @ form.reshape(d, d * d).T
        z = z + self.param("offset", nn.initializers.zeros, (d,))[None, :]
        return jnp.sum(jnp.where(there, singles, 0.0), axis=1) + Head(self.dropout)(z, train)


def tensor(
    weight: Float[Array, "d d d"], diagonal: Float[Array, "d d"], *, symmetric: bool
) -> Float[Array, "d d d"]:
    """T: T_q[r, s] = sum_p W_qp[r] D_qp W_pq[s]; of the symmetric form, W_qp[s]."""
    other = weight if symmetric else weight.transpose(1, 0, 2)
    return jnp.einsum("qpr,qps->qrs", weight * diagonal[..., None], other)


def outer(v: Float[Array, "q k d"], *, symmetric: bool) -> Float[Array, "q d d"]:
    """v_i v_j'; of the symmetric form the mean of that and its transpose, summed over pairs."""
    if not symmetric:
        if v.shape[1] != 2:
            raise ValueError(
                f"recover: rows of {v.shape[1]} genes; it takes 2, or use its symmetric form"
            )
        return v[:, 0, :, None] * v[:, 1, None, :]
    k = v.shape[1]
    pairs = [(i, j) for i in range(k) for j in range(i + 1, k)]
    one = sum(v[:, i, :, None] * v[:, j, None, :] for i, j in pairs)
    return (one + one.transpose(0, 2, 1)) / 2
