"""What a search chose: settings/<study>.yaml beside a study, which takes the settings of its cells from it."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import Field

from gru4rec_lib.utils.atomic_write import replacing
from gru4rec_lib.utils.checked import ConfigError, Count, Seed, Strict, Whole, check, read_mapping


class Found(Strict):
    """The settings that a search chose for one cell or baseline, and how.

    Args:
        settings: of `Training` or of the baseline; they go before the study's and the loss's.
        monitor: the validation score that was compared.
        value: the best trial's, 0 to 1.
        epoch: the epoch of that score, 1 for the first; null for a baseline.
        trials: number of trials.
        pruned: number of trials that ended early, others being better.
        space, seed: of the search.
        commit: the project's, when the best trial was made.
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
        study: the one that was searched, by the name or path that the search was given.
        cells: by the cell's name, see `cell_name`.
        baselines: by the baseline's name; others keep the settings of the study.
    """

    study: str
    cells: dict[str, Found]
    baselines: dict[str, Found] = Field(default_factory=dict)

    def of(self, cell: str) -> dict:
        """Return the settings of a cell; none where the search was of baselines alone.

        Args:
            cell: its name, see `cell_name`.

        Raises:
            ConfigError: other cells have settings, but not this one.
        """
        if not self.cells:
            return {}
        if cell not in self.cells:
            by, known = f"`make search STUDY={self.study}`", ", ".join(self.cells)
            raise ConfigError(f"searched: no settings of `{cell}`, only of {known}; {by} finds them for its grid")
        return self.cells[cell].settings


def cell_name(input_form: str, output_form: str, loss: str) -> str:
    """A cell's name, such as `embedding-cross_entropy` or `shared-to_content-bpr`.

    Args:
        input_form: of `settings.INPUT_FORMS`.
        output_form: of `settings.OUTPUT_FORMS`; `ids` is left out.
        loss: of `settings.LOSSES`.
    """
    return "-".join(filter(None, (input_form, "" if output_form == "ids" else f"to_{output_form}", loss)))


def load_searched(path: Path, study: str = "") -> Searched:
    """Read and check what a search found.

    Args:
        path: of the file.
        study: the one that reads it, named in messages; the file's name when empty.

    Returns:
        The settings of every cell that was searched.

    Raises:
        ConfigError: there is no such file, or a field is unknown, missing or wrong.
    """
    by = f"`make search STUDY={study or path.stem}` writes it"
    return check(Searched, read_mapping(path, f"there is no such file; {by}", f"is no mapping of fields; {by}"), path)


def save_searched(path: Path, study: str, cells: dict[str, Found], baselines: dict[str, Found] | None = None) -> None:
    """Write what a search found; what the file holds of other cells and baselines stays.

    Args:
        path: of the file; its folder is created.
        study: the one that was searched, by the name or path that the search was given.
        cells: settings by the cell's name.
        baselines: settings by the baseline's name.
    """
    before = load_searched(path) if path.exists() else Searched(study=study, cells={})
    baselines = before.baselines | (baselines or {})
    searched = Searched(study=study, cells=before.cells | cells, baselines=baselines)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial, partial.open("w", encoding="utf-8") as file:
        file.write(f"# Written by `make search STUDY={study}`: chosen on the validation part; the test was not read.\n")
        yaml.safe_dump(searched.model_dump(mode="json", exclude_defaults=True), file, sort_keys=False)
