"""What a search may try: the files config/spaces/*.yaml."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from gru4rec_lib.baselines import BASELINES, Baseline
from gru4rec_lib.config.study import Loss
from gru4rec_lib.training.settings import Training
from gru4rec_lib.utils.checked import Count, Strict, check, read_mapping


class Range(Strict):
    """Numbers between two bounds, both among them.

    Args:
        low, high: the bounds.
        log: whether each factor is as likely as another, instead of each difference.
        step: distance of neighbouring values from `low` on; null for any value.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = Field(None, gt=0)

    def holds(self, value) -> bool:
        """Whether the range has the value.

        Args:
            value: of any kind; what is no number is in no range.
        """
        if not isinstance(value, (int, float)):
            return False
        steps = (value - self.low) / self.step if self.step else 0
        return self.low <= value <= self.high and abs(steps - round(steps)) < 1e-8

    def suggest(self, trial, name: str) -> float:
        """A value of it for an Optuna trial, at three digits, as it will stand in a file.

        Args:
            trial: asked for the value.
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
        max_epochs: the most epochs of a trial.
        settings: for a setting of `Training` its range, or a list of values; a list of one fixes it.
        losses: further ones for one loss, which go before those of `settings`.
        baselines: for a baseline its settings and what to try; a baseline without any is not searched.
    """

    max_epochs: Count
    settings: dict[str, Range | tuple]
    losses: dict[Loss, dict[str, Range | tuple]] = Field(default_factory=dict)
    baselines: dict[Literal[tuple(BASELINES)], dict[str, Range | tuple]] = Field(default_factory=dict)

    def of(self, part: str) -> dict[str, Range | tuple]:
        """Return what to try with a loss or a baseline.

        Args:
            part: of `settings.LOSSES` or `baselines.BASELINES`.

        Returns:
            For each setting its range or list; further ones of the loss before the others.
        """
        if part in BASELINES:
            return self.baselines.get(part, {})
        return self.settings | self.losses.get(part, {})

    def suggest(self, trial, part: str, names: Iterable[str] | None = None) -> dict:
        """Choose settings for an Optuna trial.

        Args:
            trial: asked for each value.
            part: as in `of`.
            names: of the settings; every one of the space, fixed ones too, when None.

        Returns:
            The settings by name.
        """
        space = self.of(part)
        return {name: _suggest(trial, name, space[name]) for name in (space if names is None else names)}

    def held(self, given: Training | Baseline, part: str) -> dict:
        """Return the given settings that the space holds and does not fix.

        Args:
            given: settings of a cell or a baseline.
            part: as in `of`.

        Returns:
            Those settings by name; what the space does not hold or fixes is left out.
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
        folder: where the spaces are, `config/spaces`.

    Returns:
        The space.

    Raises:
        ConfigError: there is no such file, or a field is unknown, missing or wrong.
    """
    known = ", ".join(sorted(path.stem for path in folder.glob("*.yaml")))
    path, missing = folder / f"{name}.yaml", f"there is no such space; known are {known}"
    return check(Space, read_mapping(path, missing, "a space is a mapping of fields; see config/spaces/"), path)
