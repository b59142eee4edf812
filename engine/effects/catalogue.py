"""Methods by name: what `--model` chooses from, with defaults by the size of the data.

naiad and recover are as published: they mind the order of two genes, which is settled by
`orientation`. Every other is symmetric and takes rows of two genes or more.
"""

from dataclasses import replace
from typing import Any, Literal, TypeAlias

from jaxtyping import Array, Float
from numpy import ndarray

from epistax.engine.effects import schedule
from epistax.engine.effects.choice import choosing
from epistax.engine.effects.linear import Linear, linear
from epistax.engine.effects.mixed import Mixed, mixed
from epistax.engine.effects.neural import Neural, neural
from epistax.engine.effects.records import Method
from epistax.engine.effects.training import Training
from epistax.engine.nets.combos import Combining
from epistax.engine.nets.graph import Graph

FORMS: dict[str, dict[str, Any]] = {
    "naiad": {"symmetric": False},
    "naiad-symmetric": {},
    "naiad-gaussian": {"spread": True},
    "pheno": {"embedded": None},
    "embed": {"hidden": 0},
    "mlp": {"hidden": 0, "width": 128},
    "recover": {"hidden": 0, "width": 128, "embedded": "bilinear", "symmetric": False},
    "recover-symmetric": {"hidden": 0, "width": 128, "embedded": "bilinear"},
    "transformer": {"embedded": "attention"},
    "transformer-cls": {"embedded": "token"},
    "gears": {"hidden": 0, "width": 64, "embedded": "graph"},
}
NAMES = ("default", "linear", *FORMS)
ORDERED = ("naiad", "recover")  # those that mind the order of the genes, of which they take two
RAW = (*ORDERED, "mlp", "recover-symmetric")  # those that read effects as they are measured
Settings: TypeAlias = Mixed | Linear | Neural
Widths: TypeAlias = Literal["paper", "code", "validated"]


def settings(
    name: str,
    *,
    genes: int,
    n: int,
    k: int = 2,
    widths: Widths = "paper",
    hidden: int | None = None,
) -> Settings:
    """The settings of a method for n training rows of k of so many genes. KeyError if unknown.

    widths says how wide embeddings are, of the methods that do not fix it: by Table 5 of "NAIAD",
    by the rule of its authors' program, or by validation loss among Table 5's and its neighbours.
    hidden None chooses the units of the branch of single effects by the number of genes. RECOVER is
    trained at the rate of the others: at the 0.1 of "NAIAD", appendix F, it errs more.
    """
    if name == "default":
        return Mixed()
    if name == "linear":
        return Linear()
    form = FORMS[name]
    if name in ORDERED and k != 2:
        raise ValueError(f"{name}: rows of {k} genes; it takes 2, {name}-symmetric any number")
    width = schedule.code(n, genes) if widths == "code" else schedule.paper(n, genes, k=k)
    hidden = schedule.hidden(genes) if hidden is None else hidden
    adaptive = "width" not in form and form.get("embedded", "sum") is not None
    return Neural(
        Combining(genes, **{"width": width, "hidden": hidden, **form}),
        Training(epochs=schedule.epochs(genes), unseen="own" if name in ORDERED else "mean"),
        widths=schedule.around(n, genes, k=k) if adaptive and widths == "validated" else (),
        standard=name not in RAW,
    )


def method(
    config: Settings,
    *,
    singles: Float[Array | ndarray, "p"] | None = None,
    graph: Graph | None = None,
    side: Float[Array | ndarray, "p c"] | None = None,
) -> Method:
    """The method of these settings; build it once, it compiles on its first use.

    singles are those of all p genes, for the default; graph joins genes, for gears; side is what
    is known of each, for all that tell genes apart.
    """
    if isinstance(config, Mixed):
        if singles is None:
            raise ValueError("the default model starts from single effects; give singles")
        return mixed(config, singles=singles, side=side)
    if isinstance(config, Linear):
        return linear(config)
    if not config.widths:
        return neural(config, graph=graph, side=side)
    nets = [replace(config.net, width=width) for width in config.widths]
    return choosing([neural(replace(config, net=net), graph=graph, side=side) for net in nets])
