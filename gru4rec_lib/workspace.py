"""Where everything of a study lies."""

from __future__ import annotations

import os
from pathlib import Path

from gru4rec_lib.config import ConfigError, EventData, Run, Study, load_study, study_file
from gru4rec_lib.datasets import SIMULATED

ROOT = Path(__file__).resolve().parents[1]


def named_folder(given: str | Path, beside: Path = Path()) -> Path:
    """The folder that a user names, whether it is there or not.

    Args:
        given: `~` at its beginning is the user's home.
        beside: where a relative path begins; the current folder when empty.

    Raises:
        ConfigError: it begins with `~` and a user who is unknown.
    """
    try:
        return Path(os.path.realpath(beside / Path(given).expanduser()))  # `resolve` fails at links in a circle
    except RuntimeError:
        raise ConfigError(f"{given}: the home of this user is unknown; write the path in full") from None


class Workspace:
    """A study and its folders.

    Args:
        study: its name, or the path of its .yaml file; `@<setting>` behind it as for `load_study`.
        data: the folder of its raw files; data/raw/<data set> when empty.
        root: the project's folder.
        searched: false leaves out the settings that a search chose, for the search itself.

    Raises:
        ConfigError: the study is unknown or wrong, or the folder in the home of an unknown user.
    """

    def __init__(self, study: str, data: str | Path = "", root: Path = ROOT, searched: bool = True):
        self.root = root
        self.given = study
        self.config, _ = study_file(study, root / "config")
        self.study: Study = load_study(study, root / "config", searched)
        name = self.study.data.name
        self.raw = named_folder(data) if data else root / "data" / "raw" / name
        self.prepared = root / "data" / "prepared" / self.study.name
        self.runs = root / "runs" / self.study.name
        self.tables = self.runs / "tables"
        self.figures = self.runs / "figures"
        self.published_figures = root / "figures" / self.study.name
        self.published_reports = root / "reports" / self.study.name

    @property
    def simulates(self) -> bool:
        """Whether the raw files are the study's own to write: simulated ones, in their own place."""
        return self.study.simulated and self.raw == self.root / "data" / "raw" / self.study.data.name

    @property
    def shards(self) -> bool:
        """Whether the study is prepared log by log."""
        return not isinstance(self.study.data, EventData) and self.study.data.shards

    @property
    def curve(self) -> dict[float, Workspace]:
        """The study at each setting of content_signal that it lists, itself among them; none on files of a user's."""
        settings = self.study.content_signal if self.simulates else ()
        own = {self.study.data.simulate.content_signal: self} if settings else {}
        return {s: own.get(s) or Workspace(f"{self.given}@{s:g}", root=self.root) for s in settings}

    def raw_files(self) -> list[Path]:
        """The raw files that the study reads, as the graph's inputs; those that it simulates need not exist yet.

        Returns:
            Paths, each once, in an order that is always the same.
        """
        data, split = self.study.data, self.study.split
        if isinstance(data, EventData):
            patterns = [*data.events, *([data.item_table.file] if data.item_table else [])]
        elif self.simulates:
            dates = enumerate(data.simulate.log_dates)
            logs = [self.raw / "training_set" / f"log_{n}_{date}_000000000000.csv.gz" for n, date in dates]
            return [*logs, self.raw / "track_features" / "tf_000000000000.csv", self.raw / SIMULATED]
        else:
            patterns = [f"**/{pattern}" for pattern in (*data.logs, "tf_*.csv", "tf_*.csv.gz", SIMULATED)]
        patterns += [split.test] if split.how == "listed" else []
        return sorted({path for pattern in patterns for path in self._matching(pattern)})

    def _matching(self, pattern: str) -> list[Path]:
        """A file of just this name, with characters of a pattern or from elsewhere too; else what matches."""
        exact = self.raw / pattern
        return [exact] if exact.is_file() or Path(pattern).is_absolute() else list(self.raw.glob(pattern))

    def record(self, notebook: str) -> Path:
        """The file that tells what a notebook ran with.

        Args:
            notebook: its name, or a run's.
        """
        return self.runs / "records" / f"{notebook}.json"

    def run_folder(self, run: Run) -> Path:
        """The folder of one training: model/, ranks.parquet, lists.parquet, history.csv, config.json.

        Args:
            run: of the study, in its grid or beside it.
        """
        return self.runs / "gru4rec" / run.name

    def baseline_folder(self, name: str) -> Path:
        """The folder of one baseline: ranks.parquet, lists.parquet.

        Args:
            name: of `config.BASELINES`.
        """
        return self.runs / "baselines" / name

    @property
    def is_simulated(self) -> bool:
        """Whether the raw files were simulated, whoever's study reads them: `simulate` leaves a mark beside them."""
        return next(self.raw.rglob(SIMULATED), None) is not None

    @property
    def title(self) -> str:
        """The study's title; simulated data is called so."""
        said = not self.is_simulated or "simulated" in self.study.title
        return self.study.title + ("" if said else " (simulated)")

    @property
    def note(self) -> str:
        """What is written on every figure of simulated data, and nothing on others."""
        return "simulated data" if self.is_simulated else ""
