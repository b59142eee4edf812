"""Methods by name: all are made, fit and predict; widths and refusals."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from epistax.engine.effects.catalogue import FORMS, NAMES, ORDERED, method, settings
from epistax.engine.effects.choice import choosing
from epistax.engine.effects.neural import neural
from epistax.engine.effects.records import Combos, Jobs, Table

P = 8
RNG = np.random.default_rng(1)
GENES = np.stack(np.triu_indices(P, 1), axis=1).astype(np.int32)
EFFECT = RNG.normal(size=P).astype(np.float32)
VALUE = (EFFECT[GENES].sum(1) + 0.2 * RNG.normal(size=28)).astype(np.float32)
TABLE = Table(Combos(GENES, EFFECT[GENES]), VALUE)
JOBS = Jobs(np.arange(18, dtype=np.int32)[None], np.arange(18, 28, dtype=np.int32)[None])
KEY = jax.random.split(jax.random.key(0), 1)
LONG = ("naiad-gaussian", "naiad-symmetric", "embed", "transformer-cls")  # others have their parts


def small(name, **options):
    """The named method with few epochs and units, and no dropout: it takes long to compile."""
    config = settings(name, genes=P, n=18, hidden=5, **options)
    if name == "linear":
        return config
    if name == "default":
        return replace(config, rank=2, burn=5, draws=8, waves=(2, 2))
    net = replace(config.net, width=min(config.net.width, 4), dropout=0.0)
    return replace(config, net=net, training=replace(config.training, epochs=2, every=1))


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in LONG else n for n in NAMES]
)
def test_every_name_fits_and_predicts_each_pair_once(name):
    made = method(small(name), singles=EFFECT)
    fits = made.fit(KEY, TABLE, JOBS)
    told = made.predict(fits, TABLE.combos)
    assert told.mean.shape == told.sd.shape == (1, 28)
    assert np.std(told.mean) > 0
    other = made.predict(fits, Combos(GENES[:, ::-1], TABLE.combos.singles[:, ::-1]))
    np.testing.assert_allclose(told.mean, other.mean, atol=1e-5)


def test_what_a_name_stands_for():
    at = {name: settings(name, genes=112, n=1000) for name in FORMS}
    assert at["naiad"].net.width == 16 and at["naiad"].net.hidden == 64
    assert {name for name in at if not at[name].net.symmetric} == set(ORDERED)
    assert {name for name in at if at[name].training.unseen == "own"} == set(ORDERED)
    assert {name for name in at if not at[name].standard} == {
        *ORDERED, "mlp", "recover-symmetric"
    }  # fmt: skip
    assert [at[name].net.width for name in ("mlp", "recover", "recover-symmetric")] == [128] * 3
    assert [name for name in at if not at[name].net.hidden] == [
        "embed", "mlp", "recover", "recover-symmetric", "gears"
    ]  # fmt: skip
    assert at["pheno"].net.embedded is None
    assert settings("naiad", genes=448, n=1000).training.epochs == 200
    assert settings("naiad", genes=112, n=1000, widths="code").net.width == 4
    with pytest.raises(KeyError):
        settings("nosuch", genes=112, n=1000)


@pytest.mark.parametrize("name", ORDERED)
def test_what_minds_the_order_takes_two_genes(name):
    with pytest.raises(ValueError, match="rows of 3 genes"):
        settings(name, genes=112, n=1000, k=3)
    settings(f"{name}-symmetric", genes=112, n=1000, k=3)


@pytest.mark.slow
def test_the_width_of_least_validation_loss_is_chosen_for_each_job():
    config = small("naiad-symmetric", widths="validated")
    assert config.widths == (4, 2, 8)
    ranges = ([0, 18], [10, 28]), ([18, 28], [0, 10])
    jobs = Jobs(*(np.stack([np.arange(*ends) for ends in pair]) for pair in ranges))
    keys = jax.random.split(KEY[0])
    made = method(config)
    fits = made.fit(keys, TABLE, jobs)
    told = made.predict(fits, TABLE.combos).mean
    each = [neural(replace(config, net=replace(config.net, width=w))) for w in config.widths]
    own = [one.fit(keys, TABLE, jobs) for one in each]
    losses = np.stack([one.loss for one in own])
    np.testing.assert_array_equal(fits.which, losses.argmin(axis=0))
    for job in range(2):
        best = losses[:, job].argmin()
        want = each[best].predict(own[best], TABLE.combos).mean[job]
        np.testing.assert_allclose(told[job], want, atol=1e-6)


def test_without_validation_rows_the_first_width_is_used():
    config = small("embed", widths="validated")
    made = choosing([neural(replace(config, net=replace(config.net, width=w))) for w in (3, 2)])
    fits = made.fit(KEY, TABLE, Jobs(JOBS.train, np.zeros((1, 0), np.int32)))
    np.testing.assert_array_equal(fits.which, [0])


def test_the_default_asks_for_single_effects():
    with pytest.raises(ValueError, match="give singles"):
        method(settings("default", genes=P, n=18))
