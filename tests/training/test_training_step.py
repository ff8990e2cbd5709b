"""Whole training steps equal a plain NumPy computation in float64."""

import functools
import math

import numpy as np
import pytest

from gru4rec_lib.data.features import Features
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.model.layers import dropout
from gru4rec_lib.training import epochs, negatives
from gru4rec_lib.training.gru4rec import GRU4Rec
from gru4rec_lib.utils.backend import keras

N, UNITS, LANES, SAMPLES, RATE, SGD_RATE = 7, 3, 4, 3, 0.1, 20.0
# Three sessions in four lanes: one lane is empty in each step, three are in the last two; two lanes have the target 1;
# item 6 is never played.
SESSIONS = Sessions.from_lists([[0, 1, 2, 5], [3, 1], [1, 4]])
FEATURES = Features(
    np.random.default_rng(1).normal(size=(8, 2)).astype(np.float32),
    {"tags": np.array([[1, 2], [2, -1], [3, 1], [-1, -1], [1, 3], [2, 3], [0, 1], [0, -1]], np.int32)},
    {"tags": 4},
)
BOTH = ("in_batch", "sampled")
STEPS = {  # input form, then arguments of the model and of `compile`
    "cross-entropy as in table 2": ("embedding", {"loss": "cross_entropy", "logq": 1.0}),
    "bpr-max, shared rows, all options": (
        "shared",
        {"loss": "bpr_max", "negatives": BOTH, "score_activation": "elu", "elu_alpha": 0.8, "momentum": 0.5}
        | {"bpr_max_regularization": 0.7, "l2": 0.03},
    ),
    "shared rows, all outputs": ("shared", {"loss": "cross_entropy", "negatives": ("all",), "momentum": 0.5}),
    "dropout of the state, two layers, clipped gradients": (
        "embedding",
        {"loss": "cross_entropy", "cell": "lstm", "hidden_units": [4, 3], "dropout_hidden": 0.4, "dropout_state": True}
        | {"negatives": BOTH, "label_smoothing": 0.2, "clip_norm": 0.05, "momentum": 0.5},
    ),
    "dropout without the state": (
        "one_hot",
        {"loss": "cross_entropy", "dropout_hidden": 0.4, "hidden_activation": "relu"},
    ),
    "a Keras optimiser": ("one_hot", {"loss": "bpr", "negatives": BOTH, "logq": 0.6, "optimizer": "sgd"}),
    "content, two layers": (
        "content_mlp",
        {"loss": "cross_entropy", "negatives": BOTH, "l2": 0.03, "hidden_units": [4, 3]},
    ),
    "two LSTM layers, gated input": (
        "hybrid_gate",
        {"loss": "cross_entropy", "cell": "lstm", "hidden_units": [2, 3], "logq": 1.0, "momentum": 0.3, "l2": 0.03},
    ),
    "content scores": (
        "one_hot",
        {"loss": "bpr_max", "bpr_max_regularization": 0.7, "output_form": "content", "negatives": BOTH, "l2": 0.03},
    ),
    "the same features on both sides": (
        "hybrid_concat",
        {"loss": "cross_entropy", "cell": "lstm", "output_form": "hybrid", "momentum": 0.5, "logq": 1.0},
    ),
    "shared rows made of features": (
        "shared",
        {"loss": "cross_entropy", "output_form": "hybrid", "negatives": BOTH, "momentum": 0.5, "l2": 0.03},
    ),
    "shared content, all outputs": (
        "shared",
        {"loss": "cross_entropy", "output_form": "content", "negatives": ("all",), "momentum": 0.5, "cell": "lstm"},
    ),
}
QUICK = (
    "cross-entropy as in table 2",
    "dropout of the state, two layers, clipped gradients",
    "shared rows made of features",
)


@pytest.fixture(autouse=True)
def _few_steps_a_call(monkeypatch):
    monkeypatch.setattr(epochs, "TRAIN_STEPS", 2)


def made(form, hidden_units=UNITS, output_form="ids", cell="gru", **settings):
    options = {"embedding_units": 2, "mlp_units": (3,), "features": FEATURES}
    for name in ("hidden_activation", "dropout_hidden", "dropout_state"):
        options |= {name: settings.pop(name)} if name in settings else {}
    model = GRU4Rec(N, form, hidden_units, output_form, cell, **options)
    if settings.get("optimizer") == "sgd":
        settings["optimizer"] = keras.optimizers.SGD(SGD_RATE)
    model.compile(**{"samples": SAMPLES, "sample_alpha": 0.5, "learning_rate": RATE, "jit": False} | settings)
    return model


def weights(model):
    return {w.path.partition("/")[2]: np.asarray(w.numpy(), np.float64) for w in model.trainable_variables}


# The reference: computed from the formulas, lane by lane and score by score.


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax_weighted(terms, r):
    return np.sum(np.exp(r) / np.exp(r).sum() * terms)


LOSS = {
    "cross_entropy": lambda i, r, c: (
        np.log(np.exp([i, *r]).sum()) - (1 - c.get("label_smoothing", 0)) * i - c.get("label_smoothing", 0) * np.mean(r)
    ),
    "bpr": lambda i, r, c: -np.log(sigmoid(i - r)).mean(),
    "bpr_max": lambda i, r, c: (
        -math.log(softmax_weighted(sigmoid(i - r), r)) + c["bpr_max_regularization"] * softmax_weighted(r**2, r)
    ),
}


def mean_of_tags(rows, item):
    tags = [t for t in FEATURES.categories["tags"][item] if t > 0]  # value 0 is unknown
    return np.mean(rows[tags], axis=0) if tags else np.zeros(rows.shape[1])


def inputs(w, form, item, output):
    if form == "one_hot":
        return w["item_input/table"][item]
    if form == "embedding":
        return w["item_input/table"][item] @ w["item_input/kernel"]
    if form == "shared":
        return scoring(w, item, output)[0] @ w["item_input/kernel"]
    x = np.concatenate([FEATURES.numeric[item], mean_of_tags(w["item_input/category_0_table"], item)])
    if form == "content_mlp":
        x = np.maximum(x @ w["item_input/mlp_0_kernel"] + w["item_input/mlp_0_bias"], 0)
    if form == "hybrid_concat":
        x = np.concatenate([w["item_input/table"][item], x])
    if form == "hybrid_gate":
        own, x = w["item_input/table"][item], x @ w["item_input/content_kernel"]
        gate = sigmoid(np.concatenate([own, x]) @ w["item_input/gate_kernel"] + w["item_input/gate_bias"])
        x = gate * own + (1 - gate) * x
    return x @ w["item_input/kernel"]


def scoring(w, item, output):
    """Return (row [H], bias) of a track."""
    row, bias = np.zeros(UNITS), 0.0
    if output != "content":
        row, bias = w["scorer/table"][item], w["scorer/bias"][item]
    if output != "ids":
        both = FEATURES.numeric[item] @ w["scorer/kernel"] + mean_of_tags(w["scorer/category_0_table"], item)
        row, bias = row + both[:-1], bias + both[-1]
    return row, bias


def gru(w, name, x, hidden, activation=np.tanh):
    x_z, x_r, x_c = np.split(x + w[name + "bias"][0], 3)
    h_z, h_r, h_c = np.split(hidden @ w[name + "recurrent_kernel"] + w[name + "bias"][1], 3)
    z = sigmoid(x_z + h_z)
    return z * hidden + (1 - z) * activation(x_c + sigmoid(x_r + h_r) * h_c)


def lstm(w, name, x, state, activation=np.tanh):
    hidden, memory = np.split(state, 2)
    i, f, c, o = np.split(x + hidden @ w[name + "recurrent_kernel"] + w[name + "bias"], 4)
    memory = sigmoid(f) * memory + sigmoid(i) * activation(c)
    return np.concatenate([sigmoid(o) * activation(memory), memory])


CELL = {"gru": (gru, 1), "lstm": (lstm, 2)}


@functools.cache  # `slope` asks for them thousands of times
def kept(units, rate, layer, number):
    """Return the dropout factors of the hidden states of a step, [LANES, units]: 0 or 1 / (1 - rate)."""
    ones = np.ones((LANES, units), np.float32)
    return np.asarray(dropout(ones, rate, [1000 + 1 + layer, number]), np.float64)


def step(w, form, c, pairs, state, drawn, number):
    """Return (objective, sum of losses, new states) for {lane: (item, target)} and {lane: [state of each layer]}."""
    total, penalty, new = 0.0, 0.0, {}
    cell, output = c.get("cell", "gru"), c.get("output_form", "ids")
    activation = (lambda x: np.maximum(x, 0)) if c.get("hidden_activation") == "relu" else np.tanh
    log_count = np.zeros(N)
    if c.get("logq"):
        plays = np.bincount(SESSIONS.items, minlength=N)
        p = plays**0.5 / (plays**0.5).sum()
        expected = (SAMPLES if len(drawn) else 0) * p + (
            LANES if "in_batch" in c["negatives"] else 0
        ) * plays / plays.sum()
        log_count[plays > 0] = np.log(expected[plays > 0])
    targets = [target for _, target in pairs.values()]
    rows = [scoring(w, track, output) for track in range(N)]
    for lane, (item, target) in pairs.items():
        x, new[lane] = inputs(w, form, item, output), []
        for layer, before in enumerate(state[lane]):
            name = f"{cell}_{layer}/"
            stepped = CELL[cell][0](w, name, x @ w[name + "kernel"] if layer else x, before, activation)
            x, memory = np.split(stepped, [len(before) // CELL[cell][1]])
            x = x * kept(len(x), c.get("dropout_hidden", 0), layer, number)[lane]
            new[lane].append(np.concatenate([x, memory]) if c.get("dropout_state") else stepped)
        score = np.array([row @ x + bias for row, bias in rows])
        if c.get("score_activation") == "elu":
            score = np.where(score > 0, score, c["elu_alpha"] * (np.exp(score) - 1))
        score = score - c.get("logq", 0) * log_count
        others = (
            range(N) if c["negatives"] == ("all",) else [*(targets if "in_batch" in c["negatives"] else ()), *drawn]
        )
        total += LOSS[c["loss"]](score[target], score[[j for j in others if j != target]], c)
    if c.get("l2"):
        for name, used in touched(w, form, [item for item, _ in pairs.values()], [*targets, *drawn]).items():
            penalty += 0.5 * c["l2"] * sum(np.sum(w[name][rows] ** 2) for rows in used)
        penalty += sum(0.5 * c["l2"] * np.sum(v**2) for name, v in w.items() if not is_table(name))
    return total / LANES + penalty, total, new


def is_table(name):
    return name.endswith("table") or name == "scorer/bias"


def touched(w, form, heard, scored):
    """Return for each table the rows that a step uses, one list per use."""
    uses = {}
    for name in filter(is_table, w):
        tracks = [scored] if name.startswith("scorer/") else [heard]
        if form == "shared" and name != "scorer/bias":
            tracks.append(heard)  # the row and the tables of its features are also inputs
        if name.endswith("category_0_table"):
            # Padding of tags reads row 0, which has no effect.
            tracks = [np.maximum(FEATURES.categories["tags"][t], 0).ravel() for t in tracks]
        uses[name] = tracks
    return uses


def slope(w, value):
    """Return the gradient by central differences, exact to about 1e-9 in float64."""
    gradient = {name: np.zeros_like(v) for name, v in w.items()}
    for name, v in w.items():
        for place in np.ndindex(v.shape):
            kept, high_low = v[place], []
            for move in (1e-5, -1e-5):
                v[place] = kept + move
                high_low.append(value(w))
            v[place] = kept
            gradient[name][place] = (high_low[0] - high_low[1]) / 2e-5
    return gradient


@pytest.mark.parametrize("case", [pytest.param(c, marks=() if c in QUICK else pytest.mark.slow) for c in STEPS])
def test_steps_equal_plain_numpy(case):
    form, settings = STEPS[case]
    start = [np.zeros(CELL[settings.get("cell", "gru")][1] * n) for n in settings.get("hidden_units", [UNITS])]
    model = made(form, **settings)
    w, c = weights(model), {"negatives": ("sampled",)} | settings
    before = {name: v.copy() for name, v in w.items()}
    history = model.fit(SESSIONS, 1, LANES, shuffle=False, verbose=0).history

    plays = np.bincount(SESSIONS.items, minlength=N)
    cumulative = np.cumsum(plays**0.5) / (plays**0.5).sum()
    accumulator, velocity = ({name: np.full_like(v, start) for name, v in w.items()} for start in (1e-6, 0))
    ever = {name: set() for name in w if is_table(name)}
    total, state = 0.0, {}
    for t, pairs in enumerate([{0: (0, 1), 1: (3, 1), 2: (1, 4)}, {0: (1, 2)}, {0: (2, 5)}]):
        state = {lane: state[lane] if t else start for lane in pairs}
        drawn = negatives.draw(cumulative, SAMPLES, 1, t).numpy() if "sampled" in c["negatives"] else []
        given = (form, c, pairs, state, drawn, t)
        gradient = slope(w, lambda w, given=given: step(w, *given)[0])
        if c.get("clip_norm"):
            norm = np.sqrt(sum(np.sum(g**2) for g in gradient.values()))
            assert norm > c["clip_norm"], "the gradient must exceed clip_norm for a meaningful test"
            gradient = {name: g * c["clip_norm"] / norm for name, g in gradient.items()}
        _, losses, state = step(w, *given)
        total += losses
        scored = range(N) if c["negatives"] == ("all",) else [*(target for _, target in pairs.values()), *drawn]
        rows = touched(w, form, [item for item, _ in pairs.values()], list(scored))
        for name, g in gradient.items():
            at = sorted({int(r) for use in rows[name] for r in use}) if is_table(name) else slice(None)
            if c.get("optimizer") == "sgd":
                w[name] -= SGD_RATE * g
                continue
            if is_table(name):
                ever[name] |= set(at)
            accumulator[name][at] += g[at] ** 2
            velocity[name][at] *= c.get("momentum", 0)
            velocity[name][at] -= RATE * g[at] / np.sqrt(accumulator[name][at])
            w[name][at] += velocity[name][at]

    assert history["loss"] == pytest.approx([total / 5], rel=1e-5)
    after = weights(model)
    for name, expected in w.items():
        np.testing.assert_allclose(after[name], expected, atol=2e-5, err_msg=name)
        assert np.abs(expected - before[name]).max() > 1e-3, "each weight must move for a meaningful test"
        if is_table(name) and c.get("optimizer") != "sgd":
            rest = sorted(set(range(len(expected))) - ever[name])
            np.testing.assert_array_equal(after[name][rest], before[name][rest], err_msg=f"{name}: other rows")
