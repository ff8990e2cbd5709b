"""What a study is: its data, split, settings and grid of models, checked before anything runs.

A study is one file `config/<study>.yaml`. Every class here forbids unknown fields, so that a mistyped name is an
error and not a silent default. Cores, memory and clusters are not science and live in `profiles/`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

INPUT_FORMS = ("one_hot", "embedding", "shared", "content", "content_mlp")
LOSSES = ("cross_entropy", "bpr", "bpr_max", "top1", "top1_max")
BASELINES = ("most_popular", "sequential_rules")
PROTOCOLS = ("known", "open")

InputForm = Literal[INPUT_FORMS]
Loss = Literal[LOSSES]
Baseline = Literal[BASELINES]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]


class ConfigError(ValueError):
    """A study or a notebook's parameters are wrong; the message names the place and the remedy."""


class Strict(BaseModel):
    """A model that forbids unknown fields and never changes after it was checked."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Twin(Strict):
    """How much simulated data the study writes for itself (`simulate.py`).

    Args:
        sessions: sessions in each log file.
        seed: the same seed gives the same bytes.
        log_dates: one log file for each date (YYYYMMDD), in the order given.
        content_signal: how much the next track depends on how it sounds, 0 (not at all) to 1 (strongly).
    """

    sessions: int = Field(ge=10)
    seed: int = 1
    log_dates: tuple[Annotated[str, Field(pattern=r"^\d{8}$")], ...] = ("20180715",)
    content_signal: float = Field(0.5, ge=0, le=1)


class ItemTable(Strict):
    """The table of item features and what its columns are.

    Args:
        file: its name inside the data folder (.csv, .tsv or .parquet).
        item: the column of item ids.
        numeric: columns that are standardised.
        categorical: columns with one value an item.
        multivalued: for each feature, the columns that hold its values.
        missing: texts that mean "no value" in categorical and multi-valued columns.
    """

    file: str
    item: str
    numeric: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    multivalued: dict[str, tuple[str, ...]] = {}
    missing: tuple[str, ...] = ("",)


class MssdData(Strict):
    """Files in the official MSSD layout: any number of log_*.csv[.gz] and tf_*.csv[.gz] below the folder.

    Args:
        name: the data set's name; its folders are data/raw/<name> and data/prepared/<name>.
        on_bad_rows: `error` stops at the first kind of problem, `drop` leaves such rows out and counts them.
        simulate: given where the study writes its own data.
        published: the row of the paper's Table 1 to show beside the counts (full, dataset03, mini).
    """

    layout: Literal["mssd"]
    name: str
    on_bad_rows: Literal["error", "drop"] = "error"
    simulate: Twin | None = None
    published: Literal["full", "dataset03", "mini"] | None = None


class EventData(Strict):
    """A table of events (.csv, .tsv, .parquet), one row an event, with columns named here.

    Args:
        name: the data set's name; its folders are data/raw/<name> and data/prepared/<name>.
        events: file names or patterns inside the data folder.
        session, item: columns of ids.
        time: column of times (unix seconds or ISO dates); `position`: column of places in the session. One is needed.
        exact_repeats: what to do with further rows of the same (session, item, time or position); counted either way.
        on_bad_rows: `error` stops at the first kind of problem, `drop` leaves such rows out and counts them.
        item_table: features of the items, where there are any.
    """

    layout: Literal["events"]
    name: str
    events: tuple[str, ...]
    session: str
    item: str
    time: str | None = None
    position: str | None = None
    exact_repeats: Literal["keep", "drop"] = "keep"
    on_bad_rows: Literal["error", "drop"] = "error"
    item_table: ItemTable | None = None

    @model_validator(mode="after")
    def _has_an_order(self):
        if (self.time is None) == (self.position is None):
            raise ValueError("name exactly one of `time` and `position`: it orders a session's events")
        return self


class Split(Strict):
    """Which sessions are for training and which for testing; a validation part is always cut from training.

    Args:
        how: `by_file` (test files match the pattern `test`), `by_session` (a random `test_fraction`), `by_time` (the
            last `test_fraction` of the sessions by start), `listed` (`test` is a file of session ids in the folder).
        test: see `how`.
        test_fraction: share of the sessions, 0 to 1.
        validation: how the validation part is cut from training: at random, or the last by start time.
        validation_fraction: share of the training sessions, 0 to 1.
        seed: of the random choices.
    """

    how: Literal["by_file", "by_session", "by_time", "listed"]
    test: str | None = None
    test_fraction: Fraction | None = None
    validation: Literal["random", "last"] = "random"
    validation_fraction: Fraction = 0.1
    seed: int = 1

    @model_validator(mode="after")
    def _complete(self):
        wants_test = self.how in ("by_file", "listed")
        if wants_test != (self.test is not None) or wants_test == (self.test_fraction is not None):
            raise ValueError(f"split `{self.how}` needs `{'test' if wants_test else 'test_fraction'}` and nothing else")
        return self


class Training(Strict):
    """Settings of one training; the field's usual names, the official GRU4Rec's meaning.

    Args:
        hidden_units: width of the recurrence.
        layers: recurrent layers.
        embedding_units: width of a learned row per track (input `embedding`) and per category.
        mlp_units: widths of the dense relu layers of `content_mlp`.
        dropout_input, dropout_hidden: share of units dropped before the recurrence and before the scores, 0 to 1.
        batch_size: lanes of the session-parallel mini-batch.
        negatives: `sampled` draws `samples` tracks each step, `in_batch` takes the other lanes' targets, `all` scores
            every track.
        samples: sampled tracks a step.
        sample_alpha: they are drawn with probability ~ plays ** sample_alpha.
        logq: subtract log(expected count) from every score (sampled softmax).
        score_activation: `linear`, or `elu` with parameter 0.5.
        bpr_max_regularization: weight of BPR-max's score regularisation.
        l2: weight of the squared L2 norm of the step's rows and of the dense weights.
        optimizer: `adagrad` touches only the rows of a step; `adam` is the dense one of the paper.
        learning_rate, momentum: of the optimiser.
        max_epochs: the most epochs trained.
        patience: epochs without a better validation Recall@20 before training ends.
        refit: train again on training + validation for the best number of epochs, so that the test sees a model of
            all training sessions.
        shuffle: new order of the sessions every epoch; false keeps the order of the data.
        jit: compile the dense part of a step with XLA.
    """

    hidden_units: int = Field(100, ge=1)
    layers: int = Field(1, ge=1)
    embedding_units: int = Field(64, ge=1)
    mlp_units: tuple[int, ...] = (64, 64)
    dropout_input: Rate = 0.0
    dropout_hidden: Rate = 0.0
    batch_size: int = Field(64, ge=1)
    negatives: tuple[Literal["in_batch", "sampled", "all"], ...] = ("sampled",)
    samples: int = Field(2048, ge=0)
    sample_alpha: float = Field(0.75, ge=0, le=1)
    logq: bool = False
    score_activation: Literal["linear", "elu"] = "linear"
    bpr_max_regularization: float = Field(1.0, ge=0)
    l2: float = Field(0.0, ge=0)
    optimizer: Literal["adagrad", "adam"] = "adagrad"
    learning_rate: float = Field(0.05, gt=0)
    momentum: Rate = 0.0
    max_epochs: int = Field(10, ge=1)
    patience: int = Field(2, ge=1)
    refit: bool = True
    shuffle: bool = True
    jit: bool = True

    @model_validator(mode="after")
    def _negatives_fit(self):
        if not self.negatives or ("all" in self.negatives and len(self.negatives) > 1):
            raise ValueError("`negatives` is `all` alone, or `in_batch`, `sampled` or both")
        if "sampled" in self.negatives and self.samples == 0:
            raise ValueError("`negatives: sampled` needs `samples` above 0")
        if self.negatives == ("in_batch",) and self.batch_size == 1:
            raise ValueError("in-batch negatives need a `batch_size` above 1")
        return self


class Models(Strict):
    """A block of the grid: every input form with every loss and seed.

    Args:
        input_form, loss, seed: what is crossed.
        tag: tells runs apart whose settings differ; part of the run's name.
        settings: changes to the study's training settings for this block.
    """

    input_form: tuple[InputForm, ...]
    loss: tuple[Loss, ...]
    seed: tuple[int, ...] = (1,)
    tag: str = Field("", pattern=r"^[a-z0-9_]*$")
    settings: dict = {}


class Evaluation(Strict):
    """How ranks become numbers.

    Args:
        cutoff: the k of Recall@k and MRR@k; the table's columns say 20, and so does every study here.
        max_test_events: rank a random choice of so many targets; null ranks all.
    """

    cutoff: Literal[20] = 20
    max_test_events: int | None = Field(None, ge=1)


class Run(Strict):
    """One training: a cell of the grid with its settings.

    Args:
        study: the study's name.
        input_form, loss, seed, tag: the cell.
        training: the resolved settings.
    """

    study: str
    input_form: InputForm
    output_form: Literal["ids"] = "ids"
    loss: Loss
    seed: int
    tag: str = ""
    training: Training

    @property
    def name(self) -> str:
        """The run's folder name, such as `embedding-cross_entropy-seed1`."""
        return "-".join(filter(None, (self.input_form, self.loss, self.tag, f"seed{self.seed}")))


class Study(Strict):
    """A study, read from `config/<name>.yaml`.

    Args:
        name: the file's name without its ending.
        title: one line for tables and figures.
        data: what is read.
        split: training, validation and test.
        training: settings of every cell; `losses`: changes for one loss, the same for each of its cells.
        models: the grid.
        baselines: models without training.
        evaluation: how ranks become numbers.
    """

    name: str
    title: str
    data: Annotated[MssdData | EventData, Field(discriminator="layout")]
    split: Split
    training: Training = Training()
    losses: dict[Loss, dict] = {}
    models: tuple[Models, ...]
    baselines: tuple[Baseline, ...] = BASELINES
    evaluation: Evaluation = Evaluation()

    @property
    def simulated(self) -> bool:
        """Whether the study's data is simulated."""
        return isinstance(self.data, MssdData) and self.data.simulate is not None

    def run(self, input_form: str, loss: str, seed: int, tag: str = "", **changes) -> Run:
        """The run of one cell, its settings resolved: study, then loss, then block, then `changes`."""
        block = next((m.settings for m in self.models if m.tag == tag), {})
        settings = self.training.model_dump() | self.losses.get(loss, {}) | block | changes
        cell = {"input_form": input_form, "loss": loss, "seed": seed, "tag": tag}
        place = f"{self.name}: settings of {input_form}, {loss}"
        return check(Run, {"study": self.name, **cell, "training": check(Training, settings, place)}, place)

    @property
    def runs(self) -> tuple[Run, ...]:
        """Every run of the grid, in the order of the file."""
        return tuple(
            self.run(input_form, loss, seed, block.tag)
            for block in self.models
            for seed in block.seed
            for loss in block.loss
            for input_form in block.input_form
        )

    @model_validator(mode="after")
    def _runs_are_right(self):
        names = [run.name for run in self.runs]
        if len(set(names)) < len(names):
            raise ValueError("two blocks of `models` give a run of the same name: tell them apart by `tag`")
        return self


def load_study(name: str, folder: Path) -> Study:
    """Read and check one study.

    Args:
        name: such as `twin_mini`; or the path of a .yaml file anywhere.
        folder: where the studies are, `config/`.

    Returns:
        The study.

    Raises:
        ConfigError: there is no such file, or a field is unknown, missing or wrong.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.yaml")))
        raise ConfigError(f"{path}: there is no such study; known are {known}")
    try:
        fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(fields, dict):
        raise ConfigError(f"{path}: a study is a mapping of fields; see config/toy.yaml")
    return check(Study, {"name": path.stem} | fields, path)


def check(kind: type[Strict], fields: dict, place: str | Path):
    """Build `kind` from fields, or say in one sentence a problem what is wrong and where.

    Args:
        kind: the class to build.
        fields: its fields.
        place: named in the message, such as the file's path.

    Raises:
        ConfigError: with every problem, one a line.
    """
    try:
        return kind(**fields)
    except ValidationError as error:
        problems = [f"{place}: {'.'.join(map(str, e['loc'])) or kind.__name__}: {_say(e)}" for e in error.errors()]
        raise ConfigError("\n".join(problems)) from None


def _say(error: dict) -> str:
    if error["type"] == "extra_forbidden":
        return "no such field; check its spelling or delete it"
    return f"{error['msg']} (given: {error['input']!r})"
