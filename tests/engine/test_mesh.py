"""Eight devices of the host are one: what they say, and what each of them holds.

Where nothing is summed over devices (tiles, pairs) the results are the same bits; where they sum
gradients, float32 sums in another order.
"""

import itertools
from collections import Counter
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine import fit as loop
from epistax.engine import mesh as meshes
from epistax.engine import stream
from epistax.engine.interaction import crossfit, disjointness, folding, paired
from epistax.engine.interaction.critic import Critic
from epistax.engine.interaction.crossfit import Training
from epistax.engine.interaction.ratiotests import ratio_tests
from epistax.engine.interaction.readout import Readout
from epistax.engine.mesh import copied, mesh, placed
from epistax.engine.nets.encoders import Encoder
from epistax.engine.pairs import Pairs, upper
from epistax.engine.posterior import lowrank, moments
from epistax.engine.posterior.lowrank import LowRank
from epistax.engine.screen import gather, screen

MANY = (1, 2, 4, 8)
P = 6
KEY = jax.random.key(0)
CRITIC = Critic(Encoder("mlp", (64,)))
SVI = LowRank(rank=2, steps=5, restarts=1)


def held(tree):
    """Bytes of the arrays on the device that holds most of them."""
    on = Counter()
    for x in jax.tree.leaves(tree):
        for part in x.addressable_shards:
            on[part.device] += part.data.nbytes
    return max(on.values())


def temporaries(compiled):
    """Bytes that a compiled call needs on each device beside what goes in and comes out."""
    return compiled.memory_analysis().temp_size_in_bytes


def falls(sizes, slack=1.0):
    """Whether what a device holds is its share: exactly, or for so much of what all need."""
    return all(sizes[k] <= slack * sizes[1] / k for k in sizes)


def close(found, expected, **how):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **how), found, expected)


def watched(monkeypatch, module):
    """The calls that a module makes through `each`."""
    seen, each = [], module.each

    def made(mesh, function, *, split, **static):
        call = each(mesh, function, split=split, **static)

        def run(*args):
            found = call(*args)
            seen.append((args, split, function, static, found))
            return found

        return run

    monkeypatch.setattr(module, "each", made)
    return seen


@lru_cache
def cells(each=16):
    """A screen of all pairs of P, `each` cells a class."""
    kinds = [(-1, -1), *((-1, k) for k in range(P)), *itertools.combinations(range(P), 2)]
    rng = np.random.default_rng(0)
    x = rng.normal(size=(each * len(kinds), 3)).astype(np.float32)
    return screen(x, np.repeat(np.array(kinds, np.int32), each, axis=0), p=P, well=None)


@lru_cache
def folds():
    made = cells()
    return folding.fold(made, np.ones(len(made.count), bool), folds=2, seed=0)


def test_moments_of_tiles_are_the_same_bits_and_their_tiles_an_eighth(monkeypatch):
    p, seen = 90, watched(monkeypatch, stream)
    rng = np.random.default_rng(0)
    shapes = ((), (), p, p, 3, 3, (p, 3), (p, 3))
    belief = moments.Factors(*(jnp.asarray(rng.random(s), jnp.float32) for s in shapes))
    pairs = upper(p)
    done = np.flatnonzero(rng.random(len(pairs.i)) < 0.2)
    where = stream.space(p, Pairs(pairs.i[done], pairs.j[done]), size=6)
    how = {"p": p, "batch": 50, "size": 6}
    beta, tiles = jnp.float32(1.0), {}
    one = stream.ranked(stream.confidence, where, belief, beta, **how)
    for k in MANY:
        found = stream.ranked(stream.confidence, where, belief, beta, **how, mesh=mesh(k))
        jax.tree.map(np.testing.assert_array_equal, found, one)
        args, split, *_, (value, _, _) = seen[-1]
        tiles[k] = held(placed(args[:split], mesh(k)))
        assert held(value) == 4 * 50 and len(value) == k * 50  # each gives its best
    assert len(where.first) == 120 and falls(tiles)


def test_mmd_of_equal_tiles_is_the_same_bits_and_its_grams_an_eighth(monkeypatch):
    wide = paired.resident()
    monkeypatch.setattr(paired, "resident", lambda: 1)  # pair by pair, else tiles differ in size
    seen, every = watched(monkeypatch, paired), np.arange(16) % 15
    how = {"kernel": "rbf", "length_scale": 2.0, "seed": 0}
    one, eight = (paired.disjoint(cells(), **how, mesh=m)(every) for m in (None, mesh(8)))
    jax.tree.map(np.testing.assert_array_equal, eight[:3], one[:3])
    np.testing.assert_allclose(eight.p, one.p, rtol=1e-6)  # a loop of two turns is another program
    args, split, function, static, found = seen[-1]
    assert function is disjointness.mmd and held(found) == 2 * 4 * 4  # of 16 pairs, four numbers
    pairs = {k: held(placed(args[:split], mesh(k))) for k in MANY}
    assert falls(pairs)
    grams = {}
    for k in (1, 8):
        call = meshes.each(
            mesh(k), function, split=split, **static | {"resident": wide, "inference": False}
        )
        there = *placed(args[:split], mesh(k)), *copied(args[split:], mesh(k))
        grams[k] = temporaries(jax.jit(call).lower(*there).compile())
    assert falls(grams, 1.5)


def test_smile_of_a_critics_log_ratios():
    data, rng = folds(), np.random.default_rng(1)
    shapes = (len(data.x), 4), (2, len(cells().count), 4), (2, len(cells().count))
    hidden, weight, bias = (jnp.asarray(rng.normal(size=s), jnp.float32) for s in shapes)
    numbers = (jnp.asarray(v, jnp.int32) for v in (data.unit, data.first, data.count))
    read = Readout(hidden, weight.at[:, 0].set(0), bias.at[:, 0].set(0), *numbers)
    how = {"estimator": "smile", "tau": 5.0, "seed": 0}
    one, eight = (
        ratio_tests(cells(), np.ones(len(cells().count), bool), read, **how, mesh=m).test(
            np.arange(15)
        )
        for m in (None, mesh(8))
    )
    close(eight, one, rtol=1e-5, atol=1e-6)
    assert np.ptp(one.kl.value) > 1


def test_a_critics_step_is_one_and_holds_its_share_of_rows_and_batch():
    training, rows, batch, states = Training(1, batch=2048), {}, {}, {}
    begun = crossfit.begin(jax.random.split(KEY, 1), CRITIC, folds(), training).train
    state = jax.tree.map(lambda v: v[0], begun)
    for k in MANY:
        data = crossfit.placed(folds(), mesh(k))
        rows[k] = held((data.x, data.label))
        args = *copied((KEY, state), mesh(k)), data
        step = jax.jit(crossfit.stepper(CRITIC, training, mesh(k))).lower(*args).compile()
        batch[k], states[k] = temporaries(step), step(*args)[0]
    assert falls(rows) and falls(batch, 1.4)
    for k in MANY[1:]:
        close(states[k].opt, states[1].opt, rtol=1e-4, atol=1e-7)  # gradients, not yet normalised


def measured(p, q, length):
    """Rewards of q drawn pairs, repeated ones among them, padded."""
    rng, pairs = np.random.default_rng(3), upper(p)
    at = rng.integers(0, len(pairs.i), q)
    drawn = Pairs(pairs.i[at], pairs.j[at])
    y = rng.normal(size=q).astype(np.float32)
    return gather(drawn, y, np.zeros_like(y), np.arange(q), length=length)


@pytest.mark.slow
def test_a_step_of_the_belief_is_one_and_holds_its_share_of_the_pairs():
    p, pairs, work, states, loss = 64, {}, {}, {}, {}
    guide, table = lowrank._guide(SVI, p), measured(p, 8000, 8192)
    state = loop.trainable(lowrank._initial(KEY, SVI, p), lowrank._optimiser(SVI))
    state = jax.tree.map(np.asarray, state)  # a step destroys the one that it is given
    observed, _ = lowrank.observe(table, "score", None, p, grid=False)
    for k in MANY:
        data = placed(observed, mesh(k))
        pairs[k] = held([x for x in jax.tree.leaves(data) if x.ndim])
        if k in (1, 8):
            args = *copied((KEY, state), mesh(k)), data, jnp.int32(0)
            step = loop.compiled(mesh(k)).lower(*args, step=guide.step, length=1).compile()
            work[k], (states[k], info) = temporaries(step), step(*args)
            loss[k] = float(info["loss"][0])
    assert falls(pairs) and falls(work, 1.4)
    for leaf in jax.tree.leaves(states[8]):
        assert leaf.sharding.is_fully_replicated and len(leaf.sharding.device_set) == 8
    close(states[8].opt, states[1].opt, rtol=1e-4, atol=1e-4)
    close(states[8].params, states[1].params, atol=1e-6)
    assert loss[8] == pytest.approx(loss[1], rel=1e-5)


@pytest.mark.slow
def test_a_fit_of_the_belief_to_a_number_of_pairs_that_the_devices_do_not_divide(monkeypatch):
    table, found, data = measured(64, 8000, 8190), [], []
    monkeypatch.setattr(lowrank, "placed", lambda *x: data.append(placed(*x)) or data[-1])
    for devices in (None, mesh(8)):  # on a grid of 64 x 64
        posterior = lowrank.lowrank(SVI, p=64, reward="score", mesh=devices)
        found.append(posterior.fit(KEY, None, table))
    assert held(data[1]) < held(data[0]) / 7
    (one, info), (eight, info8) = found
    close(eight.params, one.params, atol=1e-6)
    assert float(info8["elbo"]) == pytest.approx(float(info["elbo"]), rel=1e-5)


def test_the_same_request_compiles_once():
    made = [meshes.each(mesh(4), stream.of_tiles, split=3, p=5) for _ in range(2)]
    assert made[0] is made[1]
    assert made[0] is not meshes.each(mesh(2), stream.of_tiles, split=3, p=5)
