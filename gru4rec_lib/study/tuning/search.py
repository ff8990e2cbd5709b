"""Settings by search: `make search` tries some for each cell of a study's grid and keeps the best on validation.

Optuna chooses what is tried (TPE); after one, two, four, .. epochs it goes on with the better half of the trials that
came so far (asynchronous successive halving, Li et al., arXiv 1810.05934). Each finished trial is in
runs/<study>/search.db; what a trial tries is a function of the seed, the cell and the finished ones, so that an
interrupted search goes on as if it had not been. The test part is not read.
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
from contextlib import redirect_stdout
from functools import cache, cached_property, partial
from pathlib import Path

import optuna
from optuna.trial import TrialState

from gru4rec_lib.config.study import Run
from gru4rec_lib.config.tuned import Found, configuration_name, load_searched, save_searched
from gru4rec_lib.preparation.prepare import Prepared
from gru4rec_lib.study import ensure
from gru4rec_lib.study.notebook import commit
from gru4rec_lib.study.tuning.spaces import Space, load_space
from gru4rec_lib.study.workflow import tied
from gru4rec_lib.study.workspace import Workspace
from gru4rec_lib.utils.checked import ConfigError

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
STARTING = 5  # trials at random before the sampler learns from them
HALVING = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2)


def search(
    place: Workspace,
    space: str = "default",
    trials: int = 20,
    seed: int = 1,
    cells: tuple[str, ...] = (),
    jobs: int = 2,
) -> Path:
    """Search settings for the cells of a study, the same number of trials for each.

    Args:
        place: the study's; without the settings that an earlier search found.
        space: a file of config/spaces/ without its ending.
        trials: for each cell, those of an earlier call among them.
        seed: of the choices and of the trainings.
        cells: names such as `one_hot-bpr`; all of the grid when empty.
        jobs: processes, which share the cells.

    Returns:
        settings/<study>.yaml beside the study's file, where the best settings of these cells are.

    Raises:
        ConfigError: a number is below 1, the space is unknown or wrong, the grid has no such cell, or the settings that
            an earlier search wrote cannot be read.
        ValueError: no trial of a cell ended well.
        ChildProcessError: a process failed.
    """
    few = next((f"--{name} {n}" for name, n in {"trials": trials, "jobs": jobs}.items() if n < 1), None)
    if few:
        raise ConfigError(f"search: {few}: give 1 or more")
    tried = load_space(space, place.root / "config" / "spaces")
    grid = cells_of(place)
    unknown = [name for name in cells if name not in grid]
    if unknown:
        raise ConfigError(f"{place.study.name}: the grid has no cell {unknown[0]}; it has {', '.join(grid)}")
    path = place.file.parent / "settings" / f"{place.study.name}.yaml"
    if path.exists():
        load_searched(path)  # an error now, not when all is trained
    ensure.need_prepared(place)
    make = partial(CellSearch, place, tried, trials, seed)
    searches = {name: make(name) for name in cells or grid}
    waiting = [name for name, one in searches.items() if not one.is_finished]
    if min(jobs, len(waiting)) > 1:
        _side_by_side(waiting, make, min(jobs, len(waiting)))
    else:
        for name in waiting:
            searches[name].run()
    save_searched(path, place.given, {name: one.found(space) for name, one in searches.items()})
    shown = path.relative_to(place.root) if path.is_relative_to(place.root) else path
    print(f"the best settings of {len(searches)} cells are in {shown}", flush=True)
    return path


def cells_of(place: Workspace) -> dict[str, tuple[str, str, str]]:
    """Input form, output form and loss of each cell of the grid, by name; seeds and tags do not count.

    Args:
        place: the study's.
    """
    cells = dict.fromkeys((run.input_form, run.output_form, run.loss) for run in place.study.runs)
    return {configuration_name(*cell): cell for cell in cells}


class CellSearch:
    """The trials of one cell.

    Args:
        place: the study's.
        space: what may be tried.
        trials: how many there will be.
        seed: of the choices and of the trainings.
        name: the cell's.
    """

    def __init__(self, place: Workspace, space: Space, trials: int, seed: int, name: str):
        self.place, self.space, self.trials, self.seed, self.name = place, space, trials, seed, name
        self.input_form, self.output_form, self.loss = cells_of(place)[name]
        record = json.loads((place.prepared / "prepared.json").read_text(encoding="utf-8"))
        own = self._run({}).model_dump(mode="json")
        # The study's own settings of what is searched; the first trial has them, whatever the space holds.
        self.own = {setting: own["training"][setting] for setting in space.of(self.loss)}
        asked = [own, space.model_dump(mode="json"), record["sha256"], seed, "first: own settings"]
        # Another space, seed, study or data is another search, beside this one in the same file.
        self.asked = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()

    def _run(self, settings: dict) -> Run:
        fixed = {"output_form": self.output_form, "refit": False, "max_epochs": self.space.max_epochs}
        return self.place.study.run(self.input_form, self.loss, self.seed, **fixed | settings)

    @property
    def _held(self) -> dict:
        return self.space.held(self._run({}).training, self.loss)

    @cached_property
    def study(self) -> optuna.Study:
        """Optuna's study, in runs/<study>/search.db."""
        return optuna.create_study(
            storage=_storage(self.place.runs / "search.db"),
            study_name=f"{self.name} {self.asked[:12]}",
            direction="maximize",
            pruner=HALVING,
            load_if_exists=True,
        )

    @property
    def is_finished(self) -> bool:
        """Whether all trials are made."""
        return len(self.study.get_trials(False, FINISHED)) >= self.trials

    def run(self) -> None:
        """Make the trials that are left, each a line; what a training prints goes to runs/<study>/logs."""
        study = self.study
        # Whoever made them was killed: one search of a study runs at a time, and one process of it has this cell.
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
            # The study's own settings come first: what is found is no worse on validation. Those that the space holds
            # are parameters of the trial, which the sampler learns from.
            self.space.suggest(trial, self.loss, self._held)
            settings = self.own
        else:
            settings = self.space.suggest(trial, self.loss)
        trial.set_user_attr("settings", settings)
        log = self.place.runs / "logs" / f"search-{self.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file, redirect_stdout(file):
            scores, end = train(self._run(settings), self.place, trial)
        trial.set_user_attr("epoch", scores.index(max(scores)) + 1 if scores else 0)
        if end == "complete":
            study.tell(trial, max(scores))
        else:
            study.tell(trial, state=TrialState.PRUNED)
        best = max((t.value for t in study.get_trials(False, (TrialState.COMPLETE,))), default=0.0)
        value = f"{max(scores, default=0.0):.4f} {end}, best {best:.4f}"
        tried = " ".join(f"{name}={settings[name]}" for name in (settings if number == 1 else trial.params))
        seconds = time.monotonic() - began
        print(f"{self.name} {number}/{self.trials}  {value}  {len(scores)} epochs {seconds:.0f} s  {tried}", flush=True)

    def found(self, space: str) -> Found:
        """The best settings of as many trials as were asked for; those that another call made beyond them do not count.

        Args:
            space: the name of the space.

        Returns:
            The settings of the best trial and where they come from; of equal ones the first counts.

        Raises:
            ValueError: no trial ended well.
        """
        made = self.study.get_trials(False, FINISHED)[: self.trials]
        complete = [trial for trial in made if trial.state == TrialState.COMPLETE]
        if not complete:
            raise ValueError(f"{self.name}: no trial ended well; lower the learning rates of the space `{space}`")
        best = max(complete, key=lambda trial: trial.value)
        return Found(
            **{name: best.user_attrs[name] for name in ("settings", "epoch", "commit")},
            monitor=self._run({}).training.monitor,
            value=round(best.value, 4),
            trials=len(made),
            pruned=sum(trial.state == TrialState.PRUNED for trial in made),
            space=space,
            seed=self.seed,
        )


def train(run: Run, place: Workspace, trial) -> tuple[list[float], str]:
    """Train once on the training part and validate after every epoch.

    Args:
        run: with the settings to try.
        place: the study's.
        trial: Optuna's, which is told each score and may end the training.

    Returns:
        (the validation score of each epoch, how it ended: `complete`, `pruned`, `diverged`).
    """
    from gru4rec_lib.study import runs  # loads TensorFlow, which the process that waits for the others does without
    from gru4rec_lib.study.tuning.pruning import Pruning

    pruning = Pruning(trial, run.training.monitor)
    try:
        runs.train(run, Prepared.load(place.prepared, test=False), [pruning])
    except FloatingPointError:
        return pruning.scores, "diverged"
    finally:
        gc.collect()  # a model and its graphs refer to each other, and a process trains hundreds of them
    return pruning.scores, "pruned" if pruning.pruned else "complete"


@cache
def _storage(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    patient = {"connect_args": {"timeout": 100}}  # seconds that one process waits for another to have written
    return optuna.storages.RDBStorage(f"sqlite:///{path}", engine_kwargs=patient)


def _side_by_side(names, make, jobs):
    """Processes that take a cell each, then the next one; they end when this one does."""
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    context = multiprocessing.get_context("spawn")
    waiting = context.SimpleQueue()
    for name in [*names, *[None] * jobs]:
        waiting.put(name)
    os.environ[tied.PARENT] = str(os.getpid())
    processes = [context.Process(target=_work, args=(waiting, make), daemon=True) for _ in range(jobs)]
    # Ctrl-C comes to this process too, which ends them; so they ignore it, from their first moment on.
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    for process in processes:
        process.start()
    signal.signal(signal.SIGINT, handler)
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise ChildProcessError("The search stopped; the reason stands above. The same command goes on from here.")


def _work(waiting, make):
    tied.tie()
    try:
        while (name := waiting.get()) is not None:
            make(name).run()
    except Exception:
        traceback.print_exc()
        raise SystemExit(1) from None
