"""The file of a fit: what goes in comes out to the bit, and nothing else does."""

import io
import json
import zipfile
from pathlib import Path

import jax
import numpy as np
import pytest

from epistax.distributed.effects import stored
from epistax.distributed.effects.stored import Learned
from epistax.distributed.errors import BadInput
from epistax.engine.effects.choice import Chosen
from epistax.engine.effects.mixed import Fit, Mixed
from epistax.engine.effects.mixed_sampler import Chain
from epistax.engine.effects.neural import Fitted, Neural
from epistax.engine.effects.training import Training
from epistax.engine.effects.units import Units
from epistax.engine.nets.combos import Combining
from epistax.engine.nets.graph import Graph

RNG = np.random.default_rng(0)
NET = Neural(Combining(5, width=4, symmetric=False), Training(epochs=3), widths=(2, 4))


def numbers(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def learned(config, fits, **more):
    about = dict(model="m", config=config, names=("a", "β"), singles=numbers(2),
                 seen=np.array([True, False]), k=2, side=None, graph=None, members=1, fits=fits,
                 spare=0.1, factor=1 / 3)  # fmt: skip
    return Learned(**{**about, **more})


def network():
    graph = Graph(np.array([[0, 1]], np.int32), numbers(1))
    params = {"table": {"free": numbers(1, 5, 4)}, "Linear_0": {"kernel": numbers(1, 2, 3)}}
    return Fitted(params, graph, Units(*numbers(3, 1)), numbers(1))


def posterior():
    chain = Chain(*(numbers(1, 6, n + 1) for n in range(len(Chain._fields))))
    return Fit(chain, numbers(1), numbers(1), jax.random.split(jax.random.key(3), 1))


FITS = [
    learned(NET, Chosen((network(), network()), np.array([1], np.int32)), side=numbers(2, 3)),
    learned(Mixed(draws=6), posterior()),
    learned(NET, network()._replace(graph=None), graph=network().graph),
]


@pytest.mark.parametrize("one", FITS, ids=["chosen", "mixed", "graph"])
def test_what_goes_in_comes_out_to_the_bit(one, tmp_path):
    data = stored.encode(one)
    assert data == stored.encode(one)
    (tmp_path / stored.NAME).write_bytes(data)
    again = stored.read(tmp_path)
    assert again.config == one.config and again.names == one.names and again.factor == one.factor
    assert jax.tree.structure(again.fits) == jax.tree.structure(one.fits)
    for a, b in zip(jax.tree.leaves(again.fits), jax.tree.leaves(one.fits), strict=True):
        assert a.dtype == b.dtype
        raw = [jax.random.key_data(x) if hasattr(x.dtype, "_impl") else x for x in (a, b)]
        np.testing.assert_array_equal(*raw)
    assert stored.encode(again) == data


@pytest.mark.parametrize("value", [print, Path("x"), [1.0], {1, 2}, {"a": object()}])
def test_nothing_but_records_of_a_fit_is_written(value):
    with pytest.raises(TypeError, match="cannot be stored"):
        stored.encode(learned(NET, value))


def rewritten(one, change):
    """The file with another tree."""
    with np.load(io.BytesIO(stored.encode(one))) as held:
        arrays = dict(held)
    tree = json.loads(arrays[stored.TREE].tobytes())
    text = json.dumps(change(tree) or tree).encode()
    buffer = io.BytesIO()
    np.savez(buffer, **{**arrays, stored.TREE: np.frombuffer(text, np.uint8)})
    return buffer.getvalue()


@pytest.mark.parametrize(
    "damage",
    [
        lambda one: stored.encode(one)[:-400],
        lambda one: stored.encode(one)[:100] + b"?" * 50 + stored.encode(one)[150:],
        lambda one: rewritten(one, lambda tree: tree["fields"].pop("k")),
        lambda one: rewritten(one, lambda tree: tree["fields"].update(more=1)),
        lambda one: rewritten(one, lambda tree: tree["fields"].update(fits={"record": "Popen"})),
        lambda one: rewritten(one, lambda tree: tree["fields"].update(fits={"array": "a999"})),
        lambda one: rewritten(one, lambda tree: tree["fields"].update(k="two")),
        lambda one: rewritten(one, lambda tree: tree["fields"].update(names={"tuple": ["a"]})),
        lambda one: rewritten(one, lambda tree: tree["fields"].update(config=None)),
        lambda one: rewritten(one, lambda tree: [1, 2]),
        lambda one: rewritten(one, lambda tree: {"record": "Linear", "fields": {}}),
    ],
)
def test_a_damaged_or_foreign_file_is_one_line(damage, tmp_path):
    (tmp_path / stored.NAME).write_bytes(damage(FITS[2]))
    with pytest.raises(BadInput) as error:
        stored.read(tmp_path)
    assert "damaged" in str(error.value) and "\n" not in str(error.value)


def test_pickles_are_not_opened(tmp_path):
    path = tmp_path / stored.NAME
    np.savez(path, tree=np.array([print], object))
    with pytest.raises(BadInput, match="holds Python objects"):
        stored.read(tmp_path)
    assert zipfile.is_zipfile(path)
    with pytest.raises(BadInput, match="has no fit.npz; name the run directory"):
        stored.read(tmp_path / "other")
