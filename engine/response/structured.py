"""Effects as the regulators of a graph have them: what the default makes of a graph.

Where a graph of regulation is known, an arm's effect is what it does to the activity of
regulators, by the weights of their edges where these are open (`refine`, whose edges are learned
from every cell and every arm). That takes less to learn than a number for each gene, and an edge
that is closed in a context is seen there. It is mixed with what the genes say one by one, the more
so the more it accounts for of what an arm was measured to change.
"""

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from epistax.engine.nets.regulation import Edges
from epistax.engine.response.expected import Full, slope
from epistax.engine.response.records import Cells, Design
from epistax.engine.response.refine import fitted
from epistax.engine.response.sparsefactors import weights
from epistax.engine.response.strata import Groups

SHARE = 0.7  # of an arm's effect, where the regulators account for all of what was measured
MOST = 256  # regulators: one after the other is looked at


def mixed(
    full: Full,
    groups: Groups,
    cells: Cells,
    design: Design,
    graph: Edges,
    hits: Int[ndarray, "r"],
    context: Int[ndarray, "c"],
) -> Full:
    """Shifts of arms that have cells, drawn towards those that regulators have."""
    regulators = np.unique(np.asarray(graph.source))
    if not 0 < len(regulators) <= MOST:
        return full
    shift = shifts(full, cells, design, graph, regulators, hits, context)
    share = SHARE * accounted(shift, groups, full)[None, :, None]
    common = full.shift - full.way
    return full._replace(
        shift=(1 - share) * full.shift + share * shift,
        way=(1 - share) * full.way + share * (shift - common),
    )


def shifts(
    full: Full,
    cells: Cells,
    design: Design,
    graph: Edges,
    regulators: Int[ndarray, "t"],
    hits: Int[ndarray, "r"],
    context: Int[ndarray, "c"],
) -> Float[ndarray, "c a g"]:
    """What regulators add to every stratum's controls under every arm.

    Edges are open or closed alike in the strata of a context.
    """
    fit = fitted(cells, design, graph, regulators, acts_on=hits)
    own = np.asarray(weights(fit.state, fit.fixed), float)
    number = np.asarray(fit.fixed.cells, float)
    total, size = np.zeros((context.max() + 1, *own.shape[1:])), np.bincount(context, number)
    np.add.at(total, context, number[:, None, None] * own)
    alike = (total / np.maximum(size, 1)[:, None, None])[context]
    active = np.asarray(fit.state.arm, float)
    offset = np.asarray(fit.state.offset, float)
    moved = np.einsum("crg,ar->cag", alike, active - active[:1]) + (offset - offset[:1])[None]
    steep = slope(full.base)
    usual = (number[:, None] * steep).sum(0) / max(number.sum(), 1)
    return moved * (fit.sd * steep / usual[None])[:, None]


def accounted(shift: Float[ndarray, "c a g"], groups: Groups, full: Full) -> Float[ndarray, "a"]:
    """Squared cosine of an arm's shifts with those measured, over its strata; 0 without cells."""
    count = groups.count[:, :, None]
    measured = np.where(count > 0, groups.mean - full.base[:, None], 0.0)
    cross, told, seen = (
        (count * product).sum((0, 2))
        for product in (shift * measured, shift**2, np.where(count > 0, measured**2, 0.0))
    )
    found: Float[ndarray, a] = np.maximum(cross, 0) ** 2 / np.maximum(told * seen, 1e-12)
    found[0] = 0.0
    return found
