"""Separability of pairs without a critic: divergences from the control by nearest neighbours.

"Automated Discovery of Pairwise Interactions from Unstructured Data", eq. 8: where i and j act
through apart mechanisms, KL(p_ij || p_0) - KL(p_i || p_0) - KL(p_j || p_0) = 0. Each divergence
comes out too small, the large ones the most (see `engine.stats.knn`), so that separable pairs of
strong effects score below 0: the score ranks pairs, and the larger its absolute value, the less
separable. It has neither standard error nor p-value: the bias is no smaller than the scatter and
nothing in the data tells its size.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int
from numpy import ndarray
from scipy.spatial import cKDTree

from epistax.engine.interaction.arms import (
    Data,
    arm,
    class_batches,
    on_device,
    padded,
    power_of_two,
)
from epistax.engine.interaction.paired import BUDGET, in_order, resident
from epistax.engine.mesh import copied, devices, each
from epistax.engine.screen import Screen
from epistax.engine.stats import knn
from epistax.engine.stats.components import leading
from epistax.engine.types import Key, Scalar

COMPONENTS = 10  # features, at most, that neighbours are looked for in
LEAST = knn.NEIGHBOURS + 2  # observations of a class, or of the control

Method: TypeAlias = Literal["fixed", "adaptive"]
PerClass: TypeAlias = Callable[[Int[ndarray, "k"]], Float[ndarray, "k"]]
PerPair: TypeAlias = Callable[[Int[ndarray, "b"]], Float[ndarray, "b"]]


class Space(NamedTuple):
    """A screen as distances are taken in it, one scale and one jitter for all its classes."""

    screen: Screen
    features: int  # that vary, of the screen as it was
    share: float  # of their variance that is left; below 1 where they were projected


def space(key: Key, screen: Screen) -> Space:
    """Standardised over the whole screen; more than COMPONENTS features are projected first.

    Onto their leading principal components, because the estimate loses more with every dimension.
    The key is used up.
    """
    x, group = np.asarray(screen.x), np.repeat(np.arange(len(screen.count)), screen.count)
    mean, sd = knn.scales(x, group)
    features, share = int((sd > 0).sum()), 1.0
    if features > COMPONENTS:
        x, share = leading(x[:, sd > 0], mean[sd > 0], sd[sd > 0], count=COMPONENTS)
    return Space(screen._replace(x=knn.prepare(key, x, group)), features, share)


def separable(space: Space, *, method: Method = "fixed", mesh: Mesh | None = None) -> PerPair:
    """The signed score of pairs by their positions in screen.pairs, in nats.

    NaN where a class of a pair, or the control, has fewer than LEAST observations. The singles'
    divergences are computed once, here.
    """
    screen = space.screen
    of_classes = divergences(space, method=method, mesh=mesh)
    alone = of_classes(1 + np.arange(screen.singles))

    def test(pairs: Int[ndarray, "b"]) -> Float[ndarray, "b"]:
        both = of_classes(1 + screen.singles + pairs)
        return both - alone[screen.pairs.i[pairs]] - alone[screen.pairs.j[pairs]]

    return test


def divergences(space: Space, *, method: Method = "fixed", mesh: Mesh | None = None) -> PerClass:
    """KL(p_c || p_0) of classes, in nats, by one of `knn`'s methods; the mesh serves brute force.

    What is said of a class does not depend on which are asked for together.
    """
    screen, d = space.screen, space.screen.x.shape[1]
    if not d:
        return lambda classes: np.full(len(classes), np.nan)
    measure = trees(screen, method) if d <= knn.TREE else tiles(screen, method, mesh)

    def of_classes(classes: Int[ndarray, "k"]) -> Float[ndarray, "k"]:
        found = np.full(len(classes), np.nan)
        enough = np.minimum(screen.count[classes], screen.count[0]) >= LEAST
        if enough.any():
            found[enough] = measure(classes[enough])
        return found

    return of_classes


def trees(screen: Screen, method: Method) -> PerClass:
    """On the host, by one tree of the control for all classes."""
    x, first, last = np.asarray(screen.x), screen.first, screen.first + screen.count
    control = cKDTree(x[: last[0]])

    def measure(classes: Int[ndarray, "k"]) -> Float[ndarray, "k"]:
        return np.array(
            [knn.by_tree(x[first[c] : last[c]], control, method=method) for c in classes]
        )

    return measure


def tiles(screen: Screen, method: Method, mesh: Mesh | None) -> PerClass:
    """By brute force on the device, classes of one padded length at a time."""
    data = copied(on_device(screen), mesh)
    static = {"method": method, "control": padded(int(screen.count[0])), "resident": resident()}

    def of_length(length: int) -> Callable[..., Float[Array, "k"]]:
        return each(mesh, by_brute, split=1, length=length, **static)

    def measure(classes: Int[ndarray, "k"]) -> Float[ndarray, "k"]:
        cut = {"budget": BUDGET, "multiple": devices(mesh)}
        parts = (
            (batch, of_length(*batch.lengths)(jnp.asarray(batch.index, jnp.int32), data))
            for batch in class_batches(screen, classes, **cut)
        )
        return in_order(parts, classes)

    return measure


def by_brute(
    classes: Int[Array, "k"],
    data: Data,
    *,
    method: Method,
    length: int,
    control: int,
    resident: int,
) -> Float[Array, "k"]:
    """Divergences of classes of at most `length` observations from a control of at most `control`.

    resident is how many squared distances are worked on at once.
    """
    measure = {"fixed": knn.fixed, "adaptive": knn.adaptive}[method]
    reference = arm(data, 0, control)

    def one(which: Int[Array, ""]) -> Scalar:
        own = arm(data, which, length)
        return measure(own.x, reference.x, own.mask, reference.mask)

    together = min(classes.shape[0], power_of_two(resident // (length * (length + control))))
    return jax.lax.map(one, classes, batch_size=together)
