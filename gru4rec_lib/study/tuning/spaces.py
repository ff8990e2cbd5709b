"""Search spaces, the files config/spaces/*.yaml."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from gru4rec_lib.baselines import BASELINES, Baseline
from gru4rec_lib.config.study import Loss
from gru4rec_lib.training.settings import Training
from gru4rec_lib.utils.checked import Count, Number, Strict, check, read_mapping


class Range(Strict):
    """Numbers between two bounds, both included.

    Args:
        low, high: the bounds.
        log: whether values are sampled uniformly on a logarithmic scale, instead of a linear one.
        step: distance of neighbouring values, from `low` on; null for any value.
    """

    low: Number
    high: Number
    log: bool = False
    step: Number | None = Field(None, gt=0)

    def holds(self, value) -> bool:
        """Return whether a value is in the range.

        Args:
            value: of any type; only numbers can be in a range.
        """
        if not isinstance(value, (int, float)):
            return False
        steps = (value - self.low) / self.step if self.step else 0
        return self.low <= value <= self.high and abs(steps - round(steps)) < 1e-8

    def suggest(self, trial, name: str) -> float:
        """Return a value for an Optuna trial, rounded to three digits, as it is written to files.

        Args:
            trial: chooses the value.
            name: of the setting.
        """
        return float(f"{trial.suggest_float(name, self.low, self.high, log=self.log, step=self.step):.3g}")

    @model_validator(mode="after")
    def _bounds_fit(self):
        if not self.low < self.high or (self.log and (self.low <= 0 or self.step)):
            raise ValueError("`low` is below `high`; with `log` it is above 0, and there is no `step`")
        return self


class Space(Strict):
    """A search space, read from `config/spaces/<name>.yaml`.

    Args:
        max_epochs: maximum number of epochs of a trial.
        settings: for a setting of `Training` its range, or a list of values; a list of one value fixes it.
        losses: further settings for one loss; they override those of `settings`.
        baselines: for a baseline, the range or list of each setting; a baseline without any is not searched.
    """

    max_epochs: Count
    settings: dict[str, Range | tuple]
    losses: dict[Loss, dict[str, Range | tuple]] = Field(default_factory=dict)
    baselines: dict[Literal[tuple(BASELINES)], dict[str, Range | tuple]] = Field(default_factory=dict)

    def of(self, part: str) -> dict[str, Range | tuple]:
        """Return the part of the space for a loss or a baseline.

        Args:
            part: of `settings.LOSSES` or `baselines.BASELINES`.

        Returns:
            For each setting its range or list; those of the loss override the others.
        """
        if part in BASELINES:
            return self.baselines.get(part, {})
        return self.settings | self.losses.get(part, {})

    def suggest(self, trial, part: str, names: Iterable[str] | None = None) -> dict:
        """Choose settings for an Optuna trial.

        Args:
            trial: chooses each value.
            part: as in `of`.
            names: of the settings; None for all settings of the space, including fixed ones.

        Returns:
            The settings by name.
        """
        space = self.of(part)
        return {name: _suggest(trial, name, space[name]) for name in (space if names is None else names)}

    def held(self, given: Training | Baseline, part: str) -> dict:
        """Return the given settings that are in the space and not fixed by it.

        Args:
            given: settings of a cell or a baseline.
            part: as in `of`.

        Returns:
            Those settings by name.
        """
        space = self.of(part)
        return {name: value for name in space if _holds(space[name], value := getattr(given, name))}

    @model_validator(mode="after")
    def _each_value_is_one_of_the_setting(self):
        for where, settings in {"settings": self.settings, **self.losses, **self.baselines}.items():
            for name, values in settings.items():
                ends = (values.low, values.high) if isinstance(values, Range) else values
                if not ends or (len(ends) > 1 and any(isinstance(value, (list, tuple, dict)) for value in ends)):
                    raise ValueError(f"{where}.{name}: needs values; one that is a list itself stands alone: [[all]]")
                for value in ends:
                    if where in BASELINES:
                        BASELINES[where](**{name: value})
                    else:
                        check(Training, {name: value}, where)
        return self


def _suggest(trial, name, values):
    if isinstance(values, Range):
        return values.suggest(trial, name)
    return trial.suggest_categorical(name, values) if len(values) > 1 else values[0]


def _holds(values, value):
    return values.holds(value) if isinstance(values, Range) else len(values) > 1 and value in values


def load_space(name: str, folder: Path) -> Space:
    """Read and check a search space.

    Args:
        name: such as `default`.
        folder: of the spaces, `config/spaces`.

    Returns:
        The space.

    Raises:
        ConfigError: there is no such file, or a field is unknown, missing or wrong.
    """
    known = ", ".join(sorted(path.stem for path in folder.glob("*.yaml")))
    path, missing = folder / f"{name}.yaml", f"there is no such space; known are {known}"
    return check(Space, read_mapping(path, missing, "a space is a mapping of fields; see config/spaces/"), path)
