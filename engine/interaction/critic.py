"""Neural ratio estimation: one critic of all classes gives log p(y | k) / p(y | 0) of each.

"Automated Discovery of Pairwise Interactions from Unstructured Data", section 3.1 and appendix
B.1: f(y, k) = w_k . phi(y) + b_k, one encoder for all classes, trained on pairs of observation and
class (NRE-A, eq. 30-31) or, by default, as the classifier whose logits it is ("softmax": all
classes are contrasted at once, and the c(y) that it leaves open cancels in ratios of classes).

Log-ratios that the singles span, as eq. 6 has it of separable pairs, are few directions for many
classes; a head of that rank learns each from all classes and errs less where two are far apart.
What a pair has beyond them shows in the held-out loss, by which `leanest` chooses.

What the classes' frequencies add to f is known exactly and is added to the critic's raw scores
inside the loss. Hence raw scores are log-ratios: T_k(y) = raw_k(y) - raw_0(y) (eq. 29).
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from epistax.engine.nets.encoders import Encoder, network
from epistax.engine.types import Info, Key

Params: TypeAlias = dict[str, Any]
EMBEDDING = 64  # numbers a class embedding has
NEAR = 0.005  # share of the loss that more freedom must save to be worth having


@dataclass(frozen=True)
class Critic:
    """What is trained; static."""

    encoder: Encoder
    loss: Literal["softmax", "nre_a"] = "softmax"
    negatives: Literal["prior", "uniform"] = "prior"  # of nre_a: the law of the contrasted class
    head: Literal["linear", "embedding"] = "linear"
    rank: int | None = None  # of the linear head's log-ratios; None: as many as there are classes

    def __post_init__(self) -> None:
        if self.rank is not None and (self.rank < 1 or self.head != "linear"):
            raise ValueError(f"`rank` is {self.rank}; give 1 or more, to a linear head")


def start(
    key: Key, critic: Critic, x: Float[Array, "b d"], members: Int[Array, "c 2"]
) -> tuple[Params, Any]:
    """Fresh parameters and batch statistics; members as `weights` takes them. The key is used."""
    k_encoder, k_head, k_lift = jax.random.split(key, 3)
    net = network(critic.encoder)
    params, stats = net.init(k_encoder, x[:2])
    wide = jax.eval_shape(net.apply, params, stats, x[:2]).shape[1]
    scale = 1 / jnp.sqrt(float(wide))
    if critic.rank is not None:
        head = {
            "direction": 0.3 * jax.random.normal(k_head, (members.shape[0], critic.rank)),
            "lift": scale * jax.random.normal(k_lift, (critic.rank, wide)),
            "shared": jnp.zeros(wide),  # the c(y) that log-ratios do not see
            "bias": jnp.zeros(members.shape[0]),
        }
    elif critic.head == "linear":
        weight = jax.random.normal(k_head, (members.shape[0], wide)) * scale
        head = {"weight": 0.1 * weight, "bias": jnp.zeros(members.shape[0])}
    else:
        known = int(members.max()) + 2  # the control is the last, as -1 says
        head = {
            "class": 0.3 * jax.random.normal(k_head, (known, EMBEDDING)),
            "lift": jax.random.normal(k_lift, (EMBEDDING, wide)) * scale,
            "tilt": jnp.zeros(EMBEDDING),
        }
    return {"encoder": params, "head": head}, stats


def weights(
    head: Params, members: Int[Array, "c 2"]
) -> tuple[Float[Array, "c h"], Float[Array, "c"]]:
    """One row w_k and one b_k a class; members are (-1, -1), (-1, i) or (i, j).

    With class embeddings w_k = A v_k, and a pair's v_ij = v_i + v_j + v_i v_j (elementwise).
    """
    if "weight" in head:
        return head["weight"], head["bias"]
    if "direction" in head:
        return head["direction"] @ head["lift"] + head["shared"][None, :], head["bias"]
    table = head["class"]
    first, second = members[:, 0], members[:, 1]
    double, single = (first >= 0)[:, None], (second >= 0)[:, None]
    one, other = table[second], table[first]
    # the control is v_0 = table[-1], which index -1 reads
    v = jnp.where(double, one + other + one * other, jnp.where(single, one, table[-1:]))
    return v @ head["lift"], v @ head["tilt"]


def leanest(losses: Sequence[float]) -> int:
    """Which of critics with ever more freedom: the first of, or near, the lowest held-out loss."""
    return int(np.flatnonzero(np.asarray(losses) <= (1 + NEAR) * np.min(losses))[0])


def offset(log_prior: Float[Array, "c"], critic: Critic) -> Float[Array, "c"]:
    """What class frequencies add to the raw scores, so that these are log p(y | k) + c(y).

    log_prior is that of the classes as they are sampled. softmax: log pi_k. nre_a: log pi_k / q_k,
    q the law of negatives; 0 where q = pi.
    """
    if critic.loss == "softmax":
        return log_prior
    if critic.negatives == "prior":
        return jnp.zeros_like(log_prior)
    return log_prior + jnp.log(float(log_prior.shape[0]))


def softmax(scores: Float[Array, "b c"], label: Int[Array, "b"]) -> Float[Array, "b"]:
    """Cross-entropy of each observation's class."""
    own = jnp.take_along_axis(scores, label[:, None], axis=1)[:, 0]
    return jax.nn.logsumexp(scores, axis=1) - own


def nre_a(
    scores: Float[Array, "b c"], label: Int[Array, "b"], negatives: Float[Array, "c"]
) -> Float[Array, "b"]:
    """-log sigma(f(y, k)) - sum_k' q_k' log(1 - sigma(f(y, k'))) (eq. 30), q the negatives' law.

    The expectation over k' is the sum itself: nothing is shuffled, no noise is added.
    """
    own = jnp.take_along_axis(scores, label[:, None], axis=1)[:, 0]
    return jax.nn.softplus(-own) + jax.nn.softplus(scores) @ negatives


def losses(
    raw: Float[Array, "b c"],
    label: Int[Array, "b"],
    log_prior: Float[Array, "c"],
    critic: Critic,
) -> Float[Array, "b"]:
    """Each observation's loss."""
    scores = raw + offset(log_prior, critic)[None, :]
    if critic.loss == "softmax":
        return softmax(scores, label)
    uniform = jnp.full_like(log_prior, 1 / log_prior.shape[0])
    law = jnp.exp(log_prior) if critic.negatives == "prior" else uniform
    return nre_a(scores, label, law)


def accuracy(
    raw: Float[Array, "b c"], label: Int[Array, "b"], log_prior: Float[Array, "c"]
) -> Float[Array, ""]:
    """Share of observations that the classifier which the critic is tells right."""
    posterior = raw + log_prior[None, :]
    most, number = jnp.max(posterior, axis=1, keepdims=True), jnp.arange(len(log_prior))
    # argmax would be this too, but goes through a row one by one on a CPU
    first = jnp.min(jnp.where(posterior == most, number[None, :], len(log_prior)), axis=1)
    return jnp.mean((first == label).astype(raw.dtype))


@functools.lru_cache(maxsize=64)
def trained_on(critic: Critic) -> Any:
    """The loss of a batch while training: (key, params, stats, x, label, members, log_prior)."""
    net = network(critic.encoder)

    def loss(
        key: Key,
        params: Params,
        stats: Any,
        x: Float[Array, "b d"],
        label: Int[Array, "b"],
        members: Int[Array, "c 2"],
        log_prior: Float[Array, "c"],
    ) -> tuple[Float[Array, ""], tuple[Any, Info]]:
        features, stats = net.train(key, params["encoder"], stats, x)
        value = losses(scored(params, features, members), label, log_prior, critic)
        return jnp.mean(value), (stats, {})

    return loss


def scored(
    params: Params, features: Float[Array, "b h"], members: Int[Array, "c 2"]
) -> Float[Array, "b c"]:
    """Raw scores of all classes."""
    weight, bias = weights(params["head"], members)
    # without it the compiler turns the weight's gradient into a product over the far axis of both
    # factors, which on a CPU takes half as long again
    upright = jax.lax.optimization_barrier(weight.T)
    return features @ upright + bias[None, :]
