"""The networks of models that graphVCI is compared with: CEVAE, GANITE and CPA.

Each reads and tells what the others do, with layers as wide: expression of all genes, a treatment
of many doses, several covariates. Louizos et al. 2017 (CEVAE), Yoon et al. 2018 (GANITE) and
Lotfollahi et al. 2023 (CPA) have other data, or one outcome.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from epistax.engine.nets.readout import Outputs, PerGene
from epistax.engine.nets.stack import Covariates, Described, Shape, Stack

WIDTH = 64  # of the networks that tell treatments and covariates
NUMBERS = 2  # told of each gene: of a normal law


class Told(NamedTuple):
    """What CEVAE's smaller networks tell: p(x | z), p(t | z), q(t | x), q(y | x, t)."""

    levels: list[Float[Array, "b c"]]  # logits
    doses: Float[Array, "b r"]  # logits of each
    before: Float[Array, "b r"]
    outcome: Outputs


class Auxiliary(nn.Module):
    """CEVAE beside its encoder and decoder."""

    shape: Shape

    @nn.compact
    def __call__(
        self, z: Float[Array, "b z"], t: Float[Array, "b r"], x: Int[Array, "b m"], train: bool
    ) -> Told:
        """All four at once."""
        shape, widths = self.shape, self.shape.widths
        known = Covariates(shape.levels, widths.covariate)(x)
        hidden = Stack((widths.width,))(jnp.concatenate([known, t], axis=1), train)
        return Told(
            levels=[Stack((WIDTH,), count)(z, train) for count in shape.levels],
            doses=Stack((WIDTH,), shape.doses)(z, train),
            before=Stack((WIDTH,), shape.doses)(known, train),
            outcome=PerGene(shape.genes, NUMBERS)(hidden),
        )


class Generator(nn.Module):
    """GANITE's G(x, t, y, noise), for the treatment wanted."""

    shape: Shape

    @nn.compact
    def __call__(
        self,
        y: Float[Array, "b g"],
        t: Float[Array, "b r"],
        x: Int[Array, "b m"],
        wanted: Float[Array, "b r"],
        noise: Float[Array, "b e"],
        train: bool,
    ) -> Outputs:
        """What a cell would have expressed."""
        told = [Described(self.shape)(y, t, x), wanted, noise]
        hidden = Stack(self.shape.widths.hidden)(jnp.concatenate(told, axis=1), train)
        return PerGene(self.shape.genes, NUMBERS)(hidden)


class Doses(nn.Module):
    """CPA's treatment: a vector a perturbation, more of it by a sigmoid of the dose, 0 at 0."""

    width: int

    @nn.compact
    def __call__(self, t: Float[Array, "b r"]) -> Float[Array, "b z"]:
        """Their sum."""
        zeros = nn.initializers.zeros
        table = self.param("embedding", zeros, (t.shape[1], self.width))
        slope = self.param("slope", zeros, (t.shape[1],))
        shift = self.param("shift", zeros, (t.shape[1],))
        much = jax.nn.sigmoid(slope[None] * t + shift[None]) - jax.nn.sigmoid(shift)[None]
        return much @ table


class Compositional(nn.Module):
    """CPA: a basal state, to which vectors of the doses and of the levels are added."""

    shape: Shape

    def setup(self) -> None:
        """Encoder and decoder have a hidden layer more than the others'."""
        shape, widths = self.shape, self.shape.widths
        hidden = (*widths.hidden, widths.width)
        self.encoder, self.doses = Stack(hidden, widths.latent), Doses(widths.latent)
        self.covariates = Covariates(shape.levels, widths.latent)
        self.decoder, self.readout = Stack(hidden), PerGene(shape.genes, NUMBERS)

    def encode(self, y: Float[Array, "b g"], train: bool) -> Float[Array, "b z"]:
        """The basal state."""
        return self.encoder(y, train)

    def decode(
        self, z: Float[Array, "b z"], t: Float[Array, "b r"], x: Int[Array, "b m"], train: bool
    ) -> Outputs:
        """What is expressed in a basal state, so treated."""
        levels = self.covariates(x).reshape(len(x), -1, z.shape[1])
        return self.readout(self.decoder(z + self.doses(t) + jnp.sum(levels, axis=1), train))

    def everything(
        self, y: Float[Array, "b g"], t: Float[Array, "b r"], x: Int[Array, "b m"], train: bool
    ) -> Outputs:
        """Both at once."""
        return self.decode(self.encode(y, train), t, x, train)
