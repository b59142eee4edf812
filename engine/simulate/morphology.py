"""The genes of a morphology screen: pathways, effects of singles, interactions of pairs.

Stands in for the 50 genes of "Pairwise interactions in cell morphology" and of "Automated
Discovery of Pairwise Interactions from Unstructured Data", section 5.3, which are not public. Of
the pathways of their gene list; what a single does is its loadings on pathway axes,

    e_g = B L_g + N(0, .3^2 I / d),    Gamma_gh = .9 sum_r c_r a_gr a_hr beta_r (+ lethal pairs),

and R(g, h) = |Gamma_gh|^2 is of rank 4 off the diagonal but for the synthetic-lethal pairs.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from numpy import ndarray

from epistax.engine.pairs import Pairs, upper
from epistax.engine.types import Key

# pathway: genes of 50, how much its genes interact
PATHWAYS = {
    "mTOR amino acid": (1, 0.3),
    "apoptosis": (9, 1.6),
    "autophagy": (10, 0.4),
    "ERAD": (3, 0.5),
    "ISR": (1, 0.7),
    "microtubule": (3, 0.3),
    "PI3K": (1, 0.5),
    "proteasome": (3, 1.8),
    "translation": (1, 0.9),
    "translation mTOR": (1, 0.9),
    "ribosome": (3, 1.1),
    "transcription": (1, 0.6),
    "UPR": (6, 0.5),
    "mTOR": (6, 0.9),
    "p53": (1, 1.2),
}
NAMES, SIZES, HUBS = (*PATHWAYS,), *zip(*PATHWAYS.values(), strict=True)
DEATH = NAMES.index("apoptosis")  # the axis along which synthetic-lethal pairs go
PLEIOTROPIC = (NAMES.index("proteasome"), NAMES.index("ribosome"))
STRENGTH = (0.9, 0.72, 0.54, 0.36)  # .9 c_r of the four interaction axes
LETHAL, WITHIN = 15, 6.0  # synthetic-lethal pairs of 50 genes; how much likelier in a pathway


class Biology(NamedTuple):
    """What p genes of k pathways do to d features, apart from any experiment."""

    pathway: Int[ndarray, "p"]  # position in NAMES
    loading: Float[Array, "p k"]
    effect: Float[Array, "p d"]
    activity: Float[Array, "p r"]
    pairs: Pairs
    lethal: Bool[Array, "q"]
    gamma: Float[Array, "q d"]

    @property
    def reward(self) -> Float[Array, "q"]:
        """R of every pair, in squared units of the features."""
        return jnp.sum(self.gamma**2, axis=1)

    @property
    def same_pathway(self) -> Bool[ndarray, "q"]:
        """Pairs within a pathway."""
        return self.pathway[self.pairs.i] == self.pathway[self.pairs.j]


def biology(key: Key, p: int, *, pathways: int = len(NAMES), d: int = 128) -> Biology:
    """One draw of the genes; p = 50 has the published sizes. The key is used up.

    ValueError where there are more pathways than genes or names, or too few features.
    """
    member = members(p, pathways)
    if d < pathways + len(STRENGTH):
        need = pathways + len(STRENGTH)
        raise ValueError(f"`d` is {d}, but {pathways} pathways need at least {need} features")
    k_axes, k_beta, k_load, k_rest, k_activity, k_lethal = jax.random.split(key, 6)
    axes = jax.random.orthogonal(k_axes, d)[:pathways]
    beta = jax.random.orthogonal(k_beta, d)[: len(STRENGTH)]
    load = loadings(k_load, member, pathways)
    effect = load @ axes + 0.3 / d**0.5 * jax.random.normal(k_rest, (p, d))
    hub = jnp.asarray(HUBS)[member]
    activity = 0.6 * hub[:, None] * jax.random.exponential(k_activity, (p, len(STRENGTH)))
    pairs = upper(p)
    within = member[pairs.i] == member[pairs.j]
    lethal, size = lethality(k_lethal, within, max(1, round(LETHAL * len(within) / 1225)))
    gamma = activity[pairs.i] * activity[pairs.j] * jnp.asarray(STRENGTH)[None, :] @ beta
    towards = 0.6 * beta[0] + 0.8 * axes[min(DEATH, pathways - 1)]
    gamma += size[:, None] * (towards / jnp.linalg.norm(towards))[None, :]
    return Biology(member, load, effect, activity, pairs, lethal, gamma)


def members(p: int, pathways: int) -> Int[ndarray, "p"]:
    """The pathway of every gene: at least one each, else in the published proportions."""
    if not 1 <= pathways <= min(p, len(NAMES)):
        most = f"the {p} genes" if p < len(NAMES) else f"the {len(NAMES)} that have names"
        raise ValueError(f"`pathways` is {pathways}; give at least 1 and at most {most}")
    share = np.array(SIZES[:pathways]) * p / sum(SIZES[:pathways])
    size = np.ones(pathways, int)
    for _ in range(p - pathways):  # each further gene goes where most are missing
        size[np.argmax(share - size)] += 1
    return np.repeat(np.arange(pathways), size)


def loadings(key: Key, member: Int[ndarray, "p"], pathways: int) -> Float[Array, "p k"]:
    """Own pathway +-Gamma(4, .25); off-target effects; pleiotropy of the large complexes."""
    k_size, k_sign, k_hit, k_off, k_wide = jax.random.split(key, 5)
    p = len(member)
    own = jax.nn.one_hot(member, pathways)
    sign = jnp.where(jax.random.bernoulli(k_sign, 0.85, (p,)), 1.0, -1.0)
    size = 0.25 * jax.random.gamma(k_size, 4.0, (p,)) * sign
    hit = jax.random.bernoulli(k_hit, 0.06, own.shape)
    off = 0.4 * jax.random.normal(k_off, own.shape) * hit
    wide = jnp.isin(member, jnp.asarray(PLEIOTROPIC))
    return size[:, None] * own + off + 0.35 * jax.random.normal(k_wide, own.shape) * wide[:, None]


def lethality(
    key: Key, within: Bool[ndarray, "q"], count: int
) -> tuple[Bool[Array, "q"], Float[Array, "q"]]:
    """Which pairs are synthetic lethal, and how strongly: Gamma(9, .14), 0 elsewhere."""
    k_where, k_size = jax.random.split(key)
    weight = jnp.where(within, WITHIN, 1.0)
    q = len(within)
    at = jax.random.choice(k_where, q, (count,), replace=False, p=weight / weight.sum())
    size = 0.14 * jax.random.gamma(k_size, 9.0, (count,))
    return jnp.zeros(q, bool).at[at].set(True), jnp.zeros(q).at[at].set(size)
