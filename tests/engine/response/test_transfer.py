import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine.response.counterfactual import extended
from epistax.engine.response.records import Cells, Data, Design, rows
from epistax.engine.response.strata import grouped
from epistax.engine.response.transfer import Transfer, transfer
from epistax.engine.response.trivial import control_shift
from epistax.engine.simulate import cells
from epistax.engine.simulate.cells_world import SMALL


@pytest.fixture(scope="module")
def world():
    """A small world whose first two arms are held out in the first cell type."""
    size = dataclasses.replace(SMALL, genes=120, regulators=12, perturbations=6, cells=2400)
    made = cells.simulate(jax.random.key(3), size)
    everyone = Cells(*(np.asarray(x) for x in (made.y, made.arm, made.stratum)))
    strata = np.asarray(made.strata)
    held = (strata[everyone.stratum, 0] == 0) & np.isin(everyone.arm, [1, 2])
    design = Design(np.asarray(made.arms), strata)
    none = np.zeros((len(strata), len(design.arms), 120), bool)
    train, out = (rows(everyone, np.flatnonzero(x)) for x in (~held, held))
    return Data(design, train, rows(train, np.arange(0)), none), out


@pytest.fixture(scope="module")
def fit(world):
    method = transfer(Transfer())
    fitted, info = method.fit(jax.random.split(jax.random.key(0), 2), world[0], ())
    return method, fitted, info


def test_held_out_means_are_nearer_than_control_and_shift(world, fit):
    data, out = world
    (_, fitted, info), groups = fit, grouped(out, strata=6, arms=7)
    told = np.asarray(fitted.base[0])[:, None] + np.asarray(fitted.shift[0])
    simple = control_shift(grouped(data.train, strata=6, arms=7))
    judged = groups.count > 10
    errors = [((x - groups.mean)[judged] ** 2).sum() for x in (told, simple)]
    assert judged.sum() == 4 and errors[0] < 0.85 * errors[1]
    assert info["context"] == 0  # cell types differ in their regulation, donors do not


def test_intervals_hold_the_means_that_were_held_out(world, fit):
    _, fitted, _ = fit
    groups = grouped(world[1], strata=6, arms=7)
    told = np.asarray(fitted.base[0])[:, None] + np.asarray(fitted.shift[0])
    unsure = np.asarray(fitted.shift_sd[0]) ** 2
    noise = groups.variance / np.maximum(groups.count, 1)[:, :, None]
    held = np.abs(told - groups.mean) < 1.645 * np.sqrt(unsure + noise)
    assert 0.8 < held[groups.count > 10].mean() < 0.98


def test_cells_of_a_stratum_respond_differently_and_average_to_its_mean(world, fit):
    method, fitted, _ = fit
    controls = rows(world[0].train, np.flatnonzero(world[0].train.arm == 0))
    arm = np.full(len(controls.arm), 3, np.int32)
    told = np.asarray(method.predict(fitted, controls, arm).mean)
    np.testing.assert_array_equal(told[0], told[1])  # nothing is drawn: every fit is the same
    own = controls.stratum == 0
    strong = np.argsort(-np.abs(np.asarray(fitted.way[0, 0, 3])))[:10]
    effect = (told[0] - np.asarray(fitted.base[0])[controls.stratum])[own][:, strong]
    mean = np.asarray(fitted.shift[0, 0, 3])[strong]
    np.testing.assert_allclose(effect.mean(0), mean, rtol=0.15)
    assert (effect.std(0) > 0.02 * np.abs(mean)).all()


def test_the_control_is_what_it_was(world, fit):
    method, fitted, _ = fit
    some = rows(world[0].train, np.arange(20))
    told = np.asarray(method.predict(fitted, some, np.zeros(20, np.int32)).mean[0])
    np.testing.assert_allclose(told, np.asarray(fitted.base[0])[some.stratum], atol=1e-6)


def test_an_arm_without_cells_is_made_of_its_parts(world):
    data, _ = world
    arms = np.concatenate([data.design.arms, np.zeros((2, 7), np.float32)])
    arms[7, [1, 2]] = 1  # two together
    arms[8, 3] = 0.5  # half a dose
    strongest = np.zeros((6, 9, 120), bool)
    more = data._replace(design=data.design._replace(arms=arms), strongest=strongest)
    fitted, _ = transfer(Transfer(context=0)).fit(jax.random.split(jax.random.key(0), 1), more, ())
    shift = np.asarray(fitted.shift[0])
    np.testing.assert_allclose(shift[:, 7], shift[:, 1] + shift[:, 2], atol=1e-5)
    np.testing.assert_allclose(shift[:, 8], 0.5 * shift[:, 3], atol=1e-5)


def test_a_fit_is_extended_to_arms_it_had_not_heard_of(world, fit):
    data, _ = world
    method, fitted, _ = fit
    weights = np.zeros((3, 7), np.float32)
    weights[0, [1, 2]], weights[1, 3], weights[2, 3] = 1, 0.5, 1
    more = extended(fitted, jnp.asarray(weights))
    some = rows(data.train, np.arange(30))

    def told(fits, arm: int):
        return np.asarray(method.predict(fits, some, np.full(30, arm, np.int32)).mean[0])

    np.testing.assert_allclose(told(more, 3), told(fitted, 3), atol=1e-6)  # what it knew
    np.testing.assert_allclose(told(more, 9), told(fitted, 3), atol=1e-4)  # the same arm again
    base = np.asarray(fitted.base[0])[some.stratum]
    half, whole = told(more, 8) - base, told(more, 9) - base
    assert np.corrcoef(half.ravel(), whole.ravel())[0, 1] > 0.9
    assert 0.4 < half.std() / whole.std() < 0.6
    both = np.asarray(more.shift[0, :, 7])
    np.testing.assert_allclose(both, np.asarray(fitted.shift[0, :, 1:3]).sum(1), rtol=1e-5)


def test_a_cell_said_to_be_of_another_stratum_is_taken_for_one_there(world, fit):
    """Controls of every kind predict the mean of one stratum as its own controls do."""
    method, fitted, _ = fit
    controls = rows(world[0].train, np.flatnonzero(world[0].train.arm == 0))
    moved = controls._replace(stratum=np.zeros_like(controls.stratum))
    told = np.asarray(method.predict(fitted, moved, np.full(len(moved.arm), 3, np.int32)).mean[0])
    own = np.asarray(fitted.base[0, 0] + fitted.shift[0, 0, 3])
    apart = np.abs(told.mean(0) - own).mean() / np.abs(np.asarray(fitted.shift[0, 0, 3])).mean()
    assert apart < 0.15
