"""Directed graphs of genes: who regulates whom."""

from typing import NamedTuple

from jaxtyping import Array, Int
from numpy import ndarray


class Edges(NamedTuple):
    """Edges from a regulator (source) to the gene it regulates (target), each once."""

    source: Int[Array | ndarray, "e"]
    target: Int[Array | ndarray, "e"]
