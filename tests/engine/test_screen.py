import jax
import numpy as np
import pytest

from epistax.engine.screen import marginal, screen

P = 6


def observations(seed=0, n=200):
    """Rows that know their own number; controls, singles and some of the pairs."""
    rng = np.random.default_rng(seed)
    kinds = [(-1, -1)] * 4 + [(-1, i) for i in range(P) if i != 4]  # 4 is never alone
    kinds += [(0, 1), (0, 5), (2, 3), (3, 4), (4, 5)]
    codes = np.array(kinds, np.int32)[rng.integers(0, len(kinds), n)]
    x = np.stack([np.arange(n), rng.normal(size=n)], axis=1).astype(np.float32)
    return x, codes, rng.integers(0, 12, n)


def by_class(found):
    """What stands in each class, as a dict of its perturbations."""
    names = [(-1, -1), *((-1, i) for i in range(found.singles))]
    names += list(zip(found.pairs.i.tolist(), found.pairs.j.tolist(), strict=True))
    stop = found.first + found.count
    return {
        name: {f: getattr(found, f)[a:b] for f in ("x", "unit", "owner")}
        for name, a, b in zip(names, found.first, stop, strict=True)
    }


@pytest.mark.parametrize("wells", [False, True])
def test_every_row_stands_in_its_class_and_unit(wells):
    x, codes, well = observations()
    found = screen(x, codes, p=P, well=well if wells else None)
    assert found.singles == P and len(found.x) == len(x)
    expected = {}
    for row, code in enumerate(codes.tolist()):
        expected.setdefault(tuple(code), []).append(row)
    classes = by_class(found)
    assert set(expected) <= set(classes)
    for which, (name, mine) in enumerate(classes.items()):
        rows = mine["x"][:, 0].astype(int)
        assert sorted(rows) == expected.get(name, [])
        np.testing.assert_array_equal(mine["x"], x[rows])
        np.testing.assert_array_equal(mine["owner"], which)
        draw = well[rows] if wells else rows
        # units are wells, numbered 0 .. in the order they stand
        assert found.units[which] == len(set(draw.tolist()))
        np.testing.assert_array_equal(mine["unit"], np.unique(draw, return_inverse=True)[1])
        assert (np.diff(mine["unit"]) >= 0).all()


def test_only_pairs_that_occur_are_listed_and_singles_may_be_missing():
    x, codes, _ = observations()
    found = screen(x, codes, p=P, well=None)
    assert found.pairs.i.tolist() == [0, 0, 2, 3, 4]
    assert found.pairs.j.tolist() == [1, 5, 3, 4, 5]
    assert found.count[1 + 4] == 0 and found.units[1 + 4] == 0
    assert (np.delete(found.count, 1 + 4) > 0).all()
    assert found.count.sum() == len(x)


def test_a_screen_that_ends_or_begins_with_empty_classes():
    codes = np.array([[-1, 2], [-1, 2], [1, 2]], np.int32)
    x = np.arange(3, dtype=np.float32)[:, None]
    found = screen(x, codes, p=4, well=np.array([5, 5, 9]))
    assert found.count.tolist() == [0, 0, 0, 2, 0, 1]
    assert found.first.tolist() == [0, 0, 0, 0, 2, 2]
    assert found.units.tolist() == [0, 0, 0, 1, 0, 1]
    assert found.unit.tolist() == [0, 0, 0]
    alone = screen(x, np.full((3, 2), -1, np.int32), p=4, well=None)
    assert alone.count.tolist() == [3, 0, 0, 0, 0] and len(alone.pairs.i) == 0


def test_a_well_of_two_classes_is_one_unit_of_each():
    codes = np.array([[-1, -1], [-1, 0], [-1, 0], [-1, 0]], np.int32)
    x = np.zeros((4, 1), np.float32)
    found = screen(x, codes, p=1, well=np.array([3, 3, 3, 8]))
    assert found.units.tolist() == [1, 2]
    assert found.unit.tolist() == [0, 0, 0, 1]


def test_the_order_of_rows_does_not_matter():
    x, codes, well = observations()
    order = np.random.default_rng(1).permutation(len(x))
    one = screen(x, codes, p=P, well=well)
    two = screen(x[order], codes[order], p=P, well=well[order])
    for field in ("unit", "owner", "first", "count", "units"):
        np.testing.assert_array_equal(getattr(one, field), getattr(two, field))
    for mine, other in zip(by_class(one).values(), by_class(two).values(), strict=True):
        for unit in np.unique(mine["unit"]):
            rows = [sorted(v["x"][v["unit"] == unit, 0].tolist()) for v in (mine, other)]
            assert rows[0] == rows[1]


def test_pairs_of_the_largest_perturbations_do_not_overflow():
    p = 50_000
    codes = np.array([[p - 2, p - 1], [0, p - 1], [46_341, 46_342]], np.int32)
    found = screen(np.zeros((3, 1), np.float32), codes, p=p, well=None)
    assert found.pairs.i.tolist() == [0, 46_341, p - 2]
    assert found.pairs.j.tolist() == [p - 1, 46_342, p - 1]


def doubles(seed=0, n=900, p=8):
    rng = np.random.default_rng(seed)
    i, j = np.triu_indices(p, 1)
    chosen = rng.integers(0, len(i), n)
    codes = np.stack([i[chosen], j[chosen]], axis=1).astype(np.int32)
    codes[::10] = [-1, -1]
    codes[1::10, 0] = -1
    x = np.stack([np.arange(n), rng.normal(size=n)], axis=1).astype(np.float32)
    return x, codes, rng.integers(0, 30, n)


def test_marginal_singles_are_samples_of_the_pairs_they_occur_in():
    x, codes, well = doubles()
    most = 60
    found = marginal(x, codes, p=8, well=well, most=most, seed=0)
    both = codes[:, 0] >= 0
    assert found.count[0] == 5 * most
    assert (found.count[1:9] == most).all()
    assert found.count[9:].sum() == both.sum()
    owner_of = {
        (i, j): 9 + k
        for k, (i, j) in enumerate(zip(found.pairs.i.tolist(), found.pairs.j.tolist(), strict=True))
    }
    for which, (name, mine) in enumerate(by_class(found).items()):
        rows = mine["x"][:, 0].astype(int)
        assert both[rows].all() and len(set(rows.tolist())) == len(rows)
        members = codes[rows]
        np.testing.assert_array_equal(mine["owner"], [owner_of[tuple(m)] for m in members.tolist()])
        if 1 <= which <= 8:
            assert (members == name[1]).any(axis=1).all()
        elif which > 8:
            assert (members == name).all()
        np.testing.assert_array_equal(mine["unit"], np.unique(well[rows], return_inverse=True)[1])


def test_a_sampled_single_meets_partners_on_either_side():
    # of its pairs (i, j) and (k, i), neither kind before the other
    x, codes, _ = doubles(n=6000)
    found = marginal(x, codes, p=8, well=None, most=300, seed=0)
    mine = by_class(found)[(-1, 3)]
    partners = codes[mine["x"][:, 0].astype(int)].sum(axis=1) - 3
    counts = np.bincount(partners, minlength=8)
    assert counts[3] == 0
    # 300 over 7 partners
    assert counts[[0, 1, 2, 4, 5, 6, 7]].min() > 20
    assert counts.max() < 70


def test_marginal_takes_what_there_is_and_repeats_itself():
    x, codes, _ = doubles()
    found, again, other = (marginal(x, codes, p=8, well=None, most=5000, seed=s) for s in (0, 0, 1))
    both = codes[:, 0] >= 0
    assert found.count[0] == both.sum()
    expected = [(codes[both] == i).sum() for i in range(8)]
    assert found.count[1:9].tolist() == expected
    np.testing.assert_array_equal(found.x, again.x)
    few = [marginal(x, codes, p=8, well=None, most=10, seed=s) for s in (0, 0, 1)]
    np.testing.assert_array_equal(few[0].x, few[1].x)
    assert not np.array_equal(few[0].x, few[2].x)
    # all of a class has one order, whatever the seed
    np.testing.assert_array_equal(found.x, other.x)


def test_observations_lie_where_a_processor_reads_them_in_place():
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    codes = np.array([[-1, -1], [-1, 0], [-1, 1], [0, 1]] * 10)
    made = screen(x, codes, p=2, well=None)
    assert made.x.ctypes.data % 64 == 0
    np.testing.assert_array_equal(np.sort(made.x, axis=0), np.sort(x, axis=0))
    on_cpu = jax.device_put(made.x)
    assert on_cpu.unsafe_buffer_pointer() == made.x.ctypes.data
