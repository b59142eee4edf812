"""GraphVCI as a plain PyTorch loop: the reference that `response` is compared with.

Written from the equations of "Predicting Cellular Responses with Variational Causal Inference and
Refined Relational Information" as one would with PyTorch alone: edges by gather and index_add, keys
of every cell, gene and unit made before they are added up, a minibatch a step from Python.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from epistax.engine.nets.regulation import Edges
from epistax.engine.response.records import Data

WIDTH, FEATURES, BATCH, DRAWS = 128, 128, 64, 3
SEEN, LEVEL = 256, 16  # units that expression, and a covariate's level, are read into
RATE, DECAY = 3e-4, 4e-7
WEIGHTS = (1.0, 50.0, 0.1)  # of reconstruction, distribution and divergence


def stack(*widths: int) -> Any:
    """Linear, BatchNorm and ReLU of each width; the last one linear alone."""
    from torch import nn

    parts: list[Any] = []
    for before, after in zip(widths[:-2], widths[1:-1], strict=True):
        parts += [nn.Linear(before, after), nn.BatchNorm1d(after), nn.ReLU()]
    return nn.Sequential(*parts, nn.Linear(widths[-2], widths[-1]))


def encoder(genes: int, arms: int, levels: list[int]) -> Any:
    """The layers that read a cell and the graph."""
    from torch import nn

    return nn.ModuleDict(
        {
            "see": nn.Linear(genes, SEEN),
            "levels": nn.ModuleList(nn.Embedding(n, LEVEL) for n in levels),
            "stack": stack(SEEN + arms + LEVEL * len(levels), WIDTH, WIDTH, WIDTH),
            "convolve": nn.Linear(FEATURES, WIDTH),
            "aggregate": nn.Linear(WIDTH, 2 * WIDTH),
        }
    )


def decoder(arms: int, reading: str) -> Any:
    """The layers that express a state under a treatment."""
    from torch import nn

    reads = WIDTH if reading == "dot" else 2 * WIDTH
    parts = {"stack": stack(WIDTH + arms, WIDTH, WIDTH), "reader": nn.Linear(reads, 2 * WIDTH)}
    return nn.ModuleDict(parts)


def nodes(net: Any, vectors: Any, logits: Any, source: Any, target: Any) -> Any:
    """Vectors of genes, mixed with their regulators'."""
    import torch

    weight = torch.exp(logits - logits.max())
    total = torch.zeros(len(vectors)).index_add(0, target, weight)
    share = (weight / total[target])[:, None]
    mixed = torch.zeros_like(vectors).index_add(0, target, share * vectors[source])
    return torch.relu(net["convolve"](mixed))


def encoded(net: Any, y: Any, t: Any, x: Any, z_g: Any) -> tuple[Any, Any]:
    """Mean and sd of the state."""
    import torch

    levels = [one(x[:, k]) for k, one in enumerate(net["levels"])]
    cell = net["stack"](torch.cat([torch.relu(net["see"](y)), t, *levels], 1))
    graph = torch.relu(net["aggregate"](z_g.mean(0)))
    mean, raw = torch.relu(cell + graph[:WIDTH]), torch.relu(cell + graph[WIDTH:])
    return mean, torch.nn.functional.softplus(raw) + 1e-3


def decoded(net: Any, z: Any, t: Any, z_g: Any) -> tuple[Any, Any]:
    """Mean and sd of every gene; keys of a gene alone, or of gene and cell."""
    import torch

    h, keys = net["stack"](torch.cat([z, t], 1)), net["reader"]
    if keys.in_features == WIDTH:
        out = torch.einsum("bd,gdk->bgk", h, keys(z_g).view(len(z_g), WIDTH, 2))
    else:
        both = (h[:, None].expand(-1, len(z_g), -1), z_g[None].expand(len(h), -1, -1))
        each = keys(torch.cat(both, 2)).view(len(h), len(z_g), WIDTH, 2)
        out = (each * h[:, None, :, None]).sum(2)
    return out[..., 0], torch.nn.functional.softplus(out[..., 1]) + 1e-3


def epoch(data: Data, graph: Edges, reading: str, batches: int | None) -> Callable[[], float]:
    """One pass over the training cells, or so many minibatches of it; returns the last loss."""
    import torch

    torch.manual_seed(0)
    y, t, x = (torch.as_tensor(np.asarray(v)) for v in (
        data.train.y, data.design.arms[data.train.arm], data.design.strata[data.train.stratum]
    ))  # fmt: skip
    t, x, genes = t.float(), x.long(), y.shape[1]
    own = torch.arange(genes)
    source = torch.cat([torch.as_tensor(np.asarray(graph.source)).long(), own])
    target = torch.cat([torch.as_tensor(np.asarray(graph.target)).long(), own])
    levels = [int(n) for n in np.max(np.asarray(data.design.strata), 0) + 1]
    live, frozen = (encoder(genes, t.shape[1], levels) for _ in range(2))
    tells = decoder(t.shape[1], reading)
    vectors = torch.nn.Parameter((torch.rand(genes, FEATURES) - 0.5) / FEATURES)
    logits = torch.nn.Parameter(torch.ones(len(source)))
    learned = [*live.parameters(), *tells.parameters(), vectors, logits]
    optimiser = torch.optim.Adam(learned, lr=RATE, weight_decay=DECAY)
    arm, stratum = np.asarray(data.train.arm), np.asarray(data.train.stratum)
    group = {pair: np.flatnonzero((arm == pair[0]) & (stratum == pair[1]))
             for pair in set(zip(arm.tolist(), stratum.tolist(), strict=True))}  # fmt: skip
    treated = np.flatnonzero(arm > 0)
    rng = np.random.default_rng(0)

    def step(rows: np.ndarray) -> float:
        wanted = rng.choice(treated, len(rows))
        like, there = np.zeros((len(rows), 20), np.int64), np.zeros(len(rows), np.float32)
        for k, (row, other) in enumerate(zip(rows, wanted, strict=True)):
            found = group.get((arm[other], stratum[row]))
            if found is not None:
                like[k], there[k] = rng.choice(found, 20), 1
        of, cf = torch.as_tensor(rows), torch.as_tensor(wanted)
        z_g = nodes(live, vectors, logits, source, target)
        mean, sd = encoded(live, y[of], t[of], x[of], z_g)
        many = (mean + sd * torch.randn(DRAWS, *mean.shape)).reshape(-1, WIDTH)
        told, spread = decoded(tells, many, t[of].repeat(DRAWS, 1), z_g)
        reconstruction = -torch.distributions.Normal(told, spread).log_prob(
            y[of].repeat(DRAWS, 1)
        ).mean()  # fmt: skip
        other, _ = decoded(tells, mean + sd * torch.randn_like(mean), t[cf], z_g)
        apart = ((other[:, None] - y[torch.as_tensor(like)]) ** 2 / 2).mean((1, 2))
        mask = torch.as_tensor(there)
        distribution = (apart * mask).sum() / mask.sum()
        z_f = nodes(frozen, vectors, logits, source, target)
        mean_cf, sd_cf = encoded(frozen, other, t[cf], x[of], z_f)
        divergence = 0.5 * (2 * torch.log(sd_cf / sd) + (sd / sd_cf) ** 2
                            + (mean - mean_cf) ** 2 - 1).sum(1).mean()  # fmt: skip
        total = sum(w * part for w, part in zip(
            WEIGHTS, (reconstruction, distribution, divergence), strict=True))  # fmt: skip
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        return float(total.detach())

    def run() -> float:
        frozen.load_state_dict(live.state_dict())
        for part in frozen.parameters():
            part.requires_grad_(False)
        order = rng.permutation(len(y))
        cuts = [order[first : first + BATCH] for first in range(0, len(order), BATCH)]
        loss: Any = 0.0
        for rows in cuts[:batches]:
            loss = step(rows)
        return float(loss)

    return run
