"""Responses drawn gene by gene: which groups, which genes, and where the marks stand."""

import numpy as np
import polars as pl
import pytest

from epistax.distributed.report import pictures, responsegenes


def table(groups: int, wide: int = 20) -> pl.DataFrame:
    """Group k is predicted with an error that grows with k; names are no friends of a font."""
    rng = np.random.default_rng(0)
    rows = []
    for k in range(groups):
        change = rng.normal(size=wide)
        for g in range(wide):
            for model, error in (("own", 0.1 * k), ("other", 2.0)):
                side = error if g % 2 else -error
                rows.append((model, "s$1", f"arm{k}", f"g$_{g}$", 1.0, 1 + change[g], 0.3,
                             1 + change[g] + side))  # fmt: skip
    names = ("model", "stratum", "arm", "gene", "control", "measured", "measured_sd", "predicted")
    return pl.DataFrame(rows, schema=names, orient="row")


def test_groups_go_from_the_best_predicted_to_the_worst():
    own = table(7).filter(pl.col("model") == "own")
    found = responsegenes.ranked(own)
    assert [arm for _, arm, _ in found] == ["arm0", "arm2", "arm4", "arm6"]
    for _, arm, share in found:
        part = own.filter(pl.col("arm") == arm)
        y = part["measured"].to_numpy() - 1
        off = part["predicted"].to_numpy() - 1 - y
        assert share == pytest.approx(1 - (off**2).mean() / y.var())
    assert len(responsegenes.ranked(table(2).filter(pl.col("model") == "own"))) == 2
    assert responsegenes.ranked(own.clear()) == []


def test_marks_stand_at_the_changes_of_the_genes_that_change_most():
    means = table(7)
    figure = responsegenes.genes(means, ["own", "other"])
    axes = figure.axes[0]
    best = means.filter((pl.col("arm") == "arm0") & (pl.col("model") == "own"))
    y = (best["measured"] - 1).to_numpy()
    order = np.argsort(-np.abs(y), kind="stable")[: responsegenes.GENES]
    measured, own, other = (box.lines[0].get_ydata() for box in axes.containers)
    np.testing.assert_allclose(measured, y[order])
    np.testing.assert_allclose(own, y[order])
    np.testing.assert_allclose(np.abs(other - measured), 2)
    assert [t.get_text() for t in axes.get_xticklabels()] == best["gene"].to_numpy()[order].tolist()
    (legend,) = figure.legends
    assert [t.get_text() for t in legend.get_texts()] == [
        "measured", "predicted, own", "predicted, other",
    ]  # fmt: skip
    svg, png = pictures.rendered("genes", figure)
    assert b"arm6" in svg and png.startswith(b"\x89PNG")


def test_intervals_are_drawn_where_there_are_any():
    means = table(2).filter(pl.col("model") == "own").drop("measured_sd")
    means = means.with_columns(low=pl.col("predicted") - 0.5, high=pl.col("predicted") + 0.25)
    figure = responsegenes.genes(means, ["own"])
    assert [axes.axison for axes in figure.axes] == [True, True, False, False]
    _, own = figure.axes[0].containers
    (bars,) = own.lines[2]
    for at, (low, high) in zip(own.lines[0].get_ydata(), bars.get_segments(), strict=True):
        assert (low[1], high[1]) == (pytest.approx(at - 0.5), pytest.approx(at + 0.25))
