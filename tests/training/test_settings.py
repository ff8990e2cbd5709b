"""Settings, registries, arguments and documentation have the same names."""

import inspect
import json
import re
from pathlib import Path
from typing import get_args

import pytest

from gru4rec_lib.model.layers import CELLS
from gru4rec_lib.model.network import Network
from gru4rec_lib.training import losses, optimizers, settings
from gru4rec_lib.training.gru4rec import GRU4Rec
from gru4rec_lib.training.settings import CompileSettings, FitSettings, NetworkSettings, Training

ROOT = Path(__file__).resolve().parents[2]


def defaults(function):
    return {name: argument.default for name, argument in inspect.signature(function).parameters.items()}


def test_every_function_that_is_a_loss_is_in_the_registry():
    functions = {name: one for name, one in vars(losses).items() if inspect.isfunction(one) and name[0] != "_"}
    assert {name: one for name, one in functions.items() if "mask" in defaults(one)} == losses.LOSSES


def test_settings_have_the_names_and_defaults_of_the_arguments_that_they_are_passed_to():
    network, fit = defaults(Network.__init__), defaults(GRU4Rec.fit)
    given = NetworkSettings(hidden_units=100)
    assert {name: network[name] for name in NetworkSettings.model_fields} == dict(given) | {"hidden_units": 100}
    assert {name: fit[name] for name in FitSettings.model_fields} == dict(FitSettings())


def test_a_training_has_the_settings_of_its_parts_and_four_more():
    parts = [*NetworkSettings.model_fields, *CompileSettings.model_fields, *FitSettings.model_fields]
    assert list(Training.model_fields) == [*parts, "max_epochs", "monitor", "patience", "refit"]
    training = Training(samples=7, hidden_units=3, batch_size=5)
    assert training.part(CompileSettings) == dict(CompileSettings(samples=7))
    assert training.part(NetworkSettings) == dict(NetworkSettings(hidden_units=3))
    assert training.part(FitSettings) == {"batch_size": 5, "steps_per_epoch": None, "shuffle": True}


def test_settings_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        CompileSettings().samples = 3


def test_settings_know_the_cells_and_optimisers_that_there_are():
    assert get_args(NetworkSettings.model_fields["cell"].annotation) == tuple(CELLS)
    for name in settings.OPTIMIZERS:
        assert float(optimizers.make(name, 0.1).learning_rate) == pytest.approx(0.1)
    with pytest.raises(ValueError, match=r"^optimizer is 'sgd'; known are adagrad, lazy_adam, adam$"):
        optimizers.make("sgd", 0.1)


@pytest.mark.parametrize(
    ("name", "known"),
    [("input_form", settings.INPUT_FORMS), ("output_form", settings.OUTPUT_FORMS), ("loss", settings.LOSSES)],
)
def test_the_names_in_the_training_notebook_are_in_the_registries(name, known):
    cells = json.loads((ROOT / "notebooks" / "03_train_gru4rec.ipynb").read_text(encoding="utf-8"))["cells"]
    line = next(line for cell in cells for line in cell["source"] if line.startswith(f"{name}: str ="))
    named = re.findall(r"\w+", line.partition("#")[2].partition(":")[0])
    assert len(named) >= 3
    assert set(named) <= set(known)


def test_the_losses_on_the_method_page_are_in_the_registry():
    text = " ".join((ROOT / "docs" / "method.md").read_text(encoding="utf-8").split())
    named = re.findall(r"`(\w+)`", re.search(r"Losses are (.*?)\. ", text)[1])
    assert len(named) >= 3
    assert set(named) <= set(settings.LOSSES)
