import numpy as np
import pytest

from epistax.engine.nets.regulation import Edges
from epistax.engine.response import structured
from epistax.engine.response.expected import Full, composed_of
from epistax.engine.response.records import Cells, Design
from epistax.engine.response.strata import Groups


@pytest.fixture
def given():
    rng = np.random.default_rng(0)
    shift = rng.normal(size=(2, 4, 50))
    shift[:, 0] = 0
    base = rng.normal(2, 1, size=(2, 50))
    count = np.full((2, 4), 20)
    count[1, 2], count[:, 3] = 0, 0  # one combination held out, one arm never seen
    mean = np.where(count[:, :, None] > 0, base[:, None] + shift, 0)
    groups = Groups(count, mean, np.ones_like(mean))
    own = 0.8 * shift
    return groups, Full(base, own, np.ones_like(own), own - 0.1, np.ones_like(base)), shift


def test_an_arm_is_accounted_for_by_its_direction(given):
    groups, full, shift = given
    np.testing.assert_allclose(structured.accounted(shift, groups, full), [0, 1, 1, 0])
    np.testing.assert_allclose(structured.accounted(3 * shift, groups, full), [0, 1, 1, 0])
    assert (structured.accounted(-shift, groups, full) == 0).all()
    rng = np.random.default_rng(1)
    noise = rng.normal(size=shift.shape)
    cosine = structured.accounted(shift + noise, groups, full)[1]
    assert cosine == pytest.approx(0.5, abs=0.15)


def test_shifts_are_mixed_by_what_is_accounted_for(given, monkeypatch):
    groups, full, shift = given
    monkeypatch.setattr(structured, "shifts", lambda *_: shift)
    cells = Cells(np.zeros((1, 50), np.float32), np.zeros(1, np.int32), np.zeros(1, np.int32))
    design = Design(np.eye(4), np.array([[0], [1]]))
    rest = (cells, design, Edges(np.array([0]), np.array([1])), np.full(4, -1), np.array([0, 1]))
    mixed = structured.mixed(full, groups, *rest)
    expected = full.shift + structured.SHARE * (shift - full.shift)
    np.testing.assert_allclose(mixed.shift[:, [1, 2]], expected[:, [1, 2]])
    np.testing.assert_allclose(mixed.shift[:, [0, 3]], full.shift[:, [0, 3]])
    np.testing.assert_allclose(mixed.shift - mixed.way, full.shift - full.way)
    none = Edges(np.array([], int), np.array([], int))
    assert structured.mixed(full, groups, *rest[:2], none, *rest[3:]) is full
    half = np.eye(4)
    half[3] = [0, 0.5, 0.5, 0]
    again = composed_of(mixed, half)
    np.testing.assert_allclose(again.shift[:, 3], mixed.shift[:, [1, 2]].mean(1))
