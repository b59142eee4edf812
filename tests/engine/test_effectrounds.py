"""Replayed rounds: who sees what, who shares what, what is counted."""

import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine.effectrounds import (
    Arm,
    Protocol,
    completed,
    likeliest,
    play,
    shuffled,
    strongest,
)
from epistax.engine.effects.linear import Linear, linear
from epistax.engine.effects.records import Combos, Method, Predicted, Table

P = 30
PROTOCOL = Protocol((40, 60, 80), members=2, top=20)


def table(seed=0):
    rng = np.random.default_rng(seed)
    i, j = np.triu_indices(P, 0)
    s = rng.uniform(-1, 0, P)
    genes = np.stack([i, j], 1).astype(np.int32)
    value = 0.7 * (s[i] + s[j]) + 0.15 * rng.normal(size=len(i))
    return Table(Combos(genes, s[genes].astype(np.float32)), value.astype(np.float32))


def spying(seen):
    """The linear method, which writes down what it is given."""
    plain = linear(Linear())

    def fit(keys, table, jobs):
        seen.append((np.asarray(table.value), np.asarray(jobs.train), len(keys)))
        return plain.fit(keys, table, jobs)

    return Method(fit, plain.predict)


def run(arms, protocol=PROTOCOL, seen=None):
    method = spying([] if seen is None else seen)
    return list(play(lambda n: method, table(), arms, protocol))


def test_a_fit_is_shown_no_value_that_is_not_measured():
    seen = []
    outcomes = run([Arm("mpe", 5)], seen=seen)
    for (value, train, _), round in zip(seen, outcomes, strict=True):
        measured = round[0].measured
        assert set(np.unique(train)) == set(measured)
        assert np.isnan(np.delete(value, measured)).all() and np.isfinite(value[measured]).all()


def test_rows_for_testing_are_never_measured_and_none_twice():
    at = shuffled(5, len(table().value))
    kept = set(at[len(at) - int(0.3 * len(at)) :])
    for name in ("mpe", "residual", "uniform"):
        last = run([Arm(name, 5)])[-1][0].measured
        assert len(set(last)) == 80 and not kept & set(last)


def test_all_start_alike_and_uniform_goes_on_in_the_order_of_the_seed():
    outcomes = run([Arm("mpe", 5), Arm("uniform", 5), Arm("mpe", 6)])
    first = [set(outcome.measured) for outcome in outcomes[0]]
    assert first[0] == first[1] != first[2]
    np.testing.assert_array_equal(outcomes[-1][1].measured, shuffled(5, 465)[:80])


def test_arms_that_measured_the_same_share_their_fits():
    seen = []
    run([Arm("mpe", 5), Arm("uniform", 5), Arm("uncertainty", 5)], seen=seen)
    # a line is as uncertain everywhere: then the order of the seed decides, as for uniform
    assert [count for _, _, count in seen] == [2, 4, 4]


def test_an_arm_is_the_same_alone_and_in_company():
    together = run([Arm("uniform", 5), Arm("mpe", 5)])
    alone = run([Arm("mpe", 5)])
    for one, two in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one[0].measured, two[1].measured)
        assert one[0].found == two[1].found


def test_the_most_negative_are_chosen_and_counted():
    value = np.asarray(table().value, np.float64)
    wanted = set(np.argsort(value)[:20])
    for outcome in (x[0] for x in run([Arm("mpe", 5)])):
        assert outcome.measured_top == len(wanted & set(outcome.measured))
        assert outcome.measured_top <= outcome.found <= 20
        # the linear model again, by hand
        x = np.asarray(table().combos.singles).sum(1)
        mean = np.polyval(np.polyfit(x[outcome.measured], value[outcome.measured], 1), x)
        full = completed(Predicted(mean, 0 * mean), value, outcome.measured).mean
        assert outcome.found == len(wanted & set(np.argsort(full, kind="stable")[:20]))


def test_measured_values_take_the_place_of_predictions():
    told = Predicted(np.array([1.0, 2.0, 3.0]), np.array([0.1, 0.2, 0.3]))
    full = completed(told, np.array([9.0, 8.0, 7.0]), np.array([2]))
    np.testing.assert_array_equal(full.mean, [1, 2, 7])
    np.testing.assert_array_equal(full.sd, [0.1, 0.2, 0])


def test_the_likeliest_are_measured_ones_beyond_reach_and_uncertain_ones_near_it():
    """Rows 0-2 are measured; others may be beyond what row 2, of a greater mean, is not."""
    full = Predicted(np.array([-3, -2, -0.9, -0.8, -0.7, -0.7]), np.array([0, 0, 0, 0.8, 0.8, 0.8]))
    assert set(likeliest(full, PROTOCOL._replace(top=3))) == {0, 1, 3}
    assert set(strongest(full.mean, PROTOCOL._replace(top=3))) == {0, 1, 2}
    sure = full._replace(sd=np.zeros(6))
    assert set(likeliest(sure, PROTOCOL._replace(top=3))) == {0, 1, 2}


@pytest.mark.parametrize("direction, best", [("negative", 0), ("positive", 2), ("absolute", 0)])
def test_strong_is_what_the_direction_says(direction, best):
    found = strongest(np.array([-3.0, 0.1, 2.0]), PROTOCOL._replace(top=1, direction=direction))
    assert found.tolist() == [best]


def test_without_rows_for_testing_there_is_no_error_and_all_can_be_measured():
    full = Protocol((400, 465), members=1, test=0.0, top=20)
    last = run([Arm("mpe", 5)], full)[-1][0]
    assert len(last.measured) == 465 and last.found == 20 and np.isnan(last.rmse)


def test_more_rows_than_are_free_are_refused():
    with pytest.raises(ValueError, match="400 rows to measure, 326 of 465 are free"):
        run([Arm("mpe", 5)], PROTOCOL._replace(sizes=(40, 400)))


def test_the_probable_are_those_within_reach():
    """Of two rows of equal mean the one that is less known is the more probable to be strong."""
    rows = table()
    mean = jnp.full((1, len(rows.value)), -0.5)
    sd = jnp.where(jnp.arange(len(rows.value)) < 100, 1.0, 0.01)[None, :]
    method = Method(lambda keys, table, jobs: keys, lambda fits, combos: Predicted(mean, sd))
    first, second = play(lambda n: method, rows, [Arm("probability", 5)],
                         Protocol((40, 60), members=1, top=20))  # fmt: skip
    assert set(np.setdiff1d(second[0].measured, first[0].measured)) <= set(range(100))
