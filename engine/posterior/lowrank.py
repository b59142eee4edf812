"""Low-rank symmetric posterior over the pair matrix by stochastic variational inference.

    R_ij = b + a_i + a_j + sum_{r<=m} s_r u_ir u_jr + eps_ij

u, s, b ~ N(0,1), a_i ~ N(0, tau^2), tau ~ HalfNormal(.5), eps_ij ~ N(0, sigma^2 + se_ij^2),
sigma ~ HalfNormal(.5). "Automated Discovery of Pairwise Interactions from Unstructured Data" says
"a low-rank (rank m) matrix with rows and columns from a standard Gaussian", fitted with numpyro,
Adam .01, 5000 steps; its program is not public. The reward is put on a standard scale first,
which is refitted to what is measured each round.
"""

import math
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float
from numpyro.handlers import replay, seed
from numpyro.infer.autoguide import AutoLowRankMultivariateNormal, AutoNormal
from numpyro.infer.util import log_density

from epistax.engine import reward as rewards
from epistax.engine.fit import Step, Train, compiled, trainable
from epistax.engine.mesh import copied, devices, placed
from epistax.engine.pairs import Pairs
from epistax.engine.posterior import moments
from epistax.engine.protocols import Posterior
from epistax.engine.screen import Measured
from epistax.engine.types import Belief, Info, Key, Values

CELLS = 8  # a pair gathered from a list costs about as much as this many cells of a p x p product
GUIDE_RANK = 20  # columns of W in the low-rank guide
START_NOISE = 0.1  # of the standard scale, see _initial


@dataclass(frozen=True)
class LowRank:
    """Settings; the defaults are the paper's where it gives one.

    noise None learns sigma; restarts of which the best ELBO is kept, one of them
    from the belief of the round before where there is one, all for warm_steps then.
    """

    rank: int = 8
    guide: Literal["normal", "lowrank"] = "normal"
    gene_effects: bool = True
    noise: float | None = None
    steps: int = 5000
    warm_steps: int = 1500
    learning_rate: float = 0.01
    restarts: int = 4
    draws_for_moments: int = 256


class Fitted(NamedTuple):
    """A belief: guide parameters on the real line, and the scale the rewards were put on."""

    params: dict[str, Array]
    scale: rewards.Scale


class Observed(NamedTuple):
    """What the program conditions on, as a p x p upper triangle (pairs None) or as a list.

    variance is se^2 per pair; a single 0 where no pair has one, which saves a logarithm a pair.
    """

    pairs: Pairs | None
    value: Float[Array, "*where"]
    variance: Float[Array, "*where"] | Float[Array, ""]
    mask: Bool[Array, "*where"]


def lowrank(
    config: LowRank,
    *,
    p: int,
    reward: rewards.Kind,
    singles: Float[Array, "p"] | None = None,
    mesh: Mesh | None = None,
) -> Posterior:
    """The posterior over p perturbations. Its moments are closed form for the normal guide.

    On a mesh the measured pairs are split over the devices, the parameters are whole on each.
    """
    guide = _guide(config, p)

    def fit(key: Key, belief: Belief | None, measured: Measured) -> tuple[Fitted, Info]:
        spare = -len(measured.mask) % devices(mesh)
        if spare:  # by pairs that are not measured
            measured = jax.tree.map(lambda x: np.pad(x, (0, spare)), measured)
        grid = p * p <= CELLS * len(measured.mask) and p % devices(mesh) == 0
        observed, scale = observe(measured, reward, singles, p, grid=grid)
        k_init, k_run = jax.random.split(key)
        restarts = config.restarts
        start = jax.vmap(lambda k: _initial(k, config, p))(jax.random.split(k_init, restarts))
        steps = config.steps
        if belief is not None:
            # fresh starts run beside the old belief: with few pairs measured it may have
            # collapsed to u = 0, a saddle that no warm start leaves
            steps = config.warm_steps
            start = jax.tree.map(lambda new, old: new.at[0].set(old), start, belief.params)
        states = jax.vmap(lambda x: trainable(x, _optimiser(config)))(start)
        keys = jax.random.split(k_run, restarts)
        whole, data = copied((keys, states), mesh), placed(observed, mesh)
        run = compiled(mesh)
        state, info = run(*whole, data, jnp.int32(0), step=guide.step, length=steps)
        late = info["loss"][-max(1, steps // 20) :].mean(0)  # one loss alone is one noisy draw
        best = jnp.argmin(jnp.where(jnp.isfinite(late), late, jnp.inf))
        params = jax.tree.map(lambda x: x[best], state.params)
        return Fitted(params, scale), {"elbo": -late[best], "finite": jnp.isfinite(late[best])}

    def sample(key: Key, belief: Fitted, pairs: Pairs) -> Values:
        return _reward(guide.draw(key, belief.params), pairs)

    def closed(belief: Fitted, pairs: Pairs) -> tuple[Values, Values]:
        return moments.of_pairs(factors(belief), pairs)

    def drawn(belief: Fitted, pairs: Pairs) -> tuple[Values, Values]:
        key = jax.random.key(0)  # common numbers
        n = jnp.arange(config.draws_for_moments)
        r = jax.lax.map(lambda s: sample(jax.random.fold_in(key, s), belief, pairs), n)
        return r.mean(0), r.var(0)

    told = closed if config.guide == "normal" else drawn

    def expected(belief: Fitted, measured: Measured, pairs: Pairs) -> tuple[Values, Values]:
        back = partial(rewards.unscaled, scale=belief.scale, positive=reward != "score")
        return rewards.carried(*told(belief, pairs), back)

    return Posterior(fit, told, sample, expected)


def observe(
    measured: Measured,
    reward: rewards.Kind,
    singles: Float[Array, "p"] | None,
    p: int,
    *,
    grid: bool,
) -> tuple[Observed, rewards.Scale]:
    """Rewards of the measured pairs on their standard scale, as a p x p grid or as a list."""
    i, j = measured.pairs
    raw, scale = scaled(measured, reward, singles)
    positive = reward != "score"
    value = rewards.standardise(raw, scale, positive=positive)
    variance = jnp.zeros(())
    if bool((measured.se > 0).any()):
        variance = rewards.standard_error(raw, measured.se, scale, positive=positive) ** 2
    if not grid:
        return Observed(measured.pairs, value, variance, measured.mask), scale
    place = (jnp.where(measured.mask, i, p), j)  # padding falls outside and is dropped
    empty = jnp.zeros((p, p))
    grids = (empty.at[place].set(x, mode="drop") if x.ndim else x for x in (value, variance))
    return Observed(None, *grids, (empty > 0).at[place].set(measured.mask, mode="drop")), scale


def scaled(
    measured: Measured, reward: rewards.Kind, singles: Float[Array, "p"] | None
) -> tuple[Values, rewards.Scale]:
    """Rewards of the measured pairs, and the scale they are put on."""
    i, j = measured.pairs
    si, sj = (None, None) if singles is None else (singles[i], singles[j])
    raw = rewards.reward(reward, measured.score, measured.mask, si, sj)
    return raw, rewards.scale(raw, measured.mask, positive=reward != "score")


def factors(belief: Fitted) -> moments.Factors:
    """Means and standard deviations of the factors under the normal guide."""
    q, p = belief.params, belief.params["u_auto_loc"].shape[0]
    zero = jnp.zeros(p)
    parts = {"a": (zero, zero)} | {
        site: (q[f"{site}_auto_loc"], jnp.exp(q[f"{site}_auto_scale"]))
        for site in ("b", "a", "s", "u")
        if f"{site}_auto_loc" in q
    }
    return moments.Factors(*parts["b"], *parts["a"], *parts["s"], *parts["u"])


def program(observed: Observed, *, p: int, config: LowRank) -> None:
    """The generative program."""
    shapes = {"b": (), "s": (config.rank,), "u": (p, config.rank)}
    site = {
        name: numpyro.sample(name, dist.Normal(0.0, 1.0).expand(shape).to_event(len(shape)))
        for name, shape in shapes.items()
    }
    if config.gene_effects:
        tau = numpyro.sample("tau", dist.HalfNormal(0.5))
        site["a"] = numpyro.sample("a", dist.Normal(jnp.zeros(p), tau).to_event(1))
    if config.noise is None:
        sigma = numpyro.sample("sigma", dist.HalfNormal(0.5))
    else:
        sigma = jnp.float32(config.noise)
    sd = jnp.sqrt(sigma**2 + observed.variance)
    likelihood = dist.Normal(_reward(site, observed.pairs), sd).mask(observed.mask)
    numpyro.sample("y", likelihood, obs=observed.value)


def _reward(site: dict[str, Any], pairs: Pairs | None) -> Float[Array, "*where"]:
    """Rewards without noise: of the given pairs, or of the whole grid."""
    b, s, u = site["b"], site["s"], site["u"]
    a = site.get("a", jnp.zeros(u.shape[0]))
    if pairs is None:
        return b + a[:, None] + a[None, :] + (u * s[None, :]) @ u.T
    i, j = pairs
    return b + a[i] + a[j] + (u[i] * u[j]) @ s


class _Guide(NamedTuple):
    step: Step  # one Adam step on the negative ELBO of one particle
    draw: Any  # (key, params) -> one draw of every site


@lru_cache(maxsize=64)  # one per configuration: a new closure would compile again
def _guide(config: LowRank, p: int) -> _Guide:
    model = partial(program, p=p, config=config)
    if config.guide == "normal":
        guide = AutoNormal(model)
    else:
        guide = AutoLowRankMultivariateNormal(model, rank=min(GUIDE_RANK, p))
    with seed(rng_seed=0):
        guide(_empty())  # numpyro builds a guide's parameters on its first call
    optimiser = _optimiser(config)

    def step(key: Key, state: Train, observed: Observed) -> tuple[Train, Info]:
        k_model, k_guide = jax.random.split(key)

        # numpyro's own ELBO adds its terms in the order of a set, another one in every process:
        # a mesh of several would sum terms that are not the same
        def loss(params: dict[str, Array]) -> Float[Array, ""]:
            where = (observed,), {}, _constrain(params)
            of_guide, drawn = log_density(seed(guide, k_guide), *where)
            of_model, _ = log_density(seed(replay(model, drawn), k_model), *where)
            return of_guide - of_model

        value, grads = jax.value_and_grad(loss)(state.params)
        updates, opt = optimiser.update(grads, state.opt, state.params)
        return Train(optax.apply_updates(state.params, updates), None, opt), {"loss": value}

    def draw(key: Key, params: dict[str, Array]) -> dict[str, Array]:
        return guide.sample_posterior(key, _constrain(params))

    return _Guide(step, draw)


def _optimiser(config: LowRank) -> optax.GradientTransformation:
    return optax.adam(config.learning_rate)


def _sites(config: LowRank, p: int) -> dict[str, tuple[int, ...]]:
    """Shapes of the program's unknowns, in the order in which numpyro flattens them."""
    sites: dict[str, tuple[int, ...]] = {"b": (), "s": (config.rank,), "u": (p, config.rank)}
    if config.gene_effects:
        sites |= {"tau": (), "a": (p,)}
    if config.noise is None:
        sites["sigma"] = ()
    return dict(sorted(sites.items()))


def _initial(key: Key, config: LowRank, p: int) -> dict[str, Array]:
    """The guide's start: means from N(0, .3^2), since u = 0 is a saddle; every sd .1; W = 0.

    sigma starts at .1: while it is large the likelihood is weak, and the prior switches off
    components that the data would have kept.
    """
    sites = _sites(config, p)
    locs = {
        name: math.log(START_NOISE) + jnp.zeros(shape)
        if name == "sigma"
        else 0.3 * jax.random.normal(jax.random.fold_in(key, n), shape)
        for n, (name, shape) in enumerate(sites.items())
    }
    narrow = math.log(0.1)
    if config.guide == "normal":
        scales = {f"{name}_auto_scale": jnp.full(shape, narrow) for name, shape in sites.items()}
        return {f"{name}_auto_loc": loc for name, loc in locs.items()} | scales
    loc = jnp.concatenate([x.reshape(-1) for x in locs.values()])
    return {
        "auto_loc": loc,
        "auto_scale": jnp.full(loc.shape, narrow),
        "auto_cov_factor": jnp.zeros((loc.size, min(GUIDE_RANK, p))),
    }


def _constrain(params: dict[str, Array]) -> dict[str, Array]:
    """Scales live on the log scale, everything else as it is."""
    return {k: jnp.exp(v) if k.endswith("scale") else v for k, v in params.items()}


def _empty() -> Observed:
    """No observation at all: enough to trace the program."""
    zero = jnp.zeros(1)
    return Observed(Pairs(jnp.zeros(1, int), jnp.zeros(1, int)), zero, zero, zero > 0)
