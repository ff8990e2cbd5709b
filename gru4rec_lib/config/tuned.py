"""The settings that a search chose: settings/<study>.yaml beside the study's file.

A configuration is an input form, output form and loss; files and commands call it a cell of the grid.
"""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import Field

from gru4rec_lib.utils.atomic_write import replacing
from gru4rec_lib.utils.checked import ConfigError, Count, Seed, Strict, Whole, check, read_mapping


class Found(Strict):
    """The settings that a search chose for one configuration or baseline, and their origin.

    Args:
        settings: of `Training` or of the baseline; they override those of the study and the loss.
        monitor: the validation score that was compared.
        value: of the best trial, 0 to 1.
        epoch: of that value, 1 for the first; null for a baseline.
        trials: the number of trials.
        pruned: the number of trials that were stopped early.
        space, seed: of the search.
        commit: of the project, at the best trial.
    """

    settings: dict
    monitor: str
    value: float
    epoch: Count | None
    trials: Count
    pruned: Whole = Field(ge=0)
    space: str
    seed: Seed
    commit: str


class Searched(Strict):
    """The settings that a search chose, read from `settings/<study>.yaml` beside the study.

    Args:
        study: name or path of the searched study, as given to the search.
        cells: by configuration, with or without a tag, see `configuration_name`.
        baselines: by name; others keep the settings of the study.
    """

    study: str
    cells: dict[str, Found]
    baselines: dict[str, Found] = Field(default_factory=dict)

    def of(self, configuration: str) -> dict:
        """Return the settings of a configuration; none where only baselines were searched.

        Args:
            configuration: see `configuration_name`.

        Raises:
            ConfigError: other configurations have settings, but not this one.
        """
        if not self.cells:
            return {}
        if configuration not in self.cells:
            by, known = f"`make search STUDY={self.study}`", ", ".join(self.cells)
            raise ConfigError(
                f"searched: no settings of `{configuration}`, only of {known}; {by} finds them for its grid"
            )
        return self.cells[configuration].settings


def configuration_name(input_form: str, output_form: str, loss: str, tag: str = "") -> str:
    """Return a configuration's name, such as `embedding-cross_entropy` or `shared-to_content-bpr-wide`.

    Args:
        input_form: of `settings.INPUT_FORMS`.
        output_form: of `settings.OUTPUT_FORMS`; `ids` is left out.
        loss: of `settings.LOSSES`.
        tag: of a block of `models`; left out where empty.
    """
    return "-".join(filter(None, (input_form, "" if output_form == "ids" else f"to_{output_form}", loss, tag)))


def load_searched(path: Path, study: str = "") -> Searched:
    """Read and check the file that a search wrote.

    Args:
        path: of the file.
        study: the study that uses the file, for messages; the file's name when empty.

    Returns:
        The settings of every configuration that was searched.

    Raises:
        ConfigError: there is no such file, or a field is unknown, missing or wrong.
    """
    by = f"`make search STUDY={study or path.stem}` writes it"
    return check(Searched, read_mapping(path, f"there is no such file; {by}", f"is no mapping of fields; {by}"), path)


def save_searched(path: Path, study: str, cells: dict[str, Found], baselines: dict[str, Found] | None = None) -> None:
    """Write the settings that a search chose; entries of other configurations and baselines are kept.

    Args:
        path: of the file; its folder is created.
        study: name or path of the searched study, as given to the search.
        cells: by configuration.
        baselines: by name.
    """
    before = load_searched(path) if path.exists() else Searched(study=study, cells={})
    baselines = before.baselines | (baselines or {})
    searched = Searched(study=study, cells=before.cells | cells, baselines=baselines)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial, partial.open("w", encoding="utf-8") as file:
        file.write(f"# Written by `make search STUDY={study}`: chosen on the validation part; the test was not read.\n")
        yaml.safe_dump(searched.model_dump(mode="json", exclude_defaults=True), file, sort_keys=False)
