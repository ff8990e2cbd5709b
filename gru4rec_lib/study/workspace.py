"""Paths of a study's files."""

from __future__ import annotations

import json
import os
from pathlib import Path

from gru4rec_lib.config.data import SIMULATED, RawData
from gru4rec_lib.config.study import ConfigError, EventData, Run, Study, load_study, study_file
from gru4rec_lib.utils.arguments import user_path
from gru4rec_lib.utils.atomic_write import replacing

ROOT = Path(__file__).resolve().parents[2]
RESERVED = ("bench", "browser", "lab")  # folders of runs/, reports/ and figures/ with another purpose


def named_folder(given: str | Path, beside: Path = Path()) -> Path:
    """Resolve a folder that a user names; it need not exist.

    Args:
        given: a path; `~` at its beginning is the user's home.
        beside: the folder that a relative path starts from; the current one when empty.

    Raises:
        ValueError: the path begins with `~` and an unknown user.
    """
    return Path(os.path.realpath(beside / user_path(given)))  # `resolve` fails on circular links


class Workspace:
    """A study and the paths of its files.

    Args:
        study: its name, or the path of its .yaml file; optionally followed by `@<value>`, see `load_study`.
        data: the folder of its raw files; data/raw/<data set> when empty.
        root: the project's folder.
        searched: false ignores the settings that a search chose, for the search itself.

    Raises:
        ConfigError: the study is unknown or wrong.
        ValueError: the folder is in the home of an unknown user.
    """

    def __init__(self, study: str, data: str | Path = "", root: Path = ROOT, searched: bool = True):
        self.root = root
        self.given = study
        self.study: Study = load_study(study, root / "config", searched)
        file = study_file(study, root / "config")[0]
        self.file = file.parent.resolve() / file.name
        name = self.study.data.name
        self.raw = named_folder(data) if data else root / "data" / "raw" / name
        self.prepared = root / "data" / "prepared" / self.study.name
        self.runs = root / "runs" / self.study.name
        self.tables = self.runs / "tables"
        self.figures = self.runs / "figures"
        self.published_figures = root / "figures" / self.study.name
        self.published_reports = root / "reports" / self.study.name

    @property
    def taken(self) -> str:
        """The reason why this study may not write to its folders; empty where it may.

        The folders have the name of the study's file: two files of the same name would overwrite each other's results.
        """
        name, mine = self.file.stem, self._shown(self.file)
        if name.casefold() in RESERVED:
            folder = f"a folder `{name}` has another purpose in runs/, reports/ or figures/"
            return f"{mine}: {folder}; rename the study's file"
        for other in sorted((self.root / "config").glob("*.y*ml")):
            if other.stem.casefold() == name.casefold() and self._is_another(other):
                both = f"both studies would write to runs/{name}, reports/{name} and figures/{name}"
                return f"{mine}: {self._shown(other)} has the same name, and {both}; rename one of the two files"
        if (owner := self._owner) and self._is_another(owner):
            has = f"runs/{name} holds the results of {self._shown(owner)}, a study of the same name"
            return f"{mine}: {has}; rename one of the two files"
        return ""

    def refuse_if_taken(self) -> None:
        """Raise an error where the study may not write to its folders.

        Raises:
            ConfigError: another study has the same name; the message names both files.
        """
        if taken := self.taken:
            raise ConfigError(taken)

    def claim(self) -> None:
        """Record the study's file in runs/<study>/study.json; take over the results of a file that no longer exists.

        Raises:
            ConfigError: another study has the same name; the message names both files.
        """
        self.refuse_if_taken()
        owner = self._owner
        if owner and owner.exists():
            return
        if owner:
            before, mine = self._shown(owner), self._shown(self.file)
            print(f"{before} no longer exists: its results in runs/{self.file.stem} are now those of {mine}")
        self._claimed.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self._claimed) as partial:
            partial.write_text(json.dumps({"study": self._shown(self.file)}) + "\n", encoding="utf-8")

    @property
    def _claimed(self) -> Path:
        """The record of the file; one for a study and its variants."""
        return self.root / "runs" / self.file.stem / "study.json"

    @property
    def _owner(self) -> Path | None:
        """The recorded file; None without a record."""
        if not self._claimed.is_file():
            return None
        return self.root / json.loads(self._claimed.read_text(encoding="utf-8"))["study"]

    def _is_another(self, file: Path) -> bool:
        """Whether a study file exists and differs from this study's, after following links."""
        return file.exists() and not file.samefile(self.file)

    def _shown(self, file: Path) -> str:
        """A path relative to the project's folder, so that the folder may be moved; outside it in full."""
        return str(file.relative_to(self.root) if file.is_relative_to(self.root) else file)

    @property
    def brought(self) -> bool:
        """Whether the user named a folder of raw files other than data/raw/<data set>."""
        return self.raw != self.root / "data" / "raw" / self.study.data.name

    @property
    def is_there(self) -> bool:
        """Whether the raw files may be read: their folder is there, or of an event table a .zip archive of them."""
        is_archive = isinstance(self.study.data, EventData) and self.raw.suffix.lower() == ".zip"
        return self.raw.is_dir() or (is_archive and self.raw.is_file())

    @property
    def simulates(self) -> bool:
        """Whether the study simulates its raw files: only in their default folder."""
        return self.study.simulated and not self.brought

    @property
    def raw_data(self) -> RawData:
        """The raw files as `preparation` takes them."""
        return RawData(self.study.data, self.study.split, self.raw, self.prepared)

    def variants(self, of: str = "") -> dict[float, Workspace]:
        """Return the study's variants, itself included, see `Study.variants`.

        Args:
            of: only those of `content_signal` or of `windows`; empty for either.

        Returns:
            By value; empty where the study has none, and for `content_signal` on files that are not simulated.
        """
        varied = self.study.varied
        if (of and of != varied) or (varied == "content_signal" and not self.simulates):
            return {}
        data = self.raw if self.brought else ""
        return {
            value: self if study is self.study else Workspace(f"{self.given}@{value:g}", data, self.root)
            for value, study in self.study.variants.items()
        }

    def raw_files(self) -> list[Path]:
        """List the raw files that the study reads; those that it simulates need not exist yet.

        Returns:
            Distinct paths in a fixed order.
        """
        data, split = self.study.data, self.study.split
        if isinstance(data, EventData):
            if self.raw.is_file():  # an archive
                return [self.raw]
            patterns = [*data.patterns, *([data.item_table.file] if data.item_table and data.item_table.file else [])]
        elif self.simulates:
            dates = enumerate(data.simulate.log_dates)
            logs = [self.raw / "training_set" / f"log_{n}_{date}_000000000000.csv.gz" for n, date in dates]
            return [*logs, self.raw / "track_features" / "tf_000000000000.csv", self.raw / SIMULATED]
        else:
            patterns = [f"**/{pattern}" for pattern in (*data.logs, "tf_*.csv", "tf_*.csv.gz", SIMULATED)]
        patterns += [split.test] if split.how == "listed" else []
        return sorted({path for pattern in patterns for path in self._matching(pattern)})

    def _matching(self, pattern: str) -> list[Path]:
        """The file of exactly this name, which may look like a pattern or be absolute; else the files that match."""
        exact = self.raw / pattern
        return [exact] if exact.is_file() or Path(pattern).is_absolute() else list(self.raw.glob(pattern))

    def record(self, notebook: str) -> Path:
        """Return the path of a notebook's record.

        Args:
            notebook: name of the notebook or run.
        """
        return self.runs / "records" / f"{notebook}.json"

    def run_folder(self, run: Run) -> Path:
        """Return the folder of a run: model/, ranks.parquet, lists.parquet, history.csv, config.json.

        Args:
            run: of the study, in its grid or not.
        """
        return self.runs / "gru4rec" / run.name

    def baseline_folder(self, name: str) -> Path:
        """Return the folder of a baseline: ranks.parquet, lists.parquet, validation.csv.

        Args:
            name: the baseline's.
        """
        return self.runs / "baselines" / name

    def blend_folder(self, name: str, seed: int) -> Path:
        """Return the folder of a blend: ranks.parquet, lists.parquet, validation.csv, blend.json, weights.csv.

        Args:
            name: the blend's.
            seed: of its network.
        """
        return self.runs / "blends" / f"{name}-seed{seed}"

    @property
    def is_simulated(self) -> bool:
        """Whether the raw files were simulated, by this study or another: `simulate` writes a record beside them."""
        return next(self.raw.rglob(SIMULATED), None) is not None

    @property
    def title(self) -> str:
        """The study's title, which names simulated data as such."""
        named = not self.is_simulated or "simulated" in self.study.title
        return self.study.title + ("" if named else " (simulated)")

    @property
    def note(self) -> str:
        """The note on every figure of simulated data; empty for other data."""
        return "simulated data" if self.is_simulated else ""
