"""The environment VAE as a plain PyTorch loop: the reference that `causal` is compared with.

Written from "Towards Learning Cell Causal-Embeddings", sections 4.5 and 6, as one would with
PyTorch alone: without any remedy, a minibatch a step from Python.
"""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from epistax.engine.causal.settings import Settings
from epistax.engine.causal.training import Known


def network(settings: Settings) -> Any:
    """Encoder, A(e) and decoder, of one hidden layer each; a linear decoder has none."""
    from torch import nn

    (hidden,), latents = settings.hidden, settings.latents
    linear = settings.decoder == "linear"
    sizes = dict(
        read=(settings.features + settings.vector, hidden),
        mean=(hidden, latents),
        log_sd=(hidden, latents),
        tell=(settings.vector, hidden),
        prior_mean=(hidden, latents),
        prior_log_sd=(hidden, latents),
        hidden=None if linear else (latents, hidden),
        out=(latents if linear else hidden, settings.features),
    )
    return nn.ModuleDict({name: nn.Linear(*size) for name, size in sizes.items() if size})


def loss(net: Any, x: Any, e: Any, noise: Any) -> Any:
    """Less the bound of eq. 2, of samples, the vectors of their environments and N(0, 1)."""
    import torch

    h = torch.relu(net["read"](torch.cat([x, e], 1)))
    mean, log_sd = net["mean"](h), net["log_sd"](h)
    told = torch.relu(net["tell"](e))
    prior, log_sd2 = (
        v * torch.softmax(v.abs(), 1) for v in (net["prior_mean"](told), net["prior_log_sd"](told))
    )
    z = mean + torch.exp(log_sd) * noise
    z = torch.relu(net["hidden"](z)) if "hidden" in net else z
    missed = 0.5 * ((x - net["out"](z)) ** 2 + math.log(2 * math.pi))
    wider = log_sd - log_sd2
    apart = (torch.exp(2 * wider) - 1 + (mean - prior) ** 2 * torch.exp(-2 * log_sd2)) / 2 - wider
    return (missed.sum(1) + apart.sum(1)).mean()


def trained(known: Known, settings: Settings, steps: int) -> Callable[[], float]:
    """So many steps of Adam, over epochs of shuffled minibatches; returns the last loss."""
    import torch

    torch.manual_seed(0)
    x, vectors = (torch.tensor(np.asarray(v)) for v in (known.train.x, known.vectors))
    environment = torch.tensor(np.asarray(known.train.environment)).long()
    net = network(settings)
    optimiser = torch.optim.Adam(net.parameters(), lr=settings.rate)
    whole = len(x) // settings.batch * settings.batch  # what fills no minibatch waits

    def run() -> float:
        epochs = (torch.randperm(len(x))[:whole].split(settings.batch) for _ in range(steps))
        last: Any = 0.0
        for rows in itertools.islice(itertools.chain.from_iterable(epochs), steps):
            noise = torch.randn(len(rows), settings.latents)
            last = loss(net, x[rows], vectors[environment[rows]], noise)
            optimiser.zero_grad()
            last.backward()
            optimiser.step()
        return float(last.detach())

    return run
