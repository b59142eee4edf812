"""What training reads: groups, looks, and the treatments that cells did not have."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from epistax.engine.nets.graphconv import incoming
from epistax.engine.response.known import batch, known
from epistax.engine.response.records import Cells, Data, Design

RNG = np.random.default_rng(0)
N, G, A = 120, 5, 4
ARMS = np.eye(A, dtype=np.float32)
STRATA = np.array([[0, 0], [0, 1], [1, 0]])
HELD = (2, 3)  # stratum, arm without training cells


def cells(n, seed):
    rng = np.random.default_rng(seed)
    arm, stratum = rng.integers(0, A, n), rng.integers(0, len(STRATA), n)
    arm = np.where((stratum == HELD[0]) & (arm == HELD[1]), 0, arm)
    return Cells(rng.normal(size=(n, G)).astype(np.float32), arm, stratum)


TRAIN, VALIDATION = cells(N, 1), cells(60, 2)
STRONGEST = RNG.random((len(STRATA), A, G)) < 0.5
DATA = Data(Design(ARMS, STRATA), TRAIN, VALIDATION, STRONGEST)


@functools.lru_cache
def made(least=4, controls=8):
    return known(DATA, incoming(None, G), least=least, controls=controls)


def drawn(draws=0, seed=0, size=90):
    rows = jnp.arange(size) % N
    arrays = jax.tree.map(jnp.asarray, made())
    return jax.tree.map(np.asarray, batch(jax.random.key(seed), arrays, rows, draws=draws))


def of_group(stratum, arm):
    return TRAIN.y[(TRAIN.stratum == stratum) & (TRAIN.arm == arm)]


def test_groups_have_their_cells_means_and_variances():
    own = made().members
    for stratum in range(len(STRATA)):
        for arm in range(A):
            group, want = stratum * A + arm, of_group(stratum, arm)
            assert own.count[group] == len(want)
            rows = own.order[own.first[group] :][: own.count[group]]
            np.testing.assert_array_equal(TRAIN.y[rows], want)
            if len(want):
                np.testing.assert_allclose(own.mean[group], want.mean(0), atol=1e-6)
                np.testing.assert_allclose(own.variance[group], want.var(0).mean(), rtol=1e-5)
    assert own.count[HELD[0] * A + HELD[1]] == 0


def test_the_other_treatment_is_that_of_a_treated_cell_never_the_control():
    taken = [drawn(seed=s) for s in range(20)]
    wanted = np.concatenate([x.wanted.argmax(1) for x in taken])
    share = np.bincount(wanted, minlength=A) / len(wanted)
    want = np.bincount(TRAIN.arm, minlength=A) * (np.arange(A) > 0) / np.sum(TRAIN.arm > 0)
    assert share[0] == 0
    np.testing.assert_allclose(share, want, atol=4 * np.sqrt(0.25 / len(wanted)))


def test_a_batch_knows_the_like_of_each_cell_under_its_other_treatment():
    taken = drawn(draws=6)
    np.testing.assert_array_equal(taken.y, TRAIN.y[np.arange(90)])
    np.testing.assert_array_equal(taken.t, ARMS[TRAIN.arm[:90]])
    np.testing.assert_array_equal(taken.x, STRATA[TRAIN.stratum[:90]])
    held = 0
    for row in range(90):
        arm, stratum = int(taken.wanted[row].argmax()), int(TRAIN.stratum[row])
        like = of_group(stratum, arm)
        assert taken.known[row] == (len(like) > 0)
        held += not len(like)
        if len(like):
            np.testing.assert_allclose(taken.mean[row], like.mean(0), atol=1e-6)
            found = (taken.samples[row][:, None] == like[None]).all(2).any(1)
            assert found.all()
    assert held > 0


def test_draws_reach_all_cells_of_a_group_alike():
    own, seen = made().members, {}
    for seed in range(40):
        taken = drawn(draws=10, seed=seed)
        for row in range(90):
            if taken.wanted[row].argmax() == 1 and TRAIN.stratum[row] == 0:
                for y in taken.samples[row]:
                    seen[tuple(y)] = seen.get(tuple(y), 0) + 1
    assert len(seen) == own.count[1]
    counts = np.array(list(seen.values()))
    assert counts.min() > counts.mean() - 6 * np.sqrt(counts.mean())


def test_a_look_is_at_validation_groups_of_enough_cells_from_its_controls():
    look = made().look
    for stratum, arm, mean, genes in zip(*look[:4], strict=True):
        own = VALIDATION.y[(VALIDATION.stratum == stratum) & (VALIDATION.arm == arm)]
        assert len(own) >= 4 and arm > 0
        np.testing.assert_allclose(mean, own.mean(0), atol=1e-6)
        np.testing.assert_array_equal(genes, STRONGEST[stratum, arm])
    count = np.zeros((len(STRATA), A), int)
    np.add.at(count, (VALIDATION.stratum, VALIDATION.arm), 1)
    assert len(look.arm) == np.sum(count[:, 1:] >= 4)
    controls = {tuple(y) for y in VALIDATION.y[VALIDATION.arm == 0]}
    assert len(look.y) == 8 and {tuple(y) for y in look.y} <= controls


def test_without_a_validation_control_training_ones_are_looked_from():
    treated = Cells(*(x[VALIDATION.arm > 0] for x in VALIDATION))
    look = known(DATA._replace(validation=treated), incoming(None, G), least=4, controls=99).look
    assert len(look.y) == np.sum(TRAIN.arm == 0)


def test_sd_is_within_groups():
    departures = [
        of_group(s, a) - of_group(s, a).mean(0)
        for s in range(len(STRATA))
        for a in range(A)
        if len(of_group(s, a))
    ]
    squares = (np.concatenate(departures) ** 2).sum(0)
    np.testing.assert_allclose(made().sd, np.sqrt(squares / (N - len(departures))), rtol=1e-5)
