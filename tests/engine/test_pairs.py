import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epistax.engine import pairs


@pytest.mark.parametrize("p", [2, 3, 10, 257])
def test_upper_is_ranked_in_order(p):
    all_pairs = pairs.upper(p)
    assert len(all_pairs.i) == pairs.count(p)
    assert (all_pairs.i < all_pairs.j).all()
    assert (pairs.rank(all_pairs, p) == np.arange(pairs.count(p))).all()


@given(st.integers(2, 3_000_000), st.lists(st.floats(0, 1, exclude_max=True), min_size=1))
def test_unrank_inverts_rank_beyond_32_bits(p, shares):
    # 46,341 perturbations are where i * p + j leaves 32 bits
    position = np.array([int(share * pairs.count(p)) for share in shares] + [pairs.count(p) - 1])
    found = pairs.unrank(position, p)
    assert (found.i < found.j).all() and (found.j < p).all() and (found.i >= 0).all()
    assert (pairs.rank(found, p) == position).all()


def test_tiles_cover_the_upper_triangle_once():
    p, size = 23, 5
    seen = np.zeros((25, 25), int)
    for row, column in pairs.tiles(p, size):
        seen[row : row + size, column : column + size] += 1
    assert (seen[np.triu_indices(p, 1)] == 1).all()


def test_roomy_lengths_are_powers_of_two_and_hold_no_pair_more():
    assert [pairs.roomy(n) for n in (0, 1, 2, 3, 4, 5, 1000)] == [1, 1, 2, 4, 4, 8, 1024]
    some = pairs.unrank(np.arange(11), 40)
    longer = pairs.lengthened(some)
    assert (
        len(longer.i) == 16 and (longer.i[:11] == some.i).all() and (longer.j[:11] == some.j).all()
    )
    assert not (longer.i[11:] < longer.j[11:]).any()
