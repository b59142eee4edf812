"""The critic as a plain PyTorch loop: the reference that `critic` is compared with.

Written from "Automated Discovery of Pairwise Interactions from Unstructured Data", section 3.1 and
appendix B.1, as one would with PyTorch alone: modules, a batch a step from Python, Adam as it is.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from epistax.engine.interaction.critic import EMBEDDING, Critic
from epistax.engine.interaction.folding import Folds


class Classes(NamedTuple):
    """What is known of the classes, as tensors: who is in each, and how often each is drawn."""

    members: Any  # [c, 2], (-1, -1), (-1, i) or (i, j)
    log_prior: Any  # [c]


def network(critic: Critic, features: int, classes: int, perturbations: int) -> Any:
    """An encoder of dense layers and its head: a linear one, or embeddings of perturbations."""
    import torch
    from torch import nn

    widths = critic.encoder.widths
    layers: list[Any] = []
    for before, after in zip((features, *widths), widths, strict=False):
        layers += [nn.Linear(before, after), nn.ReLU()]
    net = nn.ModuleDict({"encoder": nn.Sequential(*layers)})
    if critic.head == "linear":
        net["head"] = nn.Linear(widths[-1], classes)
    else:
        net["class"] = nn.Embedding(perturbations + 1, EMBEDDING)  # the control is the last
        net["lift"] = nn.Linear(EMBEDDING, widths[-1], bias=False)
        net["tilt"] = nn.Linear(EMBEDDING, 1, bias=False)
        nn.init.normal_(net["class"].weight, std=0.3)
        torch.nn.init.zeros_(net["tilt"].weight)
    return net


def scores(net: Any, x: Any, members: Any) -> Any:
    """Of all classes."""
    import torch

    features = net["encoder"](x)
    if "head" in net:
        return net["head"](features)
    table = net["class"].weight
    one, other = table[members[:, 1]], table[members[:, 0]]
    double, single = (members[:, :1] >= 0), (members[:, 1:] >= 0)
    v = torch.where(double, one + other + one * other, torch.where(single, one, table[-1:]))
    return features @ net["lift"](v).T + net["tilt"](v).T


def loss(net: Any, x: Any, label: Any, classes: Classes, kind: str) -> Any:
    """Cross-entropy of the classes, or NRE-A with all negatives in the law of the classes."""
    import torch.nn.functional as f

    found = scores(net, x, classes.members)
    if kind == "softmax":
        return f.cross_entropy(found + classes.log_prior, label)
    own = found.gather(1, label[:, None])[:, 0]
    return (f.softplus(-own) + f.softplus(found) @ classes.log_prior.exp()).mean()


def trained(
    critic: Critic, data: Folds, batch: int, steps: int, rate: float
) -> Callable[[], float]:
    """A member a fold, one after another, so many steps each; returns the last loss."""
    import torch

    torch.manual_seed(0)
    x, label = torch.tensor(np.asarray(data.x)), torch.tensor(np.asarray(data.label)).long()
    members = torch.tensor(np.asarray(data.members)).long()
    ends, known = data.ends, int(data.members.max()) + 1
    rows = data.count.sum(0)[None, :] - data.count  # that each member is trained on
    law = torch.tensor(np.log(rows / rows.sum(1, keepdims=True)), dtype=torch.float32)

    def member(k: int) -> Callable[[], float]:
        net = network(critic, x.shape[1], len(members), known)
        optimiser = torch.optim.Adam(net.parameters(), lr=rate)
        own = Classes(members, law[k])
        mine = torch.cat([torch.arange(0, ends[k]), torch.arange(ends[k + 1], len(x))])

        def run() -> float:
            for _ in range(steps):
                at = mine[torch.randint(len(mine), (batch,))]
                last = loss(net, x[at], label[at], own, critic.loss)
                optimiser.zero_grad()
                last.backward()
                optimiser.step()
            return float(last.detach())

        return run

    every = [member(k) for k in range(len(rows))]
    return lambda: [run() for run in every][-1]
