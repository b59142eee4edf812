import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epistax.engine.interaction import critic as critics
from epistax.engine.interaction import crossfit, folding, readout
from epistax.engine.interaction.critic import Critic
from epistax.engine.interaction.crossfit import Training
from epistax.engine.mesh import mesh
from epistax.engine.nets.encoders import Encoder
from epistax.engine.screen import screen

SMALL = Encoder("mlp", (16,))
POINTS = np.array([[0.0], [1.0], [2.0]], np.float32)


def two(n, share, seed=0, wells=None):
    """Control N(0, 1) and one perturbation N(2, 1), at the given share."""
    rng = np.random.default_rng(seed)
    m = int(n * share)
    x = np.concatenate([rng.normal(size=n - m), rng.normal(2, size=m)])[:, None]
    codes = np.full((n, 2), -1)
    codes[n - m :, 1] = 0
    return screen(x.astype(np.float32), codes, p=1, well=wells)


def raw(params, x, critic, members):
    hidden = critics.network(critic.encoder).apply(params["encoder"], {}, x)
    return critics.scored(params, hidden, members)


@pytest.mark.parametrize(
    "critic",
    [
        Critic(Encoder("mlp", (64,)), loss="nre_a"),
        Critic(Encoder("mlp", (64,)), loss="nre_a", negatives="uniform"),
        Critic(Encoder("mlp", (64,)), loss="softmax"),
        Critic(Encoder("mlp", (64,)), loss="nre_a", rank=1),
    ],
    ids=["nre_a", "nre_a, uniform negatives", "softmax", "nre_a of rank 1"],
)
def test_unequal_classes_do_not_move_the_log_ratio(critic):
    # A4, A5: T = 2 y - 2 whatever the shares of the classes
    data = folding.fold(two(20_000, 0.1), np.ones(2, bool), folds=2, seed=0)
    out = crossfit.train(
        jax.random.split(jax.random.key(0), 1), critic, data, Training(400, rate=1e-2)
    )
    mean, sd = np.mean(two(20_000, 0.1).x), np.std(two(20_000, 0.1).x)
    member = jax.tree.map(lambda v: v[0], out.best)
    said = raw(member.params, jnp.asarray((POINTS - mean) / sd), critic, jnp.asarray(data.members))
    ratio = np.asarray(said[:, 1] - said[:, 0])
    np.testing.assert_allclose(ratio, [-2, 0, 2], atol=0.25)
    # what the loss sees is off by the logarithm of the shares, but for nre_a's own negatives
    log_prior = jnp.log(jnp.array([0.9, 0.1]))
    seen = critics.offset(log_prior, critic)
    shift = float(seen[1] - seen[0])
    own = critic.loss == "nre_a" and critic.negatives == "prior"
    assert shift == pytest.approx(0.0 if own else np.log(0.1 / 0.9), abs=1e-6)


def test_closed_form_negatives_are_the_mean_of_sampled_ones():
    # A6
    scores = jax.random.normal(jax.random.key(0), (50, 7)) * 2
    label = jnp.arange(50) % 7
    law = np.random.default_rng(0).dirichlet(np.ones(7))
    value = float(np.mean(critics.nre_a(scores, label, jnp.asarray(law, jnp.float32))))
    rng, s = np.random.default_rng(1), np.asarray(scores)
    row, other = rng.integers(0, 50, 100_000), rng.choice(7, 100_000, p=law)
    own = np.logaddexp(0, -s[row, np.asarray(label)[row]])
    sampled = own + np.logaddexp(0, s[row, other])
    assert abs(sampled.mean() - value) < 3 * sampled.std() / np.sqrt(len(sampled))


def test_softmax_is_the_cross_entropy():
    scores = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    label = np.array([0, 2, 1, 1, 0])
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    found = critics.softmax(jnp.asarray(scores), jnp.asarray(label))
    np.testing.assert_allclose(found, -np.log(p[np.arange(5), label]), rtol=1e-5)


def test_accuracy_is_that_of_the_first_greatest():
    rng = np.random.default_rng(0)
    found = rng.integers(0, 3, size=(500, 7)).astype(np.float32)  # ties
    log_prior, label = np.log(np.full(7, 1 / 7, np.float32)), rng.integers(0, 7, 500)
    told = critics.accuracy(jnp.asarray(found), jnp.asarray(label), jnp.asarray(log_prior))
    assert float(told) == pytest.approx(np.mean(found.argmax(1) == label), abs=1e-6)


def test_embedding_heads_compose_pairs_from_their_members():
    rng = np.random.default_rng(0)
    v, lift, tilt = (rng.normal(size=s).astype(np.float32) for s in ((4, 5), (5, 3), (5,)))
    head = {"class": jnp.asarray(v), "lift": jnp.asarray(lift), "tilt": jnp.asarray(tilt)}
    members = jnp.array([[-1, -1], [-1, 0], [-1, 2], [0, 2], [2, 0]])
    weight, bias = critics.weights(head, members)
    pair = v[0] + v[2] + v[0] * v[2]  # the last row is the control's
    np.testing.assert_allclose(weight, np.stack([v[3], v[0], v[2], pair, pair]) @ lift, rtol=1e-5)
    np.testing.assert_allclose(bias, np.stack([v[3], v[0], v[2], pair, pair]) @ tilt, rtol=1e-5)


def test_log_ratios_of_a_head_of_rank_r_span_r_directions():
    members = jnp.asarray([(-1, -1), (-1, 0), (-1, 1), (-1, 2), (0, 1), (0, 2), (1, 2)])
    x = jnp.asarray(np.random.default_rng(0).normal(size=(50, 3)), jnp.float32)
    for rank, directions in ((2, 2), (None, 6)):
        critic = Critic(SMALL, loss="nre_a", rank=rank)
        params, _ = critics.start(jax.random.key(0), critic, x, members)
        head = params["head"] | {"bias": jnp.arange(7.0)}
        if rank is not None:  # what all classes share is no direction of ratios
            head["shared"] = jnp.linspace(-3.0, 3.0, 16)
        scores = np.asarray(raw(params | {"head": head}, x, critic, members))
        ratio = scores - scores[:, :1]
        assert np.linalg.matrix_rank(ratio - ratio.mean(axis=0), tol=1e-3) == directions
    with pytest.raises(ValueError, match="`rank` is 0"):
        Critic(SMALL, rank=0)
    with pytest.raises(ValueError, match="linear head"):
        Critic(SMALL, head="embedding", rank=2)


def test_more_freedom_is_taken_where_it_predicts_better():
    assert critics.leanest([0.8616, 0.8622]) == 0
    assert critics.leanest([0.8620, 0.8616]) == 0  # by less than it costs
    assert critics.leanest([0.7433, 0.7238]) == 1
    assert critics.leanest([0.75, 0.73, 0.729]) == 1


def test_folds_hold_whole_wells_of_every_class():
    wells = np.arange(600) // 10
    codes = np.repeat([[-1, -1], [-1, 0], [-1, 1], [0, 1]], 150, axis=0)
    made = screen(np.arange(600.0, dtype=np.float32)[:, None], codes, p=2, well=wells)
    data = folding.fold(made, np.array([True, True, False, True]), folds=3, seed=1)
    assert data.count.tolist() == [[50, 50, 50]] * 3 and data.units.tolist() == [[5, 5, 5]] * 3
    assert data.members.tolist() == [[-1, -1], [-1, 0], [0, 1]]
    group = np.repeat(np.arange(3), 150)
    of_well = wells[np.argsort(np.argsort(np.arange(600)))][data.rows]
    assert all(len(set(group[of_well == w])) == 1 for w in set(of_well))
    assert len(set(of_well)) == 45  # the class left out is in no fold
    np.testing.assert_allclose(data.x.mean(), 0, atol=1e-6)
    again = folding.fold(made, np.array([True, True, False, True]), folds=3, seed=2)
    assert not np.array_equal(again.rows, data.rows)


def test_a_member_is_never_shown_its_own_fold():
    ends = jnp.array([0, 40, 100, 130])
    for k, own in enumerate([(0, 40), (40, 100), (100, 130)]):
        rows = np.asarray(crossfit.draw(jax.random.key(k), jnp.int32(k), ends, 4000))
        assert not ((rows >= own[0]) & (rows < own[1])).any()
        assert len(np.unique(rows)) == 130 - (own[1] - own[0])


def test_poison_in_a_fold_reaches_only_its_own_reading():
    data = folding.fold(two(300, 0.5), np.ones(2, bool), folds=3, seed=0)
    critic, training = Critic(SMALL), Training(20, batch=32, chunk=20)
    keys, bad, trained = jax.random.split(jax.random.key(0), 1), data.x.copy(), []
    bad[data.ends[1] : data.ends[2]] = 1e4
    for x in (data.x, bad):
        keep = lambda step, state, info: trained.append(jax.tree.map(np.array, state.train.params))  # noqa: E731
        crossfit.train(keys, critic, data._replace(x=x), training, hooks=[keep])
    # the member that reads fold 1 was trained as before; the others saw the poison
    parts = list(zip(*map(jax.tree.leaves, trained), strict=True))
    assert all(np.array_equal(a[1], b[1]) for a, b in parts)
    assert not any(np.array_equal(a[k], b[k]) for a, b in parts[:2] for k in (0, 2))


def test_a_loss_that_is_no_number_ends_the_training():
    data = folding.fold(two(300, 0.5), np.ones(2, bool), folds=2, seed=0)
    bad = data.x.copy()
    bad[0] = np.nan
    keys = jax.random.split(jax.random.key(0), 1)
    out = crossfit.train(
        keys, Critic(SMALL), data._replace(x=bad), Training(60, batch=256, chunk=20)
    )
    assert out.diverged == 20 and len(out.loss) == 1
    assert all(np.isfinite(v).all() for v in jax.tree.leaves(out.best.params))


def test_seeds_and_folds_together_are_those_alone():
    data = folding.fold(two(400, 0.5), np.ones(2, bool), folds=2, seed=0)
    critic, training = Critic(SMALL, loss="nre_a"), Training(40, batch=64, chunk=20)
    keys = jax.random.split(jax.random.key(3), 2)
    both = crossfit.train(keys, critic, data, training)
    turns = crossfit.train(keys, critic, data, training, together=False)
    alone = crossfit.train(keys[1:], critic, data, training)
    np.testing.assert_allclose(both.loss, turns.loss, rtol=1e-4)
    np.testing.assert_allclose(both.loss[:, 1:], alone.loss, rtol=1e-4)
    assert np.ptp(both.loss[-1]) > 0


def test_resumed_equals_uninterrupted():
    data = folding.fold(two(400, 0.5), np.ones(2, bool), folds=2, seed=0)
    critic, training = Critic(SMALL), Training(60, batch=64, chunk=20)
    keys, kept = jax.random.split(jax.random.key(3), 1), {}

    def keep(step, state, info):
        kept[step] = jax.tree.map(np.asarray, state)

    whole = crossfit.train(keys, critic, data, training, hooks=[keep])
    state = jax.tree.map(jnp.asarray, kept[20])
    rest = crossfit.train(keys, critic, data, training, progress=(20, state))
    for a, b in zip(*(jax.tree.leaves(o.best) for o in (whole, rest)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_eight_devices_are_one_and_hold_an_eighth_each():
    # rows are no multiple of the devices
    data = folding.fold(two(1003, 0.5), np.ones(2, bool), folds=2, seed=0)
    critic, training = Critic(SMALL), Training(30, batch=64, chunk=15)
    keys = jax.random.split(jax.random.key(0), 2)
    one = crossfit.train(keys, critic, data, training)
    eight = crossfit.train(keys, critic, data, training, mesh=mesh(8))
    np.testing.assert_allclose(one.loss, eight.loss, rtol=1e-4)
    for a, b in zip(*(jax.tree.leaves(o.best.params) for o in (one, eight)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
    sizes = [
        max(s.data.nbytes for s in crossfit.placed(data, mesh(k)).x.addressable_shards)
        for k in (1, 2, 8)
    ]
    assert sizes[1] <= sizes[0] / 2 + 8 and sizes[2] <= sizes[0] / 8 + 8


def test_what_is_read_is_the_members_own_log_ratio():
    data = folding.fold(two(500, 0.4), np.ones(2, bool), folds=2, seed=0)
    critic, training = Critic(SMALL), Training(20, batch=64, chunk=20)
    out = crossfit.train(jax.random.split(jax.random.key(0), 2), critic, data, training)
    read = readout.read(out, critic, data)
    rows = readout.seen(read, 1, int(data.count[:, 1].max()))
    found = np.asarray(readout.ratios(rows, read, 1))
    for k in range(2):
        own = slice(data.first[k, 1], data.first[k, 1] + data.count[k, 1])
        said = [
            raw(jax.tree.map(lambda v, at=s * 2 + k: v[at], out.best).params,
                jnp.asarray(data.x[own]), critic, jnp.asarray(data.members))
            for s in range(2)
        ]  # fmt: skip
        ratio = np.mean([s[:, 1] - s[:, 0] for s in said], axis=0)
        np.testing.assert_allclose(found[k, : data.count[k, 1]], ratio, atol=1e-5)
    assert np.asarray(rows.mask).sum() == data.count[:, 1].sum()
