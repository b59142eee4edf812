"""Array aliases and the dimension alphabet of the engine.

Dimensions, everywhere: n observations or cells, p perturbations (genes), q pairs, d features,
g genes measured, z latents, r rank, s draws, e environments, b batch, k folds or restarts.
"""

from typing import Any, TypeAlias

from jaxtyping import Array, Float, Int
from jaxtyping import Key as KeyArray

Key: TypeAlias = KeyArray[Array, ""]
Keys: TypeAlias = KeyArray[Array, "s"]
Belief: TypeAlias = Any  # a pytree of arrays, private to the posterior that made it
Info: TypeAlias = dict[str, Any]  # named scalars for a human; the next step never needs them
Values: TypeAlias = Float[Array, "q"]
Index: TypeAlias = Int[Array, "b"]
Picked: TypeAlias = Float[Array, "b"]  # acquisition values of the pairs at Index
PerDraw: TypeAlias = Float[Array, "s"]
Scalar: TypeAlias = Float[Array, ""]
