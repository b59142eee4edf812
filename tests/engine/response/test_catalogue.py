"""Every model by its name, and what it is by default."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from epistax.engine.response import catalogue
from epistax.engine.response.variational import Variational

G = 16


def test_names_and_published_settings():
    assert catalogue.NAMES[0] == "default"
    assert set(catalogue.NAMES[1:]) == {"ae", "cevae", "ganite", "cpa", "vci", "graphvci"}
    graphvci = catalogue.settings("graphvci", genes=G, cells=999).model
    vci = catalogue.settings("vci", genes=G, cells=999).model
    assert (graphvci.mc, graphvci.omega1, graphvci.omega2) == (3, 50.0, 0.1)
    assert (vci.mc, vci.omega1, vci.omega2) == (30, 1.7, 0.1)
    assert graphvci.relations is not None and vci.relations is None
    with pytest.raises(KeyError):
        catalogue.settings("nosuch", genes=G, cells=999)


def test_settings_are_the_same_record_for_the_same_request():
    one, other = (catalogue.settings("cpa", genes=G, cells=99, epochs=7) for _ in range(2))
    assert one == other and hash(one) == hash(other)
    assert one.training.epochs == 7 and one.training.batch == 64
    assert catalogue.settings("cpa", genes=G, cells=9).training.batch == 9


@pytest.mark.slow
def test_graphvci_learns_shifts_and_carries_them_to_a_group_it_never_saw(toy):
    config = catalogue.settings("graphvci", genes=G, cells=240, epochs=40, patience=None)
    config = replace(
        config,
        model=replace(config.model, widths=toy.widths),
        training=replace(config.training, rate=3e-3, every=40, batch=32),
    )
    assert isinstance(config.model, Variational)
    method = catalogue.method(config, design=toy.data.design, graph=toy.edges, genes=G)
    fitted, _ = method.fit(jax.random.split(jax.random.key(0), 2), toy.data, ())
    told = toy.told(method, fitted, toy.data)
    assert (toy.error(told) < 0.5).all()
    stratum, arm = toy.held
    shift = np.zeros(G)
    shift[4 * arm : 4 * arm + 4] = 1.5
    got = (told[stratum, arm] - told[stratum, 0]).mean(0)
    assert np.abs(got - shift).max() < 1.0
    # a method built anew predicts from what was fitted
    again = catalogue.method(config, design=toy.data.design, graph=toy.edges, genes=G)
    np.testing.assert_array_equal(toy.told(again, fitted, toy.data), told)
