"""Prepare critics' log-ratios of a screen once, then test any of its pairs for separability."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int
from numpy import ndarray

from epistax.engine.interaction import paired, separability, wellnulls
from epistax.engine.interaction.arms import grouped, padded
from epistax.engine.interaction.readout import Readout, ratios, seen
from epistax.engine.interaction.separability import Classes, Statistics
from epistax.engine.interaction.wellnulls import Draws, Method
from epistax.engine.mesh import copied, devices, each
from epistax.engine.screen import Screen
from epistax.engine.stats import divergence
from epistax.engine.stats.divergence import GRID, Ratios
from epistax.engine.types import Scalar

BUDGET = 2**23  # hidden units of the rows of one call
SAMPLE = 256  # doubles whose curves choose a common clip


class RatioTests(NamedTuple):
    """Statistics of any pairs, and what they share."""

    test: Callable[[Int[ndarray, "b"]], Statistics]  # of positions in screen.pairs
    alone: Classes  # control and singles, by their number among the classes kept
    tau: float
    null: Callable[..., Callable[[Int[ndarray, "b"]], Draws]]  # of a method and a number of draws


def ratio_tests(
    screen: Screen,
    kept: ndarray,
    data: Readout,
    *,
    estimator: str,
    tau: float | None,
    seed: int,
    mesh: Mesh | None = None,
) -> RatioTests:
    """The tests of pairs whose three classes are kept; tau None takes the common clip of `match`.

    kept says which classes of the screen the critic knows.
    """
    number = np.where(kept, np.cumsum(kept) - 1, -1)
    lengths = np.asarray(data.count).max(axis=0)
    control = padded(int(lengths[0]))
    data = copied(data, mesh)
    p = screen.singles

    def batches(classes: Int[ndarray, "k"]) -> Any:
        wide = data.hidden.shape[1] * len(data.count)
        sizes = lengths[classes][:, None]
        cut = {"budget": BUDGET, "multiple": devices(mesh)}
        for at, real, (length,) in grouped(sizes, lambda m: (m + control) * wide, **cut):
            yield paired.Batch(at, real, (length,))

    def over(
        function: Callable[..., Any],
        classes: Int[ndarray, "k"],
        beside: tuple[Int[ndarray, "k ..."], ...],
        *args: Any,
        **how: Any,
    ) -> Any:
        """The function on classes and what stands beside them, in batches of equal padding."""
        parts, how = [], {"control": control, **how}
        for batch in batches(classes):
            cut = [jnp.asarray(v[batch.index], jnp.int32) for v in (classes, *beside)]
            run = each(mesh, function, split=len(cut), length=batch.lengths[0], **how)
            parts.append((batch, run(*cut, *args)))
        return paired.in_order(iter(parts), np.arange(len(classes)))

    singles = number[: 1 + p][kept[: 1 + p]]
    if tau is None:
        doubles = 1 + p + np.flatnonzero(kept[1 + p :])
        chosen = np.sort(np.random.default_rng(seed).permutation(doubles)[:SAMPLE])
        tau = common_clip(over, np.r_[singles[1:], number[chosen]], data)
    clip = jnp.float32(tau)
    alone = over(separability.of_classes, singles, (), data, clip, estimator=estimator)
    shared = copied(jax.tree.map(jnp.asarray, alone), mesh)

    def classes_of(pairs: Int[ndarray, "b"]) -> tuple[Int[ndarray, "b"], Int[ndarray, "b 2"]]:
        members = [number[1 + np.asarray(side)[pairs]] for side in screen.pairs]
        return number[1 + p + pairs], np.stack(members, axis=1)

    def test(pairs: Int[ndarray, "b"]) -> Statistics:
        doubles, members = classes_of(pairs)
        rest = ((members,), data, shared, clip)
        return over(separability.of_pairs, doubles, *rest, estimator=estimator)

    def null(method: Method, draws: int) -> Callable[[Int[ndarray, "b"]], Draws]:
        how = {"estimator": estimator, "method": method, "draws": draws}
        rest = (copied(jax.random.key(seed), mesh), data, clip)
        nobody = np.zeros((len(singles), 2), int)
        first = over(wellnulls.of_classes, singles, (nobody,), *rest, **how).kl

        def of_pairs(pairs: Int[ndarray, "b"]) -> Draws:
            doubles, members = classes_of(pairs)
            found = over(wellnulls.of_classes, doubles, (members,), *rest, **how)
            kl = found.kl - first[members[:, 0]] - first[members[:, 1]]
            return Draws(kl, found.logform)

        return of_pairs

    return RatioTests(test, alone, float(tau), null)


def common_clip(over: Callable[..., Any], classes: Int[ndarray, "k"], data: Readout) -> float:
    """The one clip by which SMILE is nearest to the bridge over the classes."""
    curves, bridge = over(curves_of, classes, (), data)
    known = jnp.isfinite(jnp.asarray(bridge))
    grid = jnp.asarray(GRID)
    return float(divergence.match(jnp.asarray(curves), jnp.asarray(bridge), known, grid))


def curves_of(
    classes: Int[Array, "b"], data: Readout, *, length: int, control: int
) -> tuple[Float[Array, "b t"], Float[Array, "b"]]:
    """SMILE over the grid of clips, and the bridge, of each class."""
    reference = seen(data, 0, control)

    def one(which: Int[Array, ""]) -> tuple[Float[Array, "t"], Scalar]:
        rows = seen(data, which, length)
        held = Ratios(
            ratios(rows, data, which), ratios(reference, data, which), rows.mask, reference.mask
        )
        curve = jax.vmap(lambda fold: divergence.curve(fold, jnp.asarray(GRID)))(held)
        return jnp.mean(curve, axis=0), jnp.mean(jax.vmap(divergence.bridge)(held))

    return jax.lax.map(one, classes, batch_size=separability.TOGETHER)
