"""Widths of embeddings, against Table 5 and the rule of the authors' program."""

import pytest

from epistax.engine.effects import schedule


@pytest.mark.parametrize(
    "genes, sizes",
    [
        (112, {100: 2, 200: 4, 500: 16, 1000: 16, 1500: 32, 2000: 64, 4000: 128, 6000: 128}),
        (543, {500: 2, 1000: 4, 5000: 16, 10000: 16, 15000: 32, 20000: 64, 40000: 128}),
        (448, {500: 4, 1000: 16, 5000: 32, 10000: 32, 15000: 64, 40000: 128, 50000: 128}),
        (437, {500: 4, 1000: 16, 2500: 16, 5000: 32}),
    ],
)
def test_the_tables_own_screens_get_its_rows(genes, sizes):
    assert {n: schedule.paper(n, genes) for n in sizes} == sizes


def test_between_and_below_its_sizes_the_row_above_holds():
    assert [schedule.paper(n, 112) for n in (10, 199, 350, 999, 1499)] == [2, 2, 4, 16, 16]


def test_another_screen_goes_by_how_often_a_gene_is_seen():
    # the first screen's own sizes give its own widths, by that column alone
    sizes = (100, 200, 500, 1000, 1500, 2000, 3000, 4000, 5000)
    want = (2, 4, 16, 16, 32, 64, 64, 128, 128)
    assert tuple(schedule.paper(10 * n, 1120) for n in sizes) == want
    # rows of three genes show each gene half as often again
    assert schedule.paper(2000, 1000, k=3) == schedule.paper(3000, 1000)
    assert schedule.paper(1, 1000) == 2


def test_the_programs_rule_is_narrower():
    norman = {448: 2, 449: 4, 1120: 4, 1121: 16, 3360: 16, 3361: 32, 4480: 32, 4481: 64}
    assert {n: schedule.code(n, 112) for n in norman} == norman
    k562 = {1: 2, 1792: 2, 1793: 4, 4480: 4, 4481: 16, 13440: 16}
    assert {n: schedule.code(n, 448) for n in k562} == k562


def test_widths_to_choose_between_begin_with_the_tables():
    assert schedule.around(1000, 112) == (16, 8, 32)
    assert schedule.around(100, 112) == (2, 4)
    assert schedule.around(5000, 112) == (128, 64)


def test_what_does_not_grow():
    assert [schedule.hidden(p) for p in (112, 543, 448, 50, 300)] == [64, 256, 256, 64, 256]
    assert [schedule.epochs(p) for p in (112, 543, 448, 50, 300)] == [500, 200, 200, 500, 200]
