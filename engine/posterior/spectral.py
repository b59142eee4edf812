"""Where a fit of the low-rank reward starts, and the axes that it is told in.

Additive effects by damped ridge regression; then the leading eigenvectors, of either sign, of what
they leave: of the sparse matrix of measured pairs, scaled by the square roots of (degree + mean
degree) (Chaudhuri et al. 2012, JMLR W&CP 23:35), or, with side information h, of the mean of
y h_i h_j' over measured pairs, h whitened. A fit by gradients from a random start misses components
that few pairs a perturbation show.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from epistax.engine.posterior.blocks import Data, State, covariance, touched
from epistax.engine.posterior.partners import total
from epistax.engine.types import Key, Scalar, Values

RIDGE, SWEEPS = 4.0, 10  # pairs that pull an additive effect to 0
POWERS, SPARE = 30, 8  # of subspace iteration
WHITE = 1e-2  # share of the identity in what whitens side information
FIRM, SMALL, NOISE = 3.0, 1e-2, 0.1  # a start's information, least variance and sigma^2


def start(key: Key, data: Data, *, rank: int) -> State:
    """A state at the leading components; those beyond the columns of side information are 0."""
    z, p = data.features, len(data.features)
    level, effect, left = additive(data)
    find = sparse if z.shape[1] == 1 else projected
    u, sign, slope = find(key, data, left, rank)
    d = jnp.zeros((z.shape[1], rank + 1)).at[0, 0].set(level / 2).at[:, 1:].set(slope)
    mean = jnp.concatenate([(effect + level / 2)[:, None], u], 1)
    rest = (mean - z @ d).var(0) + jnp.where(z.shape[1] > 1, 0.3 * u.var(0).mean(), 0.0)
    alpha = 1 / jnp.maximum(rest, SMALL)
    information = jnp.tile(FIRM * jnp.diag(alpha)[None], (p, 1, 1))
    shift = alpha[None, :] * ((1 + FIRM) * mean - z @ d)
    free = z.shape[1] - 1
    beta = max(free, 1) / jnp.maximum((d[1:] ** 2).sum(0), SMALL)
    return State(information, shift, mean, d, alpha, beta, jnp.float32(NOISE), sign)


def additive(data: Data) -> tuple[Scalar, Float[Array, "p"], Values]:
    """The level, effects a_i, and what they leave of every measured pair (0 where it is unseen)."""
    (i, j), p = data.pairs, len(data.features)
    seen = data.keep.astype(jnp.float32)
    count = sides(seen, data, p)
    level = (seen * data.value).sum() / jnp.maximum(seen.sum(), 1)
    effect = jnp.zeros(p)
    for _ in range(SWEEPS):
        wrong = sides(seen * (data.value - level - effect[i] - effect[j]), data, p)
        effect = effect + 0.5 * (wrong - RIDGE * effect) / (count + RIDGE)
    return level, effect, seen * (data.value - level - effect[i] - effect[j])


def sides(value: Values, data: Data, p: int) -> Float[Array, "p"]:
    """Sums over the pairs of every perturbation."""
    i, j = data.pairs
    return jnp.zeros(p).at[i].add(value).at[j].add(value)


def sparse(
    key: Key, data: Data, left: Values, rank: int
) -> tuple[Float[Array, "p r"], Float[Array, "r"], Float[Array, "d r"]]:
    """u, d and the map from features (none) by subspace iteration."""
    p = len(data.features)
    count = sides(data.keep.astype(jnp.float32), data, p)
    root = jax.lax.rsqrt(count + jnp.maximum(count.mean(), 1e-6))
    (i, j), weight = data.pairs, data.partners
    scaled = left * root[i] * root[j]
    w = jnp.where(weight.filled, scaled[weight.entry], 0.0)

    def power(_: Array, x: Array) -> Array:
        return jnp.linalg.qr(total(weight, w, x))[0]

    size = min(p, rank + SPARE)
    x = jax.lax.fori_loop(0, POWERS, power, jax.random.normal(key, (p, size)))
    value, vector = jnp.linalg.eigh(symmetric(x.T @ total(weight, w, x)))
    value, vector = leading(value, x @ vector, rank)
    # an entry is measured with chance count / p, and scaled by about 2 count
    return vector * jnp.sqrt(2 * p * jnp.abs(value))[None, :], signs(value), jnp.zeros((1, rank))


def projected(
    key: Key, data: Data, left: Values, rank: int
) -> tuple[Float[Array, "p r"], Float[Array, "r"], Float[Array, "d r"]]:
    """The same in the space of side information."""
    del key
    h = data.features[:, 1:]
    p, d = h.shape
    root = jnp.linalg.cholesky(h.T @ h / p + WHITE * jnp.eye(d))
    white = jax.scipy.linalg.solve_triangular(root, h.T, lower=True).T
    w = jnp.where(data.partners.filled, left[data.partners.entry], 0.0)
    moment = white.T @ total(data.partners, w, white) / jnp.maximum(2 * data.keep.sum(), 1)
    value, vector = leading(*jnp.linalg.eigh(symmetric(moment)), rank)
    vector = vector * jnp.sqrt(jnp.abs(value))[None, :]
    slope = jax.scipy.linalg.solve_triangular(root.T, vector, lower=False)
    return white @ vector, signs(value), jnp.zeros((d + 1, rank)).at[1:].set(slope)


def leading(value: Array, vector: Array, rank: int) -> tuple[Array, Array]:
    """The eigenvalues of greatest size and their vectors; further ones are 0."""
    order = jnp.argsort(-jnp.abs(value))[:rank]
    more = rank - len(order)
    return jnp.pad(value[order], (0, more)), jnp.pad(vector[:, order], ((0, 0), (0, more)))


def signs(value: Array) -> Float[Array, "r"]:
    """+1 or -1, never 0."""
    return jnp.where(value < 0, -1.0, 1.0)


def symmetric(matrix: Array) -> Array:
    """Its symmetric part."""
    return (matrix + matrix.T) / 2


def principal(state: State, data: Data) -> State:
    """The same belief in axes where u has mean 0 and is uncorrelated over what is measured.

    D stays. Where c is the mean of u, u' = u - c with a' = a + c'D u - c'D c / 2 says the same of
    every pair; with C the mean of u' u'' and C^1/2 D C^1/2 = Q M Q', so does |M|^1/2 Q' C^-1/2 u',
    whose mean square is |M|, with sign(M) for D. The prior's covariance keeps its diagonal.
    """
    seen, d = touched(data)[:, None], state.sign
    count = jnp.maximum(seen.sum(), 1)
    centre = jnp.where(seen, state.mean[:, 1:], 0.0).sum(0) / count
    shear = jnp.eye(len(d) + 1).at[0, 1:].set(d * centre)
    away = jnp.concatenate([0.5 * (d * centre) @ centre[:, None], centre])
    state = transformed(state, shear, -away)
    cov, u = covariance(state)[:, 1:, 1:], state.mean[:, 1:]
    square = jnp.einsum("pk,pl->kl", u * seen, u) + jnp.where(seen[..., None], cov, 0.0).sum(0)
    value, vector = jnp.linalg.eigh(symmetric(square) / count)
    value = jnp.maximum(value, 1e-6 * value.max())
    root, back = ((vector * value[None, :] ** power) @ vector.T for power in (0.5, -0.5))
    size, turn = jnp.linalg.eigh(symmetric((root * d[None, :]) @ root))
    size = jnp.where(jnp.abs(size) > 0, size, 1e-6)
    turn = jnp.sqrt(jnp.abs(size))[:, None] * turn.T @ back
    state = transformed(state, jnp.eye(len(d) + 1).at[1:, 1:].set(turn), jnp.zeros(len(d) + 1))
    return state._replace(sign=signs(size))


def transformed(state: State, move: Float[Array, "k k"], by: Float[Array, "k"]) -> State:
    """The belief of move x + by."""
    back = jnp.linalg.inv(move)
    told = jnp.einsum("pkl,l->pk", state.information, back @ by)
    return state._replace(
        information=jnp.einsum("kl,pkm,mn->pln", back, state.information, back),
        shift=(state.shift + told) @ back,
        mean=state.mean @ move.T + by[None, :],
        slope=(state.slope @ move.T).at[0].add(by),
        alpha=1 / (move**2 @ (1 / state.alpha)),
        beta=1 / (move**2 @ (1 / state.beta)),
    )
