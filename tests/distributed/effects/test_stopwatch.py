"""Time of work and time of compiling are told apart."""

import time

import jax
import jax.numpy as jnp
import pytest

from epistax.distributed.effects.stopwatch import Stopwatch, union


def test_compiling_is_counted_once_and_apart():
    work = jax.jit(lambda x: jnp.sort(jnp.sin(x @ x.T)).sum())
    x = jnp.ones((30, 30))
    with Stopwatch() as first:
        work(x).block_until_ready()
        time.sleep(0.05)
    with Stopwatch() as second:
        work(x).block_until_ready()
    assert first.compiling > 0 and second.compiling == 0
    assert 0.05 <= first.seconds < 0.5 and second.seconds < 0.5


def test_times_within_times_count_once():
    assert union([(0.0, 4.0), (1.0, 2.0), (3.0, 5.0), (7.0, 8.0)]) == pytest.approx(6.0)
    assert union([]) == 0.0
