"""The settings that a search chose are saved with their origin, and validated when read."""

import pytest
import yaml

from gru4rec_lib.config import tuned
from gru4rec_lib.utils.checked import ConfigError

FOUND = {"monitor": "val_recall_at_20", "value": 0.25, "epoch": 3, "trials": 20, "pruned": 9, "space": "default"}
FOUND |= {"settings": {"learning_rate": 0.1, "batch_size": 64}, "seed": 1, "commit": "abc"}


def test_a_configuration_is_named_as_its_runs():
    assert tuned.configuration_name("one_hot", "ids", "bpr") == "one_hot-bpr"
    assert tuned.configuration_name("shared", "content", "top1") == "shared-to_content-top1"
    assert tuned.configuration_name("shared", "hybrid", "top1", "wide") == "shared-to_hybrid-top1-wide"


def test_a_second_search_keeps_the_other_configurations(tmp_path):
    path = tmp_path / "settings" / "toy.yaml"
    one, two = tuned.Found(**FOUND), tuned.Found(**FOUND | {"value": 0.5})
    tuned.save_searched(path, "toy", {"one_hot-bpr": one, "content-bpr": one})
    tuned.save_searched(path, "toy", {"content-bpr": two})
    read = tuned.load_searched(path)
    assert read == tuned.Searched(study="toy", cells={"one_hot-bpr": one, "content-bpr": two})
    assert path.read_text().startswith("# Written by `make search STUDY=toy`")
    assert [p.name for p in path.parent.iterdir()] == ["toy.yaml"]
    assert read.of("content-bpr") == FOUND["settings"]


def test_an_unknown_configuration_is_one_sentence():
    found = tuned.Searched(study="toy", cells={"one_hot-bpr": FOUND})
    said = (
        "searched: no settings of `one_hot-top1`, only of one_hot-bpr; `make search STUDY=toy` finds them for its grid"
    )
    with pytest.raises(ConfigError, match=f"^{said}$"):
        found.of("one_hot-top1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, r"toy\.yaml: there is no such file; `make search STUDY=toy` writes it$"),
        ("[]", r"toy\.yaml: is no mapping of fields; `make search STUDY=toy` writes it$"),
        ("{study: toy, cell: {}}", r"toy\.yaml: cells: is missing\n.*toy\.yaml: cell: no such field"),
        (yaml.safe_dump({"study": "toy", "cells": {"a-b": FOUND | {"trials": 0}}}), r"cells\.a-b\.trials: .*given: 0"),
        ("{", "not YAML"),
    ],
)
def test_an_invalid_file_raises(tmp_path, text, said):
    path = tmp_path / "toy.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        tuned.load_searched(path)
