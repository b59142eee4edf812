"""Methods by name."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from epistax.engine.causal.catalogue import NAMES, method, settings

KEYS = jax.random.split(jax.random.key(0), 2)


@pytest.mark.parametrize("name", NAMES)
def test_every_method_learns_to_reconstruct(toy, name):
    config = settings(
        name, samples=240, features=8, vector=3, latents=3, hidden=(16,), epochs=80, batch=32,
        rate=5e-3, encoder="mlp", decoder="linear", start="random", warmup=0, irm=0.0,
        sees="film" if name == "environment" else "concat",
    )  # fmt: skip
    model = method(name, config)
    heard = []
    fits, info = model.fit(KEYS, toy.data, (lambda done, state, told: heard.append(done),))
    assert heard == list(range(1, 81))
    assert all(x.shape == (80, 2) and np.isfinite(x).all() for x in info.values())
    assert {"loss", "error", "validation"} <= set(info)
    assert (info["loss"][-5:].mean(0) < info["loss"][:5].mean(0)).all()
    variance = toy.data.train.x.var(axis=0).mean()
    assert (info["error"][-1] < 0.25 * variance).all()
    x, environment = toy.data.validation
    e = toy.data.vectors[environment]
    z = model.encode(fits, x, e)
    prior = model.prior(fits, toy.data.vectors)
    assert z.mean.shape == z.log_sd.shape == (2, 80, 3) and prior.mean.shape == (2, 6, 3)
    c = model.variables(fits, z.mean)
    assert bool((c == z.mean).all()) == (name != "structured")
    told = np.asarray(model.decode(fits, z.mean, e))
    assert ((told[0] - told[1]) ** 2).mean() > 0  # keys have fits of their own
    assert method(name, config) is model


def test_the_penalty_and_stopping_go_with_all(toy):
    config = settings(
        "structured", samples=240, features=8, vector=3, epochs=2, irm=1.0, irm_after=0,
        irm_halves=True, stop=True, dropout=0.2, vector_dropout=0.3, bottleneck=4, sees="film",
        likelihood="student", shared_gate=True,
    )  # fmt: skip
    _, info = method("structured", config).fit(KEYS[:1], toy.data, ())
    assert np.isfinite(info["penalty"]).all() and np.isfinite(info["held"]).all()


def test_published_settings_are_the_papers_and_without_remedies():
    def of(name, features):
        return settings(name, samples=5000, features=features, vector=1024, preset="published")

    first = of("environment", 10)
    assert (first.latents, first.hidden, first.decoder) == (2, (5,), "linear")
    assert (of("vae", 20).latents, of("vae", 20).hidden) == (5, (20,))
    wide = of("adversarial", 978)
    assert (wide.latents, wide.hidden, wide.decoder, wide.bounded) == (200, (500,), "mlp", False)
    assert (wide.rate, wide.batch, wide.epochs, wide.likelihood) == (1e-3, 64, 200, "normal")
    assert {name: of(name, 978).sees for name in NAMES} == {
        name: "x" if name == "vae" else "concat" for name in NAMES
    }
    for name in NAMES:
        own = of(name, 978)
        remedies = (own.clip, own.bottleneck, own.clamp, own.prior_clamp, own.stop, own.anneal)
        assert not any(remedies) and own.gate == "softmax" and own.start == "random"
        assert own.decay == own.dropout == own.vector_dropout == own.irm == own.warmup == 0


def test_default_settings_fit_the_data():
    own = settings("environment", samples=40, features=3, vector=1024)
    assert own.latents <= 3 and own.batch == 40 and own.bottleneck == 32 and own.clamp
    assert settings("environment", samples=40, features=3, vector=8).bottleneck is None
    assert own.sees == "x" and settings("conditional", samples=9, features=3, vector=8).sees != "x"
    assert settings("vae", samples=9, features=99, vector=1, latents=7, beta=2.0).latents == 7
    assert hash(own) == hash(replace(own))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"latents": 9}, "`latents` is 9; it must be at most the 8 features"),
        ({"dropout": 1.0}, "`dropout` is 1.0; it must be at least 0 and below 1"),
        ({"temperature": 0.0}, "`temperature` is 0.0; it must be above 0"),
        ({"clip": 0.0}, "`clip` is 0.0; it must be none or above 0"),
        ({"hidden": (5, 0)}, "`hidden` is .5, 0.; it must be widths above 0"),
        ({"depth": 9}, "`depth` is 9; it must be at most"),
        ({"decoder": "mlp", "start": "pca"}, "must have paths"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(changes, told):
    with pytest.raises(ValueError, match=told):
        settings("structured", samples=10, features=8, vector=3, **changes)


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="the model is 'gan'; it is one of vae, conditional"):
        settings("gan", samples=10, features=8, vector=3)
