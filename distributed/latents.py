"""Which latents each perturbation of a screen shifts: a causal embedding of controls and singles.

"Towards Learning Cell Causal-Embeddings": every perturbation is an environment that shifts few
latents. Two that shift the same one are predicted to be inseparable; doubles are not looked at.
"""

import jax
import numpy as np
import polars as pl
from jaxtyping import Float
from numpy import ndarray

from epistax.engine.causal import disentanglement, scaling
from epistax.engine.causal.catalogue import method, settings
from epistax.engine.causal.records import Data, Samples
from epistax.engine.screen import Screen

LATENTS = 50  # at most
MOST = 1000  # observations of a perturbation; five times as many of the control
STEPS, EPOCHS = 2000, 20  # of training, at most
BITS = 64  # of the code that a perturbation is known by


def shifts(screen: Screen, *, seed: int) -> Float[ndarray, "p d"]:
    """How far each latent is shifted, in sds of the controls; NaN of what was not seen alone."""
    p, random = screen.singles, np.random.default_rng(seed)
    rows, environment = [], []
    for k in range(p + 1):
        own = screen.first[k] + np.arange(screen.count[k])
        most = MOST * (5 if k == 0 else 1)
        rows.append(own if len(own) <= most else np.sort(random.choice(own, most, replace=False)))
        environment.append(np.full(len(rows[-1]), k, np.int32))
    place = np.concatenate(environment)
    x = np.asarray(screen.x)[np.concatenate(rows)]
    x = np.asarray(scaling.scaled(scaling.learned(x, place == 0), x), np.float32)
    codes = random.integers(0, 2, (p + 1, BITS)).astype(np.float32)
    codes[0] = 0
    none = Samples(x[:0], place[:0])
    data = Data(codes, Samples(x, place), none)
    latents = max(1, min(x.shape[1], np.unique(place).size - 1, LATENTS))
    sizes = {"samples": len(x), "features": x.shape[1], "vector": BITS, "latents": latents}
    batch = settings("environment", **sizes).batch
    epochs = int(np.clip(STEPS * batch // len(x), 1, EPOCHS))
    embedding = method("environment", settings("environment", **sizes, epochs=epochs))
    fits, _ = embedding.fit(jax.random.split(jax.random.key(seed), 1), data, ())
    law = embedding.encode(fits, x, codes[place])
    moved = disentanglement.marginals(law.mean[0], law.log_sd[0], place, environments=p + 1)
    reference = jax.tree.map(lambda values: values[:1], moved)
    return np.asarray(disentanglement.shifts(moved, reference))[1:]


def table(names: tuple[str, ...], shifts: Float[ndarray, "p d"]) -> pl.DataFrame:
    """A row a perturbation that was seen alone, its shifts without their signs."""
    seen = np.isfinite(shifts).all(axis=1)
    columns = {f"latent_{k + 1}": np.abs(shifts[seen, k]) for k in range(shifts.shape[1])}
    return pl.DataFrame({"gene": np.array(names)[seen], **columns})
