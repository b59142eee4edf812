"""Embeddings of a classifier: what is learned, by whom observations are embedded, what is kept."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine.interaction import classifier, crossfit, paired
from epistax.engine.interaction.critic import Critic
from epistax.engine.interaction.crossfit import Training
from epistax.engine.nets.encoders import Encoder
from epistax.engine.screen import screen as arranged
from epistax.engine.stats import normalise

GENES, D = 4, 6
PAIRS = [(i, j) for i in range(GENES) for j in range(i + 1, GENES)]
CRITIC = Critic(Encoder("mlp", (32, 16)))


def made(wells=40, cells=2, effect=3.0, seed=0, alone=None):
    """Genes that each move a feature, in wells of some cells; alone: one gene has a single well."""
    rng = np.random.default_rng(seed)
    codes = [(-1, -1)] * (2 * wells) + [(-1, g) for g in range(GENES) for _ in range(wells)]
    codes += [pair for pair in PAIRS for _ in range(wells)]
    codes = np.repeat(np.array(codes, np.int32), cells, axis=0)
    well = np.repeat(np.arange(len(codes) // cells), cells)
    if alone is not None:
        well[(codes[:, 0] < 0) & (codes[:, 1] == alone)] = well.max() + 1
    x = rng.normal(size=(len(codes), D))
    for column in codes.T:
        x[np.arange(len(x)), np.maximum(column, 0)] += effect * (column >= 0)
    return arranged(x.astype(np.float32), codes, p=GENES, well=well)


def taught(screen, steps=200, seed=0, **how):
    how = {"classes": "singles", "seed": seed} | how
    lesson = classifier.lesson(screen, **how)
    training = Training(steps, batch=64, rate=2e-3, decay=1e-4, chunk=20)
    return lesson, trained(lesson, training, seed)


def trained(lesson, training, seed=0, hooks=()):
    keys = jax.random.split(jax.random.key(seed), 1)
    return crossfit.train(keys, CRITIC, lesson.data, training, hooks=hooks)


def embedded(screen, **how):
    return classifier.embed(screen, *taught(screen, **how), CRITIC)


def stands(screen):
    return np.repeat(np.arange(len(screen.count)), screen.count)


def whitened(screen, h):
    control = slice(0, int(screen.count[0]))
    white = h @ normalise.whitening(h[control], np.zeros(screen.count[0], int))
    return screen._replace(x=white.astype(np.float32))


def scores(screen):
    return paired.additive(screen, residual=False, seed=0).test(np.arange(len(PAIRS)))


@pytest.fixture(scope="module")
def plain():
    screen = made()
    lesson, outcome = taught(screen)
    return screen, lesson, outcome, classifier.embed(screen, lesson, outcome, CRITIC)


def test_perturbations_that_differ_are_told_apart(plain):
    screen, lesson, _, found = plain
    assert found.accuracy > 0.75 and found.classes == 1 + GENES and lesson.left == 0
    assert found.held_out == screen.count[: 1 + GENES].sum()
    assert 0.5 < found.agreement <= 1
    assert np.abs(found.h[stands(screen) == 0].mean(axis=0)).max() < 1e-5


def test_labels_that_mean_nothing_are_told_by_chance():
    found = embedded(made(effect=0.0), steps=60)
    assert found.accuracy == pytest.approx(1 / (1 + GENES), abs=0.06)


def test_every_class_stands_half_in_either_fold_and_no_well_is_torn(plain):
    screen, lesson, _, _ = plain
    own = stands(screen)
    for c in range(len(screen.count)):
        assert lesson.half[own == c].mean() == 0.5
    name = own * 1000 + screen.unit
    for well in np.unique(name):
        assert len(set(lesson.half[name == well])) == 1


def test_no_member_sees_what_it_embeds(plain):
    screen, lesson, _, _ = plain
    training, seen = Training(20, batch=64, chunk=10), {}

    def parameters(tag, lesson):
        def hook(step, state, info):
            seen[tag] = jax.tree.map(np.array, state.train.params)

        trained(lesson, training, hooks=[hook])

    parameters("whole", lesson)
    for k, (start, stop) in enumerate(
        zip(lesson.data.ends[:-1], lesson.data.ends[1:], strict=True)
    ):
        rows = lesson.data.rows[start:stop]
        assert (lesson.half[rows] == k).all()
        x = np.array(lesson.data.x)
        x[start:stop] = 1e3  # poison
        parameters("poisoned", lesson._replace(data=lesson.data._replace(x=x)))
        same = [
            jax.tree.all(jax.tree.map(lambda a, b, m=m: (a[m] == b[m]).all(), *seen.values()))
            for m in range(2)
        ]
        assert same == [k == 0, k == 1]


def test_each_half_is_embedded_by_its_own_member(plain):
    screen, lesson, outcome, found = plain
    for k in range(2):
        broken = jax.tree.map(lambda v, k=k: v.at[1 - k].set(0), outcome.best.params)
        other = outcome._replace(best=outcome.best._replace(params=broken))
        h = classifier.embed(screen, lesson, other, CRITIC).h
        assert np.allclose(h[lesson.half == k], found.h[lesson.half == k]) == (k == 0)
        assert np.abs(h[lesson.half != k]).max() < 1e-6


def test_a_member_that_is_a_linear_map_of_the_other_is_mapped_back(plain):
    screen, lesson, outcome, _ = plain
    scale = jnp.linspace(0.5, 2, 16)[None]
    turn = np.random.default_rng(0).permutation(16)  # ReLU commutes with both
    last = outcome.best.params["encoder"]
    names = sorted(last)
    kernel, bias = last[names[-1]]["kernel"], last[names[-1]]["bias"]
    for name in names[:-1]:
        last = last | {name: jax.tree.map(lambda v: v.at[1].set(v[0]), last[name])}
    last = last | {
        names[-1]: {
            "kernel": kernel.at[1].set((kernel[0] * scale)[:, turn]),
            "bias": bias.at[1].set((bias[0] * scale[0])[turn]),
        }
    }
    params = outcome.best.params | {"encoder": last}
    twin = outcome._replace(best=outcome.best._replace(params=params))
    mapped = classifier.embed(screen, lesson, twin, CRITIC)
    one = jax.tree.map(lambda v: v.at[1].set(v[0]), twin.best)
    plainly = classifier.embed(screen, lesson, outcome._replace(best=one), CRITIC)
    assert mapped.agreement == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(mapped.h, plainly.h, atol=5e-3)


def test_an_affine_map_is_found():
    rng = np.random.default_rng(0)
    h = rng.normal(size=(500, 8)).astype(np.float32)
    matrix = (np.eye(8) + 0.1 * rng.normal(size=(8, 8))).astype(np.float32)
    back, shift = classifier.affine(h @ matrix + 2, h)
    np.testing.assert_allclose((h @ matrix + 2) @ back + shift, h, atol=1e-3)


def test_after_whitening_no_linear_map_of_h_changes_the_score(plain):
    screen, _, _, found = plain
    alive = found.h[:, found.h[stands(screen) == 0].std(axis=0) > 0]
    top = np.linalg.svd(alive[: screen.count[0]], full_matrices=False)[2][:6]
    h = alive @ top.T  # within the floor of the whitening
    matrix = np.eye(6) + 0.3 * np.random.default_rng(0).normal(size=(6, 6))
    one, two = scores(whitened(screen, h)), scores(whitened(screen, h @ matrix))
    np.testing.assert_allclose(one.statistic, two.statistic, rtol=1e-3, atol=1e-3)
    raw, other = (scores(screen._replace(x=v.astype(np.float32))) for v in (h, h @ matrix))
    assert np.abs(raw.statistic / other.statistic - 1).max() > 0.1


def test_where_nothing_acts_nothing_interacts():
    p = []
    for seed in range(5):
        screen = made(effect=0.0, seed=seed)
        h = embedded(screen, seed=seed, steps=60).h
        p.append(scores(whitened(screen, h[:, h[: screen.count[0]].std(axis=0) > 0])).p)
    assert (np.concatenate(p) < 0.05).mean() < 0.2 and np.min(p) > 1e-4


def test_the_same_seed_gives_the_same_embedding():
    screen = made(effect=0.0)
    one, two, other = (embedded(screen, seed=s, steps=60) for s in (0, 0, 1))
    np.testing.assert_array_equal(one.h, two.h)
    assert one.accuracy == two.accuracy and not np.array_equal(one.h, other.h)


def test_a_class_in_a_single_well_is_embedded_and_not_learned():
    screen = made(alone=2)
    lesson, outcome = taught(screen, steps=60)
    assert lesson.left == 1 and not lesson.kept[3] and lesson.kept[: 1 + GENES].sum() == GENES
    found = classifier.embed(screen, lesson, outcome, CRITIC)
    assert found.classes == GENES and found.held_out == screen.count[[0, 1, 2, 4]].sum()
    assert np.isfinite(found.h).all() and np.abs(found.h[stands(screen) == 3]).max() > 0


def test_doubles_are_learned_where_asked_for():
    screen = made(wells=10)
    found = embedded(screen, classes="all", steps=60)
    assert found.classes == len(screen.count) and found.held_out == len(screen.x)


def test_wells_that_classes_share_stay_whole():
    screen = made()
    block = np.arange(len(screen.x)) % 10
    lesson = classifier.lesson(screen, classes="singles", seed=0, block=block)
    for k in range(10):
        assert len(set(lesson.half[block == k])) == 1
    assert lesson.half.mean() == pytest.approx(0.5, abs=0.01) and lesson.left == 0


def test_few_observations_are_learned_in_small_batches():
    small, large = classifier.training(100), classifier.training(10_000_000)
    assert (small.batch, small.steps) == (50, 300) and (large.batch, large.steps) == (1024, 4000)
