"""Integers whose bits are mixed: what must look random, is wanted quickly, and needs no more."""

import jax.numpy as jnp
from jaxtyping import Array, UInt32


def mixed(x: UInt32[Array, "..."]) -> UInt32[Array, "..."]:
    """The bits of x well mixed, one to one: the finaliser of MurmurHash3."""
    for shift, factor in ((16, 2246822507), (13, 3266489909)):
        x = (x ^ (x >> shift)) * jnp.uint32(factor)
    return x ^ (x >> 16)
