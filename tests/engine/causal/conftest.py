"""Samples of six environments, three of them never trained on."""

from typing import NamedTuple

import numpy as np
import pytest

from epistax.engine.causal.records import Data, Samples


class Toy(NamedTuple):
    data: Data
    shift: np.ndarray  # of each environment, in the latents


def drawn(rng, mixing, shift, environments, count):
    environment = np.repeat(environments, count)
    c = rng.normal(size=(len(environment), mixing.shape[1])) + shift[environment]
    x = c @ mixing.T + 0.2 * rng.normal(size=(len(c), len(mixing)))
    return Samples(x.astype(np.float32), environment.astype(np.int32))


@pytest.fixture(scope="module")
def toy():
    """Three latents in eight features; environments 1 to 5 move one of them each."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(8, 3))
    shift = np.zeros((6, 3))
    shift[[1, 2, 3, 4, 5], [0, 1, 2, 0, 1]] = [3.0, -3.0, 2.0, 2.0, -4.0]
    train = drawn(rng, mixing, shift, [0, 1, 2, 3], 60)
    validation = drawn(rng, mixing, shift, [4, 5], 40)
    return Toy(Data(shift.astype(np.float32), train, validation), shift)
