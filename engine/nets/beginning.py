"""How parameters begin: the laws of PyTorch's layers, of which the paper's figures are made.

One draw for all: with a draw for each parameter, as flax has it, a small network takes longer to
begin (to compile what begins it) than to train. Flax's own laws are others: biases of 0, and
embeddings of another size.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from epistax.engine.types import Key

NEAR = 0.01  # sd of what a bilinear form has beyond ones and identities
JOINT, OUTWARD = "joint", "outward"  # layers of attention, whose biases begin at 0
GRAPH = "convolution"  # how the names of graph convolutions begin: Glorot's weights, biases of 0
STILL = "still"  # how the names of layers begin that tell 0 until they are trained


def begun(key: Key, shapes: dict[str, Any]) -> dict[str, Any]:
    """Parameters of these shapes, as flax nests and names them. The key is used."""
    k_even, k_normal = jax.random.split(key)
    leaves, tree = jax.tree.flatten(shapes)
    ends = [0]
    for leaf in leaves:
        ends.append(ends[-1] + leaf.size)
    even = jax.random.uniform(k_even, (ends[-1],), minval=-1.0)
    normal = jax.random.normal(k_normal, (ends[-1],))

    def parts(x: Float[Array, "n"]) -> Any:
        cut = zip(ends[:-1], ends[1:], leaves, strict=True)
        return jax.tree.unflatten(tree, [x[a:b].reshape(leaf.shape) for a, b, leaf in cut])

    return of_layer("", parts(even), parts(normal))


def of_layer(name: str, even: Any, normal: Any) -> Any:
    """Parameters of a layer and of those in it, from U(-1, 1) and N(0, 1) of the same shapes."""
    made = {}
    for leaf, u in even.items():
        z = normal[leaf]
        if isinstance(u, dict):
            made[leaf] = of_layer(leaf, u, z)
        elif leaf in ("free", "token", "embedding"):  # vectors of genes, of levels
            made[leaf] = z
        elif leaf == "features":  # of genes, of which nothing is known: as word2vec begins
            made[leaf] = u / (2 * u.shape[1])
        elif leaf in ("weight", "diagonal"):  # of a bilinear form: identities, ones
            made[leaf] = (jnp.eye(u.shape[1])[None] if u.ndim == 3 else 1.0) + NEAR * z
        elif leaf == "offset":
            made[leaf] = NEAR * z
        elif leaf in ("scale", "slope", "edges", "loops"):  # of a norm, a dose, logits of edges
            made[leaf] = jnp.ones_like(u)
        elif leaf == "shift":
            made[leaf] = jnp.zeros_like(u)
        elif leaf == "bias" and ("kernel" not in even or name.startswith((JOINT, OUTWARD, GRAPH))):
            made[leaf] = jnp.zeros_like(u)
        else:
            made[leaf] = u * bound(name, even["kernel"].shape)
    return made


def bound(name: str, shape: tuple[int, int]) -> float:
    """The largest weight and bias of a linear layer: 1/sqrt(inputs); Glorot's or 0 of some."""
    if name.startswith(STILL):
        return 0.0
    return (6 / sum(shape)) ** 0.5 if name.startswith((JOINT, GRAPH)) else shape[0] ** -0.5
