"""Linear layers with batch normalisation, and what a cell is described by to them.

As PyTorch has it: the running moments move by a tenth, epsilon is 1e-5. One thing differs: the
running variance is the batch's own (flax), not the unbiased one (PyTorch), 1/b less.
"""

from dataclasses import dataclass

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from epistax.engine.nets.layers import Linear


@dataclass(frozen=True)
class Widths:
    """Sizes of what is learned, by default the published ones; static."""

    outcome: int = 256  # units that read the expression
    covariate: int = 16  # numbers a level has
    width: int = 128  # of hidden layers
    latent: int = 128
    depth: int = 3  # layers of encoder and decoder

    def __post_init__(self) -> None:
        least = {"outcome": 1, "covariate": 1, "width": 1, "latent": 1, "depth": 2}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise ValueError(f"`{name}` is {getattr(self, name)}; it must be at least {low}")

    @property
    def hidden(self) -> tuple[int, ...]:
        """Of the hidden layers."""
        return (self.width,) * (self.depth - 1)


@dataclass(frozen=True)
class Shape:
    """Sizes of what is read, and of what is learned; static."""

    genes: int
    doses: int  # numbers of a treatment
    levels: tuple[int, ...]  # of each covariate
    widths: Widths = Widths()


class Stack(nn.Module):
    """Linear, BatchNorm, ReLU of each width; then, of a width to end with, Linear alone."""

    widths: tuple[int, ...]
    last: int | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b d"], train: bool) -> Float[Array, "b h"]:
        """Hidden units of each row; in training by the moments of these rows."""
        for width in self.widths:
            x = Linear(width)(x)
            x = nn.relu(nn.BatchNorm(not train, momentum=0.9, epsilon=1e-5)(x))
        return x if self.last is None else Linear(self.last)(x)


class Covariates(nn.Module):
    """A learned vector of each level; those of a cell's levels side by side."""

    levels: tuple[int, ...]
    width: int

    @nn.compact
    def __call__(self, x: Int[Array, "b m"]) -> Float[Array, "b c"]:
        """One row a cell."""
        zeros = nn.initializers.zeros
        tables = [nn.Embed(count, self.width, embedding_init=zeros) for count in self.levels]
        told = [table(x[:, place]) for place, table in enumerate(tables)]
        return jnp.concatenate(told, axis=1) if told else jnp.zeros((len(x), 0))


class Described(nn.Module):
    """What is known of a cell: units that read its expression, its treatment, its covariates."""

    shape: Shape

    @nn.compact
    def __call__(
        self, y: Float[Array, "b g"], t: Float[Array, "b r"], x: Int[Array, "b m"]
    ) -> Float[Array, "b u"]:
        """One row a cell."""
        known = Covariates(self.shape.levels, self.shape.widths.covariate)(x)
        return jnp.concatenate([nn.relu(Linear(self.shape.widths.outcome)(y)), t, known], axis=1)


def nothing(shape: Shape) -> tuple[Float[Array, "2 g"], Float[Array, "2 r"], Int[Array, "2 m"]]:
    """Expression, treatment and levels of two rows, for the parameters' shapes."""
    levels = jnp.zeros((2, len(shape.levels)), jnp.int32)
    return jnp.zeros((2, shape.genes)), jnp.zeros((2, shape.doses)), levels
