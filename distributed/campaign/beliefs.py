"""Beliefs as files, for the warm start of the next round: arrays by number, no pickle."""

import io
import zipfile
from typing import Any

import jax
import numpy as np

from epistax.engine.protocols import Posterior
from epistax.engine.screen import Measured


class Unreadable(Exception):
    """The bytes hold no belief of this posterior."""


def encode(belief: Any) -> bytes:
    """The leaves of the pytree in their order, as npz; the same belief gives the same bytes."""
    buffer = io.BytesIO()
    leaves = jax.tree.leaves(belief)
    np.savez(buffer, **{f"{n:04d}": np.asarray(leaf) for n, leaf in enumerate(leaves)})
    return buffer.getvalue()


def decode(data: bytes, posterior: Posterior, measured: Measured) -> Any:
    """The belief of these bytes, in the shape that the posterior's fit would give it."""
    measured = jax.tree.map(np.asarray, measured)  # not arrays of jax: a fit may look at them
    shape = jax.eval_shape(lambda key: posterior.fit(key, None, measured)[0], jax.random.key(0))
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as held:
            leaves = [held[name] for name in sorted(held.files)]
    except (ValueError, OSError, zipfile.BadZipFile, KeyError):
        raise Unreadable("it holds no arrays") from None
    wanted = jax.tree.leaves(shape)
    if [(x.shape, x.dtype) for x in leaves] != [(x.shape, x.dtype) for x in wanted]:
        raise Unreadable("its arrays are not those of this belief")
    arrays = [jax.numpy.asarray(leaf) for leaf in leaves]
    return jax.tree.unflatten(jax.tree.structure(shape), arrays)
