import pytest

from epistax.distributed.errors import BadInput
from epistax.distributed.settings import changed, refuse
from epistax.engine.causal import catalogue as embeddings
from epistax.engine.response import catalogue

GRAPHVCI = catalogue.settings("graphvci", genes=20, cells=100)
DEFAULT = catalogue.settings("default", genes=20, cells=100)


def test_settings_are_found_by_their_names():
    given = ("omega1=10", "kl=true", "reading=att", "softmax=TRUE", "rate=1e-3", "draws=none",
             "relations.depth=2", "freeze_encoder=none", "batch=32")  # fmt: skip
    refuse([GRAPHVCI, DEFAULT], given)
    found = changed(GRAPHVCI, given)
    assert found.model.omega1 == 10.0 and found.model.kl == "true" and found.model.draws is None
    assert found.model.relations.reading == "att" and found.model.relations.softmax is True
    assert found.model.relations.depth == 2 and found.model.widths.depth == 3
    assert found.model.freeze_encoder == "none"  # a word of its own, not nothing
    assert found.training.rate == 1e-3 and found.training.batch == 32
    assert changed(DEFAULT, given) == DEFAULT  # it has none of these


@pytest.mark.parametrize("text, says", [
    ("omega1", "'omega1' is not NAME=VALUE"),
    ("omga1=3", "'omga1' is no setting of the models (did you mean omega1?)"),
    ("depth=2", "'depth' is of several parts; write one of relations.depth, widths.depth"),
])  # fmt: skip
def test_names_that_are_none_are_refused(text, says):
    with pytest.raises(BadInput) as error:
        refuse([GRAPHVCI], (text,))
    assert says in str(error.value)


@pytest.mark.parametrize("text, says", [
    ("omega1=much", "omega1='much': give a number"),
    ("kl=exact", "kl='exact': give true or code"),
    ("mc=0", "`mc` 0 and `draws` None must be at least 1"),
    ("draws=1.5", "give a whole number or none"),
])  # fmt: skip
def test_values_that_are_none_are_refused(text, says):
    with pytest.raises(BadInput) as error:
        changed(GRAPHVCI, (text,))
    assert says in str(error.value)


def test_settings_of_several_numbers_are_read():
    vae = embeddings.settings("vae", samples=100, features=20, vector=3)
    found = changed(vae, ("hidden=30,10", "sees=film", "clip=none"))
    assert found.hidden == (30, 10) and found.sees == "film" and found.clip is None
    with pytest.raises(BadInput, match="hidden='wide': give whole numbers with commas between"):
        changed(vae, ("hidden=wide",))
