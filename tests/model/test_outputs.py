"""Each output form compared with its formula in NumPy; cold tracks; gradients of all weights."""

import numpy as np
import pytest

from gru4rec_lib.data.features import Features
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.model import outputs
from gru4rec_lib.model.forms import OUTPUT_FORMS
from gru4rec_lib.model.inputs import INPUTS
from gru4rec_lib.model.outputs import OUTPUTS
from gru4rec_lib.ranking.exact import NO_RANK
from gru4rec_lib.training import gru4rec as model_module
from gru4rec_lib.training import losses
from gru4rec_lib.training.gru4rec import GRU4Rec
from gru4rec_lib.utils.backend import keras, tf

N, CANDIDATES, UNITS = 4, 6, 3
# Tracks 0-3 are training tracks; 4 and 5 are cold: 4 has a tag of training tracks, 5 has none.
FEATURES = Features(
    np.random.default_rng(1).normal(size=(CANDIDATES, 2)).astype(np.float32),
    {"tags": np.array([[1, 2], [2, -1], [3, 1], [-1, 2], [0, 1], [-1, -1]], np.int32)},
    {"tags": 4},
)
NUMBERS = Features(FEATURES.numeric)
TAGS = Features(np.zeros((CANDIDATES, 0), np.float32), FEATURES.categories, FEATURES.sizes)
MEAN = np.array(  # of [value 0, 1, 2, 3]; a value unseen in training is ignored
    [[0, 1 / 2, 1 / 2, 0], [0, 0, 1, 0], [0, 1 / 2, 0, 1 / 2], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
)
SESSIONS = Sessions.from_lists([[0, 1, 2, 3], [3, 1], [2, 0, 0]])


def made(output, form="embedding", features=FEATURES, **options):
    model = GRU4Rec(N, form, UNITS, output_form=output, embedding_units=2, mlp_units=(3,), features=features, **options)
    if hasattr(model.scorer, "table"):
        model.scorer.bias.assign(np.linspace(-1, 1, N))
    return model


def by_features(model, features=FEATURES, mean=MEAN):
    w = features.numeric @ model.scorer.kernel.numpy()
    for rows in model.scorer.feature_rows.rows:
        w = w + mean @ rows.numpy()
    return w


def test_the_registry_has_every_class_and_says_whether_it_uses_features():
    classes = {one for one in vars(outputs).values() if isinstance(one, type) and issubclass(one, outputs.Scorer)}
    assert {*OUTPUTS.values()} == classes
    for name, form in OUTPUT_FORMS.items():
        assert hasattr(made(name).scorer, "feature_rows") == form.needs_features, name


@pytest.fixture
def eager_and_small(eager, monkeypatch):
    monkeypatch.setattr(model_module, "RANK_LANES", 2)
    monkeypatch.setattr(model_module, "RANK_STEPS", 2)


def test_ids_have_one_row_per_training_track():
    model = made("ids")
    rows, bias = model.scorer.scoring_rows()
    np.testing.assert_array_equal(rows, model.scorer.table)
    np.testing.assert_array_equal(bias, model.scorer.bias)


@pytest.mark.parametrize("block", [4096, 4])
def test_content_is_a_sum_over_the_features_of_every_candidate(monkeypatch, block):
    monkeypatch.setattr(outputs, "BLOCK", block)
    model = made("content")
    rows, bias = model.scorer.scoring_rows()
    np.testing.assert_allclose(np.c_[rows, bias], by_features(model), atol=1e-6)


@pytest.mark.parametrize("block", [4096, 4])
def test_hybrid_adds_the_row_of_a_training_track(monkeypatch, block):
    monkeypatch.setattr(outputs, "BLOCK", block)
    model = made("hybrid")
    rows, bias = model.scorer.scoring_rows()
    expected = by_features(model)
    expected[:N] += np.c_[model.scorer.table, model.scorer.bias]
    np.testing.assert_allclose(np.c_[rows, bias], expected, atol=1e-6)


@pytest.mark.parametrize("features", [NUMBERS, TAGS], ids=["numbers alone", "categories alone"])
def test_content_of_one_kind_of_features(features):
    model = made("content", features=features)
    rows, bias = model.scorer.scoring_rows()
    np.testing.assert_allclose(np.c_[rows, bias], by_features(model, features), atol=1e-6)


@pytest.mark.usefixtures("eager_and_small")
def test_content_ranks_a_cold_track_and_ids_misses_it():
    """After track 0, the target 4 has no rank with `ids`; otherwise it is ranked by the scores of all six tracks."""
    cold = Sessions.from_lists([[0, 4]])
    assert made("ids").rank(cold, CANDIDATES).tolist() == [NO_RANK]
    for output in ("content", "hybrid"):
        model = made(output)
        hidden, _ = model(tf.constant([0]))
        rows, bias = model.scorer.scoring_rows()
        scores = rows @ hidden[0].numpy() + bias
        assert model.rank(cold, CANDIDATES).tolist() == [(scores >= scores[4]).sum()]
        assert model.rank(Sessions.from_lists([[0, 2]]), N).tolist() == [(scores[:N] >= scores[2]).sum()]


@pytest.mark.usefixtures("eager_and_small")
def test_without_a_known_input_a_cold_track_has_zero_plays():
    model = made("hybrid", form="one_hot")
    model.scorer.plays.assign([5, 3, 3, 1])
    ranks = model.rank(Sessions.from_lists([[4, 1], [4, 5]]), CANDIDATES)
    assert ranks.tolist() == [3, 6]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "output", "cell"),
    [
        *((form, "ids", "gru") for form in INPUTS),
        *(("shared", output, "lstm") for output in OUTPUTS),
        *(("hybrid_gate", output, "gru") for output in OUTPUTS if output != "ids"),
    ],
)
def test_a_step_follows_the_gradient_of_the_loss(form, output, cell):
    """SGD on one batch with all tracks scored: each weight changes by rate x its numerical gradient."""
    model = made(output, form, cell=cell)
    model.compile(loss="cross_entropy", optimizer=keras.optimizers.SGD(1.0), negatives=("all",), jit=False)
    pairs = Sessions.from_lists([[0, 1], [3, 2]])
    ids, targets = np.array([0, 3]), np.array([1, 2])

    def loss():
        hidden, _ = model(tf.constant(ids))
        rows, bias = model.scorer.scoring_rows()
        scores = tf.constant((hidden.numpy() @ rows.T + bias)[:, :N])
        own = tf.gather(scores, targets, batch_dims=1)
        return float(np.mean(losses.cross_entropy(own, scores, tf.one_hot(targets, N) == 0)))

    before = {w.path: w.numpy() for w in model.trainable_variables}
    expected = {}
    for w in model.trainable_variables:
        for place in [*np.ndindex(*w.shape)][:: max(1, w.numpy().size // 3)]:  # some entries of each weight
            sides = []
            for move in (0.01, -0.01):
                moved = before[w.path].copy()
                moved[place] += move
                w.assign(moved)
                sides.append(loss())
            w.assign(before[w.path])
            expected[w.path, place] = (sides[0] - sides[1]) / 0.02
    model.fit(pairs, batch_size=2, verbose=0, shuffle=False)
    after = {w.path: w.numpy() for w in model.trainable_variables}
    for (path, place), gradient in expected.items():
        assert before[path][place] - after[path][place] == pytest.approx(gradient, abs=2e-4), (path, place)
    still = {path for path in before if not (before[path] != after[path]).any()}
    assert still <= {path for path in before if path.endswith(("recurrent_kernel", "mlp_0_bias", "mlp_0_kernel"))}


@pytest.mark.slow
@pytest.mark.parametrize("output", ["content", "hybrid"])
def test_features_of_cold_tracks_do_not_change_training(output):
    """All training tracks are scored; without cold tracks, the whole table of constants is used."""
    trained = []
    for n in (N, CANDIDATES):
        features = Features(FEATURES.numeric[:n], {"tags": FEATURES.categories["tags"][:n]}, FEATURES.sizes)
        model = made(output, "shared", features)
        model.compile(negatives=("all",), l2=0.1, momentum=0.2, jit=False)
        model.fit(SESSIONS, epochs=2, batch_size=2, verbose=0)
        trained.append(model.trainable_variables)
    for few, many in zip(*trained, strict=True):
        np.testing.assert_allclose(few, many, atol=1e-6, err_msg=few.path)


@pytest.mark.slow
@pytest.mark.parametrize("features", [NUMBERS, TAGS], ids=["numbers alone", "categories alone"])
def test_a_model_with_features_of_one_kind_trains_and_saves(features, tmp_path):
    model = made("hybrid", "hybrid_gate", features)
    before = [w.numpy() for w in model.trainable_variables]
    model.compile(samples=3)
    model.fit(SESSIONS, epochs=2, batch_size=2, verbose=0)
    for weight, old in zip(model.trainable_variables, before, strict=True):
        assert old.size == 0 or (weight.numpy() != old).any(), weight.path
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for one, other in zip(loaded.scorer.scoring_rows(), model.scorer.scoring_rows(), strict=True):
        np.testing.assert_array_equal(one, other)
