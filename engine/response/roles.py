"""What a gene is to an arm, along a graph of who regulates whom."""

import numpy as np
from jaxtyping import Array, Float, Int
from numpy import ndarray

from epistax.engine.nets.regulation import Edges

REST, SECOND, TARGET, ITSELF = range(4)


def classes(
    graph: Edges | None,
    hits: Int[Array | ndarray, "r"] | None,
    arms: Float[ndarray, "a r"],
    genes: int,
) -> Int[ndarray, "a g"]:
    """What every gene is to an arm: what it hits, a target of that, a target's target, or none."""
    role = np.full((len(arms), genes), REST)
    if graph is None or hits is None:
        return role
    targets = np.zeros((genes, genes), bool)
    targets[np.asarray(graph.target), np.asarray(graph.source)] = True
    for arm, part in np.argwhere((arms[:, 1:] > 0) & (np.asarray(hits)[1:] >= 0)[None, :]):
        hit = int(np.asarray(hits)[1 + part])
        first = targets[:, hit]
        for role_of, which in ((SECOND, targets[:, first].any(1)), (TARGET, first)):
            role[arm, which] = np.maximum(role[arm, which], role_of)
        role[arm, hit] = ITSELF
    return role
