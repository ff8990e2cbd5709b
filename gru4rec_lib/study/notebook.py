"""The first and last step of every notebook: check its parameters, and record its provenance."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import platform
import subprocess
from typing import Annotated

import pandas as pd
from pydantic import BeforeValidator, Field, model_validator

from gru4rec_lib.config.study import InputForm, Loss, OutputForm, Run, Strict, Study, check
from gru4rec_lib.study.workspace import ROOT, Workspace
from gru4rec_lib.utils.atomic_write import replacing
from gru4rec_lib.utils.backend import set_up_study_process
from gru4rec_lib.utils.checked import Count, Number, Seed, Whole

PACKAGES = ("duckdb", "keras", "matplotlib", "numpy", "pandas", "papermill", "pyarrow", "scikit-learn", "scipy")
PACKAGES += ("snakemake", "tensorflow")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("should be a text; put it in quotation marks, or give it by papermill's -r: -p reads 007 as 7")
    return value


def _lines(value: object) -> list:
    return list(value) if isinstance(value, (list, tuple)) else _text(value).splitlines()


Text = Annotated[str, BeforeValidator(_text)]


class StudyParameters(Strict):
    """Parameters of a notebook about a whole study.

    Args:
        study: a file of config/ without its ending, or a path to such a file.
        data: the folder of the raw files; data/raw/<data set> when empty.
    """

    study: Text
    data: Text = ""


class ExplorerParameters(StudyParameters):
    """Parameters of the notebook that follows one session.

    Args:
        session: number of a test session; 0 for one with many tracks seen in training.
        tracks: ids of tracks, instead of a test session; a text, as from `papermill -r`, has one id a line.
        heard: number of tracks after which the models recommend.
    """

    session: Annotated[Whole, Field(ge=0)] = 0
    tracks: Annotated[tuple[Text, ...], BeforeValidator(_lines)] = ()
    heard: Count = 5

    @model_validator(mode="after")
    def _one_of_two(self):
        if self.session and self.tracks:
            raise ValueError("`tracks` stand in place of `session`; give one of the two")
        return self


class TrainingParameters(Strict):
    """Parameters of one training.

    Args:
        study, data: as in `StudyParameters`.
        input_form, output_form, loss, seed, tag: identify the run.
        learning_rate, batch_size, hidden_units, max_epochs: changes of the study's settings, None for no change; a run
            with changes is tagged `custom`, so that it never replaces one of the study's.
    """

    study: Text
    data: Text = ""
    input_form: InputForm
    output_form: OutputForm = "ids"
    loss: Loss
    seed: Seed
    tag: Text = ""
    learning_rate: Number | None = None
    batch_size: Whole | None = None
    hidden_units: Whole | None = None
    max_epochs: Whole | None = None

    def run(self, study: Study) -> Run:
        """Return the run with its settings.

        Args:
            study: the run's.

        Raises:
            ConfigError: the study has no such tag, or its settings with the changes are wrong.
        """
        names = ("learning_rate", "batch_size", "hidden_units", "max_epochs")
        changes = {name: value for name in names if (value := getattr(self, name)) is not None}
        run = study.run(self.input_form, self.loss, self.seed, self.tag, self.output_form, **changes)
        return run.model_copy(update={"tag": f"{self.tag}_custom".lstrip("_")}) if changes else run


def parameters(kind: type[Strict], scope: dict) -> Strict:
    """Validate the notebook's parameters.

    An unknown parameter, of which papermill only warns, is an error.

    Args:
        kind: `StudyParameters`, `ExplorerParameters` or `TrainingParameters`.
        scope: the notebook's `globals()`.

    Raises:
        ConfigError: a parameter is unknown, missing or wrong.
    """
    set_up_study_process()
    given = {name: scope[name] for name in kind.model_fields if name in scope}
    # papermill injects the given parameters as a cell that begins with this comment.
    injected = [cell for cell in scope.get("In", []) if cell.lstrip().startswith("# Parameters")]
    names = {
        n.id for cell in injected for n in ast.walk(ast.parse(cell)) if isinstance(getattr(n, "ctx", None), ast.Store)
    }
    return check(kind, given | {name: scope.get(name) for name in names}, "parameters")


def settings(part: Strict) -> pd.DataFrame:
    """Return a part of a config as a table: a row a setting.

    Args:
        part: such as `study.training`.
    """
    return pd.DataFrame({"setting": part.model_dump()}).rename_axis("name")


def shown(table: pd.DataFrame, otherwise: str) -> pd.DataFrame | None:
    """Return a table for a notebook to show; print a sentence instead of an empty one.

    Args:
        table: columns without any value are left out.
        otherwise: the sentence, why there are no rows.
    """
    if table.empty:
        print(otherwise)
        return None
    return table.dropna(axis=1, how="all")


def record(workspace: Workspace, name: str, given: Strict) -> pd.DataFrame:
    """Write parameters, config, commit and versions to runs/<study>/records/<name>.json.

    Args:
        name: of the notebook or run.
        given: the notebook's parameters.

    Returns:
        Commit and versions, for the notebook to show.
    """
    made_by = {"commit": commit(), **versions()}
    facts = {"parameters": given.model_dump(), "config": workspace.study.model_dump(mode="json"), "made_by": made_by}
    path = workspace.record(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        partial.write_text(json.dumps(facts, indent=1), encoding="utf-8")
    return pd.DataFrame({"made by": made_by})


def commit() -> str:
    """Return the project's git commit, followed by `+changes` where files differ from it; `unknown` outside git."""
    try:
        head = _git("rev-parse", "HEAD")
        changes = _git("status", "--porcelain", "--", "gru4rec_lib", "notebooks", "config", "Snakefile")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("+changes" if changes else "")


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that numbers depend on."""
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in PACKAGES}
