"""Search settings for each cell and baseline of a study, and keep those with the best validation score (`make search`).

Optuna chooses the settings of a trial (TPE). The first networks are trained to the end; later ones stop after the third
epoch or later if their score is below the median of those trained to the end (Golovin et al., Google Vizier, KDD 2017,
section 3.2.2). Finished trials are stored in
runs/<study>/search.db. The settings of a trial depend only on the seed, the cell or baseline and the finished trials,
so that an interrupted search continues to the same result. The test part is not read.
"""

from __future__ import annotations

import gc
import hashlib
import json
import multiprocessing
import os
import signal
import time
import traceback
from abc import ABC, abstractmethod
from contextlib import redirect_stdout
from functools import cache, cached_property, partial
from pathlib import Path
from typing import ClassVar

import optuna
from optuna.trial import TrialState

from gru4rec_lib.config.study import Run
from gru4rec_lib.config.tuned import Found, configuration_name, load_searched, save_searched
from gru4rec_lib.preparation.prepare import Prepared
from gru4rec_lib.study import ensure
from gru4rec_lib.study.baseline_runs import validate
from gru4rec_lib.study.notebook import commit
from gru4rec_lib.study.tuning.spaces import Space, load_space
from gru4rec_lib.study.workflow import tied
from gru4rec_lib.study.workspace import Workspace
from gru4rec_lib.utils.checked import ConfigError, Strict

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
STARTING = 5  # random trials before the sampler uses the results
# Not successive halving: with ten trials it stops nearly all that begin slowly, and a stopped one is never resumed.
PRUNER = optuna.pruners.MedianPruner(n_startup_trials=STARTING, n_warmup_steps=3)


def search(
    workspace: Workspace,
    space: str = "default",
    trials: int = 20,
    seed: int = 1,
    cells: tuple[str, ...] = (),
    jobs: int = 2,
) -> Path:
    """Search settings for the cells and baselines of a study, the same number of trials for each.

    Args:
        workspace: the study's, loaded without the settings found by an earlier search.
        space: name of a file in config/spaces/, without its ending.
        trials: number of trials of each cell and baseline, including those of earlier calls.
        seed: of the choices and of the trainings.
        cells: names of cells or baselines, such as `one_hot-bpr` or `stan`; if empty, all cells of the grid without
            their tags, and the baselines that have settings in the space. A tagged block keeps its own settings unless
            its cells are named, such as `one_hot-bpr-wide`.
        jobs: number of processes.

    Returns:
        The path of the best settings, settings/<study>.yaml beside the study's file.

    Raises:
        ConfigError: a number is below 1, the space is unknown or wrong, the study has no such cell or baseline, or the
            settings written by an earlier search cannot be read.
        ValueError: no trial of a cell or baseline completed.
        ChildProcessError: a process failed.
    """
    few = next((f"--{name} {n}" for name, n in {"trials": trials, "jobs": jobs}.items() if n < 1), None)
    if few:
        raise ConfigError(f"search: {few}: give 1 or more")
    tried = load_space(space, workspace.root / "config" / "spaces")
    grid = cells_of(workspace)
    kinds = dict.fromkeys(grid, CellSearch)
    kinds |= {b.name: BaselineSearch for b in workspace.study.baselines if tried.of(b.kind)}
    usual = [name for name in kinds if name not in grid or not grid[name][-1]]
    unknown = [name for name in cells if name not in kinds]
    if unknown:
        raise ConfigError(f"{workspace.study.name}: nothing is called {unknown[0]} to search; name {', '.join(kinds)}")
    path = workspace.file.parent / "settings" / f"{workspace.study.name}.yaml"
    if path.exists():
        load_searched(path)  # raise now, not after all trials
    ensure.need_prepared(workspace)
    make = {name: partial(kinds[name], workspace, tried, trials, seed, name) for name in cells or usual}
    searches = {name: one() for name, one in make.items()}
    waiting = [name for name, one in searches.items() if not one.is_finished]
    if min(jobs, len(waiting)) > 1:
        _side_by_side([make[name] for name in waiting], min(jobs, len(waiting)))
    else:
        for name in waiting:
            searches[name].run()
    found = {kind: {} for kind in (CellSearch, BaselineSearch)}
    for name, one in searches.items():
        found[type(one)][name] = one.found(space)
    cells, baselines = found.values()
    save_searched(path, workspace.given, cells, baselines)
    shown = path.relative_to(workspace.root) if path.is_relative_to(workspace.root) else path
    parts = (("cell", cells), ("baseline", baselines))
    several = " and ".join(f"{len(part)} {word}" + "s" * (len(part) > 1) for word, part in parts if part)
    print(f"the best settings of {several} are in {shown}", flush=True)
    return path


def cells_of(workspace: Workspace) -> dict[str, tuple[str, str, str, str]]:
    """Return input form, output form, loss and tag of what can be searched, by name.

    That is each cell of the grid without its tag, then those of blocks with a tag. A block that uses some of the
    features has no search of its own: its settings are those of all features, so that only features differ.

    Args:
        workspace: the study's.
    """
    tags = {block.tag for block in workspace.study.models if not block.features}
    runs = [(run.input_form, run.output_form, run.loss, run.tag) for run in workspace.study.runs]
    cells = dict.fromkeys([*((*run[:3], "") for run in runs), *(run for run in runs if run[3] in tags)])
    return {configuration_name(*cell): cell for cell in cells}


class Search(ABC):
    """The trials of one cell or baseline.

    Args:
        workspace: the study's.
        space: the values to try.
        trials: number of trials.
        seed: of the choices and of the trainings.
        name: of the cell or baseline.
    """

    has_epochs: ClassVar[bool]
    part: str  # the part of the space: a loss, or the kind of a baseline
    default: Strict  # the settings in the study
    monitor: str  # name of the validation score
    identity: list  # what identifies the search, besides the data and the seed

    def __init__(self, workspace: Workspace, space: Space, trials: int, seed: int, name: str):
        self.workspace, self.space, self.trials, self.seed, self.name = workspace, space, trials, seed, name
        self.prepare()
        record = json.loads((workspace.prepared / "prepared.json").read_text(encoding="utf-8"))
        default = self.default.model_dump(mode="json")
        # The searched settings as they are in the study, for the first trial; they may be outside the space.
        self.own = {setting: default[setting] for setting in space.of(self.part)}
        key = [*self.identity, record["sha256"], seed, "first: own settings", "pruner: median"]
        # A search with another space, seed, study or data is stored in the same file under another name.
        self.asked = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()

    @abstractmethod
    def prepare(self) -> None:
        """Set `part`, `default`, `monitor` and `identity`."""

    @abstractmethod
    def score(self, settings: dict, trial: optuna.Trial) -> tuple[list[float], str]:
        """Train or fit with the given settings, and validate.

        Args:
            settings: to try.
            trial: Optuna's trial.

        Returns:
            (validation score after each epoch, how the trial ended: `complete`, `pruned` or `diverged`).
        """

    @property
    def _held(self) -> dict:
        return self.space.held(self.default, self.part)

    @cached_property
    def study(self) -> optuna.Study:
        """Optuna's study, in runs/<study>/search.db."""
        return optuna.create_study(
            storage=_storage(self.workspace.runs / "search.db"),
            study_name=f"{self.name} {self.asked[:12]}",
            direction="maximize",
            pruner=PRUNER,
            load_if_exists=True,
        )

    @property
    def is_finished(self) -> bool:
        """Whether all trials are finished."""
        return len(self.study.get_trials(False, FINISHED)) >= self.trials

    def run(self) -> None:
        """Run the remaining trials and print a line for each; the output of a training goes to runs/<study>/logs."""
        study = self.study
        # Only one process works on a cell at a time, so the process of a trial still marked as running was killed.
        for trial in study.get_trials(False, (TrialState.RUNNING,)):
            study.tell(trial.number, state=TrialState.FAIL)
        made_by = commit()
        while (done := len(study.get_trials(False, FINISHED))) < self.trials:
            words = f"{self.seed} {self.name} {done}".encode()
            number = int.from_bytes(hashlib.sha256(words).digest()[:4])
            study.sampler = optuna.samplers.TPESampler(n_startup_trials=STARTING, seed=number)
            if not study.get_trials(False, (*FINISHED, TrialState.WAITING)):
                study.enqueue_trial(self._held)
            trial = study.ask()
            trial.set_user_attr("commit", made_by)
            self._try(study, trial, done + 1)

    def _try(self, study, trial, number):
        began = time.monotonic()
        if number == 1:
            # The first trial uses the settings in the study, so that the result is no worse on validation. Those within
            # the space become parameters of the trial, which the sampler uses.
            self.space.suggest(trial, self.part, self._held)
            settings = self.own
        else:
            settings = self.space.suggest(trial, self.part)
        trial.set_user_attr("settings", settings)
        log = self.workspace.runs / "logs" / f"search-{self.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file, redirect_stdout(file):
            scores, end = self.score(settings, trial)
        trial.set_user_attr("epoch", scores.index(max(scores)) + 1 if scores else 0)
        if end == "complete":
            study.tell(trial, max(scores))
        else:
            study.tell(trial, state=TrialState.PRUNED)
        best = max((t.value for t in study.get_trials(False, (TrialState.COMPLETE,))), default=0.0)
        value = f"{max(scores, default=0.0):.4f} {end}, best {best:.4f}"
        tried = " ".join(f"{name}={settings[name]}" for name in (settings if number == 1 else trial.params))
        seconds = time.monotonic() - began
        took = f"{len(scores)} epochs " * self.has_epochs + f"{seconds:.0f} s"
        print(f"{self.name} {number}/{self.trials}  {value}  {took}  {tried}", flush=True)

    def found(self, space: str) -> Found:
        """Return the best settings of the first `trials` trials; further trials of another call are ignored.

        Args:
            space: name of the space.

        Returns:
            The settings of the best trial, the first of equals, and their origin.

        Raises:
            ValueError: no trial completed.
        """
        made = self.study.get_trials(False, FINISHED)[: self.trials]
        complete = [trial for trial in made if trial.state == TrialState.COMPLETE]
        if not complete:
            raise ValueError(f"{self.name}: no trial ended well; lower the learning rates of the space `{space}`")
        best = max(complete, key=lambda trial: trial.value)
        return Found(
            **{name: best.user_attrs[name] for name in ("settings", "commit")},
            epoch=best.user_attrs["epoch"] if self.has_epochs else None,
            monitor=self.monitor,
            value=round(best.value, 4),
            trials=len(made),
            pruned=sum(trial.state == TrialState.PRUNED for trial in made),
            space=space,
            seed=self.seed,
        )


class CellSearch(Search):
    """The trials of one cell; see `Search`."""

    has_epochs = True

    def prepare(self):
        """As `Search.prepare`."""
        self.input_form, self.output_form, self.part, self.tag = cells_of(self.workspace)[self.name]
        run = self._run({})
        self.default, self.monitor = run.training, run.training.monitor
        self.identity = [run.model_dump(mode="json"), self.space.model_dump(mode="json", exclude={"baselines"})]

    def score(self, settings, trial):
        """As `Search.score`."""
        return train(self._run(settings), self.workspace, trial)

    def _run(self, settings: dict) -> Run:
        fixed = {"output_form": self.output_form, "refit": False, "max_epochs": self.space.max_epochs}
        return self.workspace.study.run(self.input_form, self.part, self.seed, self.tag, **fixed | settings)


class BaselineSearch(Search):
    """The trials of one baseline; see `Search`."""

    has_epochs = False

    def prepare(self):
        """As `Search.prepare`."""
        self.default = next(b for b in self.workspace.study.baselines if b.name == self.name)
        self.part, self.monitor = self.default.kind, self.workspace.study.training.monitor
        space = self.space.model_dump(mode="json")["baselines"][self.part]
        self.identity = [self.part, self.default.model_dump(mode="json"), space]

    def score(self, settings, trial):
        """As `Search.score`: fit on the training part and score the validation part, as for networks."""
        model = type(self.default)(**self.default.model_dump() | settings)
        return [validate(model, Prepared.load(self.workspace.prepared, test=False), self.monitor)], "complete"


def train(run: Run, workspace: Workspace, trial) -> tuple[list[float], str]:
    """Train once on the training part and validate after every epoch.

    Args:
        run: with the settings to try.
        workspace: the study's.
        trial: Optuna's trial, which gets each score and may stop the training.

    Returns:
        (validation score of each epoch, how the training ended: `complete`, `pruned` or `diverged`).
    """
    from gru4rec_lib.study import runs  # loads TensorFlow, which the parent process does not need
    from gru4rec_lib.study.tuning.pruning import Pruning

    pruning = Pruning(trial, run.training.monitor)
    try:
        runs.train(run, Prepared.load(workspace.prepared, test=False), [pruning])
    except FloatingPointError:
        return pruning.scores, "diverged"
    finally:
        gc.collect()  # a model and its graphs are a reference cycle, and a process trains hundreds of them
    return pruning.scores, "pruned" if pruning.pruned else "complete"


@cache
def _storage(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    patient = {"connect_args": {"timeout": 100}}  # seconds to wait for another process that writes
    return optuna.storages.RDBStorage(f"sqlite:///{path}", engine_kwargs=patient)


def _side_by_side(makers, jobs):
    """Run searches in parallel processes, each taking the next waiting search; the processes end with this one."""
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    context = multiprocessing.get_context("spawn")
    begun = context.Value("i", 0)
    os.environ[tied.PARENT] = str(os.getpid())
    processes = [context.Process(target=_work, args=(makers, begun), daemon=True) for _ in range(jobs)]
    # Ctrl-C also interrupts this process, which then ends the children; so they ignore the signal from their start.
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    for process in processes:
        process.start()
    signal.signal(signal.SIGINT, handler)
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise ChildProcessError("The search stopped; the reason stands above. The same command goes on from here.")


def _work(makers, begun):
    tied.tie()
    try:
        while True:
            with begun.get_lock():
                number, begun.value = begun.value, begun.value + 1
            if number >= len(makers):
                return
            makers[number]().run()
    except Exception:
        traceback.print_exc()
        raise SystemExit(1) from None
