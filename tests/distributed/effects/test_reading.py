"""What counts as a sample: repeated rows, (g, g), three genes; genes without a single effect."""

import numpy as np
import pytest

from epistax.distributed.effects.reading import combos, read_samples
from epistax.distributed.errors import BadInput
from epistax.distributed.formats.tables import read_pairs
from epistax.distributed.options.effects import EffectsFit

SINGLES = "a,ctrl,-1\nb,ctrl,-2\nctrl,c,-3\n"
MORE = "".join(f"a,x{n},{n}\nx{n},ctrl,{n / 10}\n" for n in range(10))


def read(path, **options):
    apart = options.pop("apart", False)
    return read_samples(str(path), EffectsFit(pairs=str(path), out="x", **options), apart=apart)


def rows(found):
    """By their names."""
    names = [tuple(found.names[c] for c in row if c >= 0) for row in found.genes]
    return dict(zip(names, found.value.tolist(), strict=True))


def test_repeated_rows_are_averaged_and_a_gene_with_itself_is_a_sample(write):
    text = "id1,id2,score\n" + SINGLES + "a,b,1\nb,a,2\nb,b,5\nb,b,6\nb,b,7\n" + MORE
    found = read(write(text))
    assert rows(found)["a", "b"] == 1.5 and rows(found)["b", "b"] == 6.0
    assert "c" not in found.names  # it has a single effect and no row
    assert sorted(map(tuple, found.genes)) == list(map(tuple, found.genes))
    place = found.names.index("b")
    assert found.singles[place] == -2 and found.seen == len(found.names) == 12
    np.testing.assert_array_equal(found.combos.singles[list(rows(found)).index(("b", "b"))], -2)
    both = read(write(text), apart=True)
    assert both.names == (*found.names, "c") and both.apart == 1 and both.seen == 12
    np.testing.assert_array_equal(both.genes, found.genes)


THREE = """id1,id2,id3,score
a,ctrl,,-1
b,ctrl,NA,-2
ctrl,c,,-3
c,a,b,9
b,c,a,11
a,b,,1
"""
JOINED = "label,score\na+ctrl,-1\nb,-2\nc,-3\nc+a+b,9\nb+a+c+ctrl,11\na+b,1\n"


@pytest.mark.parametrize(
    "text",
    [
        THREE + "".join(f"a,x{n},,{n}\nx{n},ctrl,,{n / 10}\n" for n in range(10)),
        JOINED + "".join(f"a+x{n},{n}\nx{n},{n / 10}\n" for n in range(10)),
    ],
    ids=["a third column", "labels of three"],
)
def test_rows_of_three_genes_are_samples(write, text):
    path = write(text)
    found = read(path)
    assert rows(found)["a", "b", "c"] == 10.0 and rows(found)["a", "b"] == 1.0
    assert found.genes.shape[1] == 3 and (found.genes[:, 2] >= 0).sum() == 1
    assert not [entry for entry in found.census.left_out if entry.key == "higher_order"]
    table = read_pairs(path)  # other verbs leave them out, and count them
    assert len(table.score) == 11 and table.census["higher_order"] == 2


def test_genes_without_a_single_effect_are_counted_and_listed(write):
    text = "id1,id2,score\n" + SINGLES + "a,b,1\na,lost,2\nlost,alone,3\n" + MORE
    found = read(write(text))
    (entry,) = found.left_out
    assert (entry.key, entry.count, entry.examples) == ("no_single", 2, ("alone", "lost"))
    assert "of 2 genes" in entry.reason and len(found.value) == 11


@pytest.mark.parametrize(
    "text, words",
    [
        ("a,b,1\na,c,2\nb,c,3\n", "no single effects; singles are written as (gene, control)"),
        (SINGLES + "a,b,1\na,c,2\n", "2 combinations whose genes all have a single effect, at"),
        (MORE.replace("a,x", "b,x"), "0 combinations whose genes all have"),
        (
            SINGLES + "".join(f"a,x{n},7\nx{n},ctrl,1\n" for n in range(10)),
            "has the effect 7; there",
        ),
    ],
)
def test_what_cannot_be_learned_from_is_refused(write, text, words):
    with pytest.raises(BadInput) as error:
        read(write("id1,id2,score\n" + text))
    assert words in str(error.value) and "\n" not in str(error.value)


def test_places_without_a_gene_have_no_effect():
    made = combos(np.array([[0, 1], [1, -1]], np.int32), np.array([0.5, 2.0], np.float32))
    np.testing.assert_array_equal(made.singles, [[0.5, 2.0], [2.0, 0.0]])


@pytest.mark.parametrize(
    "file, genes, count, itself",
    [("norman_gamma.csv", 112, 6328, 112), ("horlbeck_k562_gamma.csv", 448, 100576, 448)],
)
def test_the_papers_screens_have_the_papers_counts(shared_data, file, genes, count, itself):
    found = read(shared_data / "naiad" / file)
    assert (found.seen, len(found.value)) == (genes, count) and not found.left_out
    assert (found.genes[:, 0] == found.genes[:, 1]).sum() == itself
