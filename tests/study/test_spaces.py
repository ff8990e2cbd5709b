"""A search space is validated before a search runs."""

from pathlib import Path

import pytest
import yaml

from gru4rec_lib import baselines
from gru4rec_lib.study.tuning import spaces
from gru4rec_lib.training.settings import Training
from gru4rec_lib.utils.checked import ConfigError

FOLDER = Path(__file__).resolve().parents[2] / "config" / "spaces"
RANGE = {"low": 0.0, "high": 1.0}


def load(tmp_path, **fields):
    (tmp_path / "made.yaml").write_text(yaml.safe_dump({"max_epochs": 2, "settings": {"samples": [1, 2]}} | fields))
    return spaces.load_space("made", tmp_path)


class Trial:
    """Suggest the middle of a range and the last value of a list."""

    def suggest_float(self, name, low, high, log, step):
        return (low * high) ** 0.5 if log else (low + high) / 2

    def suggest_categorical(self, name, values):
        return values[-1]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_space_of_the_project_loads_and_regularises(path):
    space = spaces.load_space(path.stem, FOLDER)
    for loss in ("cross_entropy", "bpr", "bpr_max"):
        assert space.of(loss).keys() >= {"learning_rate", "batch_size", "dropout_hidden", "l2"}
        Training(**space.suggest(Trial(), loss))
    assert "bpr_max_regularization" in space.of("bpr_max")
    assert "bpr_max_regularization" not in space.of("bpr")


def test_the_papers_space_has_its_best_settings():
    space = spaces.load_space("as_published", FOLDER)
    best = {"optimizer": "adam", "learning_rate": 0.0001, "batch_size": 64, "score_activation": "linear", "l2": 0.0}
    assert space.held(Training(**best), "cross_entropy") == best


def test_a_loss_has_its_own_settings_and_a_single_value_is_fixed(tmp_path):
    rate = {"low": 0.01, "high": 1.0, "log": True}
    losses = {"bpr": {"samples": [8], "negatives": [["in_batch", "sampled"]]}}
    space = load(tmp_path, settings={"samples": [1, 2], "learning_rate": rate}, losses=losses)
    assert space.suggest(Trial(), "top1") == {"samples": 2, "learning_rate": 0.1}
    bpr = space.suggest(Trial(), "bpr")
    assert bpr == {"samples": 8, "learning_rate": 0.1, "negatives": ["in_batch", "sampled"]}
    assert space.held(Training(samples=2, learning_rate=2), "top1") == {"samples": 2}
    assert space.held(Training(samples=8, learning_rate=1), "bpr") == {"learning_rate": 1}


def test_a_range_rounds_its_suggestions_and_tests_membership():
    third = spaces.Range(low=0.0, high=2 / 3)
    assert third.suggest(Trial(), "x") == 0.333
    stepped = spaces.Range(low=0.1, high=0.5, step=0.1)
    assert [stepped.holds(value) for value in (0.1, 0.3, 0.35, 0.5, 0.6, None)] == [
        True,
        True,
        False,
        True,
        False,
        False,
    ]


def test_a_baseline_has_its_own_space(tmp_path):
    space = load(tmp_path, baselines={"stan": {"neighbours": [1, 2], "time_decay": {"low": 1, "high": 9}}})
    assert space.of("stan").keys() == {"neighbours", "time_decay"}
    assert space.of("sknn") == {}
    assert space.suggest(Trial(), "stan") == {"neighbours": 2, "time_decay": 5}
    assert space.held(baselines.STAN(neighbours=2, time_decay=99), "stan") == {"neighbours": 2}


def test_the_default_space_tunes_every_baseline_that_has_settings_beside_a_seed():
    space = spaces.load_space("default", FOLDER)
    for kind, baseline in baselines.BASELINES.items():
        if kind != "markov":  # the weight of its single step changes no rank
            assert set(baseline.model_fields) - {"tag", "seed"} == set(space.of(kind)), kind
        baseline(**space.suggest(Trial(), kind))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"baselines": {"stan": {"neighbours": [0]}}}, r"stan: neighbours: .*greater than or equal to 1"),
        ({"baselines": {"stan": {"neighbour": [1]}}}, r"stan: neighbour: no such field"),
        ({"baselines": {"stann": {}}}, r"baselines.stann: "),
        ({"baselines": {"stan": {"neighbours": []}}}, r"stan.neighbours: needs values"),
        ({"settings": {"learning_rat": [0.1]}}, "settings: learning_rat: no such field"),
        ({"settings": {"samples": [-1, 2]}}, "settings: samples: .*greater than or equal to 0"),
        ({"losses": {"bpr": {"dropout_hidden": RANGE}}}, "bpr: dropout_hidden: .*less than 1"),
        ({"losses": {"bprr": {}}}, "losses.bprr: .*'cross_entropy', 'bpr'"),
        ({"settings": {"samples": []}}, "settings.samples: needs values"),
        ({"settings": {"negatives": [["all"], ["sampled"]]}}, r"settings.negatives: .*stands alone: \[\[all\]\]"),
        ({"settings": {"l2": {"low": 1.0, "high": 0.5}}}, "`low` is below `high`"),
        ({"settings": {"l2": {"low": 0.0, "high": 0.5, "log": True}}}, "with `log` it is above 0"),
        ({"max_epochs": 0}, "max_epochs: .*greater than or equal to 1"),
    ],
)
def test_an_invalid_space_raises(tmp_path, fields, said):
    with pytest.raises(ConfigError, match=said):
        load(tmp_path, **fields)
