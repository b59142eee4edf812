"""How a model is built and trained: every switch, and what it is set to for data of a size.

"published": "Towards Learning Cell Causal-Embeddings", sections 6.1 to 6.5, with none of the
remedies. "default": with them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, get_args, get_type_hints

from epistax.engine.causal.gate import Gate
from epistax.engine.causal.objective import Likelihood

Preset: TypeAlias = Literal["default", "published"]
NAMES = ("vae", "conditional", "environment", "translation", "adversarial", "structured")


@dataclass(frozen=True)
class Settings:
    """Static; what does not concern a family is not read by it."""

    features: int
    vector: int  # numbers that an environment is known by
    latents: int
    hidden: tuple[int, ...]  # of the encoder, A and D; of the decoder in turn
    encoder: Literal["mlp", "residual"] = "mlp"  # residual: hidden layers beside a linear path
    decoder: Literal["linear", "mlp", "residual"] = "mlp"
    start: Literal["random", "pca", "shifts"] = "random"  # paths begin as components, or turned
    sees: Literal["x", "concat", "film"] = "concat"  # how the encoder is told of e
    bottleneck: int | None = None  # numbers that a vector is reduced to before it is read
    likelihood: Likelihood = "normal"
    beta: float = 1.0  # weight of the divergence from the prior,
    warmup: int = 0  # epochs over which it rises from 0
    temperature: float = 1.0  # of gates and of attention
    gate: Gate = "softmax"
    shared_gate: bool = False  # one gate of means and of sds
    anneal: bool = False  # the temperature falls from 1, and is reached halfway
    anchored: bool = False  # the zero vector changes nothing
    clamp: bool = False  # the log of an encoded sd is held in [-5, 2], softly,
    prior_clamp: bool = False  # that of a prior's in [-1, 1]
    clip: float | None = None  # norm of the gradient above which it is shortened
    decay: float = 0.0  # of weights, in each step, as a share of the rate
    dropout: float = 0.0  # of hidden units
    vector_dropout: float = 0.0  # of rows whose encoder and decoder are told the zero vector
    irm: float = 0.0  # weight of the penalty,
    irm_after: int = 100  # steps before which it is 0
    irm_halves: bool = False  # its unbiased form
    depth: int = 1  # layers of causal variables (structured)
    tells: Literal["previous", "sum"] = "previous"  # what is encoded: C_prev or C (translation)
    lambda_adv: float = 1.0  # weight of fooling the discriminator (adversarial)
    bounded: bool = True  # fooled: told all environments alike; else: told the right one least
    entropy: float = 0.0  # weight of the attention's entropy
    epochs: int = 200
    batch: int = 64  # samples
    rate: float = 1e-3
    fall: float = 1.0  # share of the rate that is left at the end
    stop: bool = False  # keep the epoch that is best on a tenth of the training environments,
    patience: int = 20  # epochs after it that end the training

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        rules: dict[str, tuple[Callable[[Any], bool], str]] = {
            "above 0": (lambda x: x > 0, "features latents temperature depth epochs batch rate"),
            "at least 0": (
                lambda x: x >= 0,
                "vector beta warmup decay irm irm_after lambda_adv entropy patience",
            ),
            "above 0 and at most 1": (lambda x: 0 < x <= 1, "fall"),
            "at least 0 and below 1": (lambda x: 0 <= x < 1, "dropout vector_dropout"),
            "none or above 0": (lambda x: x is None or x > 0, "clip bottleneck"),
            "widths above 0": (lambda x: all(width > 0 for width in x), "hidden"),
        }
        for wanted, (holds, names) in rules.items():
            for name in names.split():
                if not holds(getattr(self, name)):
                    raise ValueError(f"`{name}` is {getattr(self, name)}; it must be {wanted}")
        for name in ("encoder", "decoder", "start", "sees", "likelihood", "gate", "tells"):
            if getattr(self, name) not in get_args(hints[name]):
                known = ", ".join(get_args(hints[name]))
                raise ValueError(f"`{name}` is {getattr(self, name)!r}; it is one of {known}")
        if self.latents > self.features:
            raise ValueError(
                f"`latents` is {self.latents}; it must be at most the {self.features} features"
            )
        if self.depth > self.latents:
            raise ValueError(f"`depth` is {self.depth}; it must be at most {self.latents} latents")
        if self.start != "random" and (self.encoder == "mlp" or self.decoder == "mlp"):
            told = f"`start` is {self.start}; encoder and decoder must have paths: not be mlp"
            raise ValueError(told)


PUBLISHED: tuple[tuple[float, dict[str, Any]], ...] = (  # up to so many features
    (12, {"latents": 2, "hidden": (5,), "decoder": "linear"}),
    (100, {"latents": 5, "hidden": (20,)}),
    (float("inf"), {"latents": 200, "hidden": (500,)}),
)
REMEDIES: dict[str, Any] = {
    "encoder": "residual",
    "decoder": "residual",
    "start": "shifts",
    "likelihood": "learned",
    "sees": "x",  # the likeliest cause of what goes wrong in environments never seen
    "warmup": 20,
    "temperature": 0.1,
    "gate": "max",
    "anneal": True,
    "anchored": True,
    "clamp": True,
    "prior_clamp": True,
    "clip": 1.0,
    "decay": 1.0,
    "fall": 0.05,
    "tells": "sum",  # what an unseen environment adds need not be taken away first
}
DEFAULT: tuple[tuple[float, dict[str, Any]], ...] = (
    (12, {"latents": 2, "hidden": (20,), "rate": 2.5e-4}),
    (100, {"latents": 5, "hidden": (64,), "rate": 2.5e-4}),
    (float("inf"), {"latents": 50, "hidden": (256,), "batch": 256}),
)
CONDITIONAL: dict[str, Any] = {"sees": "concat", "vector_dropout": 0.3}
WIDE, BOTTLENECK = 64, 32  # numbers of a vector above which it is reduced, and to how many
DEEP = 5  # layers of causal variables at most


def settings(
    name: str,
    *,
    samples: int,
    features: int,
    vector: int,
    preset: Preset = "default",
    **changes: Any,
) -> Settings:
    """Those of a family for so many training samples and features. ValueError if unknown."""
    if name not in NAMES:
        raise ValueError(f"the model is {name!r}; it is one of {', '.join(NAMES)}")
    published = preset == "published"
    sizes = next(more for most, more in (PUBLISHED if published else DEFAULT) if features <= most)
    own: dict[str, Any] = {"batch": 64, **sizes}
    if published:
        own |= {"sees": "x" if name == "vae" else "concat", "bounded": False}
    else:
        own = REMEDIES | own | (CONDITIONAL if name == "conditional" else {})
        own["bottleneck"] = BOTTLENECK if vector > WIDE else None
    own["latents"] = changes.get("latents", min(own["latents"], features))
    own["batch"] = max(1, min(own["batch"], samples))
    own["depth"] = min(own["latents"], DEEP)
    # a short training warms up in a tenth of it too
    own["warmup"] = min(own.get("warmup", 0), changes.get("epochs", Settings.epochs) // 10)
    return replace(Settings(features=features, vector=vector, **own), **changes)
