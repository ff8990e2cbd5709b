"""A study's data, split, settings and grid of models, validated before anything runs.

A study is one file `config/<study>.yaml`. Every class here forbids unknown fields, so that a mistyped name is an
error and not a silent default. Cores, memory and clusters do not belong to a study; they are set in `profiles/`.
"""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, ValidationInfo, model_validator

from gru4rec_lib.baselines import BASELINES, Baseline
from gru4rec_lib.config.audit import course_paper_training
from gru4rec_lib.config.data import EventData, ItemTable, MssdData, Signal, Split, Twin
from gru4rec_lib.config.tuned import Searched, configuration_name, load_searched
from gru4rec_lib.data.columns import Columns
from gru4rec_lib.data.features import Features
from gru4rec_lib.training.settings import (
    FORMS_WITH_CONTENT,
    INPUT_FORMS,
    LOSSES,
    OUTPUT_FORMS,
    Cell,
    InputForm,
    Loss,
    OutputForm,
    Training,
)
from gru4rec_lib.utils.arguments import user_path
from gru4rec_lib.utils.checked import ConfigError, Count, Name, Seed, Some, Strict, check, read_mapping

__all__ = [
    "BASELINES",
    "CUTOFF",
    "FORMS_WITH_CONTENT",
    "INPUT_FORMS",
    "LOSSES",
    "OUTPUT_FORMS",
    "PROTOCOLS",
    "BlendOf",
    "ConfigError",
    "Evaluation",
    "EventData",
    "InputForm",
    "ItemTable",
    "Loss",
    "Models",
    "MssdData",
    "OutputForm",
    "Run",
    "Split",
    "Strict",
    "Study",
    "Training",
    "Twin",
    "check",
    "is_study_file",
    "load_study",
    "study_file",
]

PROTOCOLS = ("known", "open")
# VSTAN has the settings that a search chose on both thirty_music and spotify_listeners.
VSTAN = {"neighbours": 1000, "position_decay": 7.24, "time_decay": 320, "distance_decay": 14.48, "match_decay": 3.62}
USUAL_BASELINES = ("most_popular", "item_knn", "sequential_rules", {"vstan": VSTAN | {"idf_weighting": 2}})
GroupName = Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]  # part of the tag of a block
CUTOFF = 20  # of intervals, tests, figures and lists


def _read(given: object) -> Baseline:
    """A baseline from its form in a file: `stan`, or `{stan: {neighbours: 1000}}`."""
    if isinstance(given, Baseline):
        return given
    kind, settings = next(iter(given.items())) if isinstance(given, dict) and len(given) == 1 else (given, {})
    if not isinstance(kind, str) or kind not in BASELINES:
        form = "give a name, or a name with its settings such as {stan: {neighbours: 1000}}"
        raise ValueError(f"no such baseline; {form}; known are {', '.join(BASELINES)}")
    if not isinstance(settings, dict):
        raise ValueError(f"{kind}: should be a mapping of its settings; for the defaults write `{kind}` alone")
    return BASELINES[kind](**{str(name): value for name, value in settings.items()})


def _written(baseline: Baseline) -> str | dict:
    """The form of a baseline in a file."""
    changed = baseline.model_dump(mode="json", exclude_defaults=True)
    return {baseline.kind: changed} if changed else baseline.kind


def _as_searched(baseline: Baseline, study: ValidationInfo) -> Baseline:
    """The same with the settings that a search chose, where it has searched this baseline."""
    searched = study.data.get("searched")
    if not searched or baseline.name not in searched.baselines:
        return baseline
    try:
        return type(baseline)(**baseline.model_dump() | searched.baselines[baseline.name].settings)
    except ConfigError as error:
        raise ValueError(f"searched: {error}") from None


StudyBaseline = Annotated[
    Baseline, BeforeValidator(_read), AfterValidator(_as_searched), PlainSerializer(_written, return_type=str | dict)
]


class Models(Strict):
    """A block of the grid: every input form with every output form, loss and seed.

    Args:
        input_form, output_form, loss, seed: the values that are combined.
        features: groups of the study's `features` that the forms with content use; null for all features.
        tag: distinguishes runs with different settings or features; part of the run's name. If left out, it is the
            names of the groups in `features`.
        settings: changes of the study's training settings for this block, or the path of a file with them, such as
            official/rsc15.yaml.
    """

    input_form: Annotated[tuple[InputForm, ...], Some]
    output_form: Annotated[tuple[OutputForm, ...], Some] = ("ids",)
    loss: Annotated[tuple[Loss, ...], Some]
    seed: Annotated[tuple[Seed, ...], Some] = (1,)
    features: Annotated[tuple[str, ...], Some] | None = None
    tag: str = Field(default_factory=lambda block: "_".join(block["features"] or ()), pattern=r"^[a-z0-9_]*$")
    settings: dict = Field(default_factory=dict)


def _usual_models(study: dict) -> tuple[Models, ...]:
    """The grid of a study that names none: `shared` rows, and those with content where the items have features."""
    data = study.get("data")
    forms = ("ids", "hybrid") if data and data.feature_columns else ("ids",)
    return (Models(input_form=("shared",), output_form=forms, loss=("cross_entropy",)),)


class BlendOf(Strict):
    """A blend of the network that leads on validation with baselines of the study; see `blending.blend.Blend`.

    Args:
        of: names of baselines of the study that score few tracks, such as `stan` and `sequential_rules`.
        weights: `fixed`, the same in every session, or `by_session`, see `blending.session_weights.SessionWeights`.
        tag: distinguishes blends of one study; part of the name.
    """

    of: Annotated[tuple[str, ...], Some]
    weights: Literal["fixed", "by_session"] = "fixed"
    tag: str = Field("", pattern=r"^[a-z0-9_]*$")

    @property
    def name(self) -> str:
        """The name in tables, such as `blend` or `blend-rules`."""
        return "-".join(filter(None, ("blend", self.tag)))


def _rising_with_20(cutoffs: tuple[int, ...]) -> tuple[int, ...]:
    if list(cutoffs) != sorted({*cutoffs}) or CUTOFF not in cutoffs:
        raise ValueError(f"should be rising numbers with {CUTOFF} among them, such as [5, 10, {CUTOFF}]")
    return cutoffs


class Evaluation(Strict):
    """Settings of the evaluation on the test sessions.

    Args:
        cutoffs: every k of Recall@k, MRR@k and NDCG@k in Table 2, rising; 20, which intervals, tests, figures and lists
            use, is one of them.
        max_test_events: the number of targets to rank, chosen at random; null for all.
        ties: how equal scores count in a rank, see `exact.rank_table`.
        popular: also rank each target among this number of most played tracks, as the course project's proposal did
            (protocol `popular`); null for not.
        exclude_heard: whether the tracks that a session has played are no candidates for its next track. Targets that
            repeat one of them are then misses, so that the number of targets stays the same.
        lists: the number of `known` targets, chosen at random, at which recommendations are saved; null for none.
    """

    cutoffs: Annotated[tuple[Count, ...], AfterValidator(_rising_with_20)] = (5, 10, 20)
    ties: Literal["conservative", "standard", "median"] = "conservative"
    max_test_events: Count | None = None
    popular: Count | None = None
    exclude_heard: bool = False
    lists: Count | None = 1000


class Run(Cell):
    """One training of a study.

    Args:
        input_form, output_form, loss, seed, tag: identify the run within the study.
        training: its settings, resolved.
        study: the study's name.
        features: the columns that its forms with content use; None for all.
    """

    study: str
    tag: str = ""
    features: tuple[str, ...] | None = None

    @property
    def uses_content(self) -> bool:
        """Whether the network uses features of tracks."""
        return not FORMS_WITH_CONTENT.isdisjoint((self.input_form, self.output_form))

    def used(self, features: Features | None) -> Features | None:
        """Return the features that the network uses, of all that are prepared.

        Args:
            features: of the candidates, or None.
        """
        return features if features is None or self.features is None else features.only(self.features)

    @property
    def parameters(self) -> dict:
        """The notebook parameters that identify this run, without defaults."""
        parameters = self.model_dump(include={*Columns.RUN})
        defaults = {"output_form": "ids", "tag": ""}
        return {name: value for name, value in parameters.items() if defaults.get(name) != value}

    @property
    def name(self) -> str:
        """The run's folder name, such as `embedding-cross_entropy-seed1` or `shared-to_content-bpr-seed2`."""
        configuration = configuration_name(self.input_form, self.output_form, self.loss, self.tag)
        return f"{configuration}-seed{self.seed}"


class Study(Strict):
    """A study, read from `config/<name>.yaml`.

    Args:
        name: the file's name without its ending.
        title: one line for tables and figures.
        data: the raw files and their layout.
        split: of the sessions into training, validation and test.
        training: settings of every run.
        losses: changes of them for all runs with a loss.
        searched: settings that a search chose for each configuration; in the file a path relative to it, such as
            settings/<study>.yaml.
        features: named groups of columns of the items' features, such as {audio: [tempo, energy], artist: [artist]}.
            Blocks of `models` may use some of them; the columns of a group are permuted together to measure its
            importance. Not every column needs a group.
        models: the grid of runs; by default input `shared`, output `ids` and cross-entropy; also output `hybrid` if the
            items have features.
        baselines: models without gradient training, each a name of `baselines.BASELINES` or a name with settings, such
            as {stan: {neighbours: 1000}}; those in `searched` take the settings from there.
        blends: models that add the scores of the leading network and of baselines. Empty for none.
        evaluation: settings of the test.
        content_signal: values of `data.simulate.content_signal`, including that of the study itself, at each of which
            the whole grid runs; empty for that one alone.
        windows: number of windows of `split.train_days` + `split.test_days` days, counted back from the newest play, in
            each of which the whole grid is trained and tested.
        audit: blocks of runs that the audit trains; their `settings` are changes of the paper's. Empty for no audit.
    """

    name: Name
    title: str
    data: Annotated[MssdData | EventData, Field(discriminator="layout")]
    split: Split
    training: Training = Training()
    losses: dict[Loss, dict] = Field(default_factory=dict)
    searched: Searched | None = None
    features: dict[GroupName, Annotated[tuple[str, ...], Some]] = Field(default_factory=dict)
    models: Annotated[tuple[Models, ...], Some] = Field(default_factory=_usual_models)
    baselines: Annotated[tuple[StudyBaseline, ...], Some] = Field(USUAL_BASELINES, validate_default=True)
    blends: tuple[BlendOf, ...] = ()
    evaluation: Evaluation = Evaluation()
    content_signal: tuple[Signal, ...] = ()
    windows: Count = 1
    audit: tuple[Models, ...] = ()

    @property
    def simulated(self) -> bool:
        """Whether the study's data is simulated."""
        return isinstance(self.data, MssdData) and self.data.simulate is not None

    @property
    def varied(self) -> str:
        """What differs between the study's variants: `content_signal`, `windows`, or nothing."""
        return "content_signal" if self.content_signal else "windows" if self.windows > 1 else ""

    @property
    def variants(self) -> dict[float, Study]:
        """The study at each of its content_signals, or in each of its windows, itself included; else empty.

        A variant is named `<study>@<value>`, with separate runs, such as `twin_signal@0.25`, or `lastfm_1k@2` for the
        second window.
        """
        if not self.varied:
            return {}
        if self.content_signal:
            own, values = self.data.simulate.content_signal, self.content_signal
        else:
            own, values = self.split.window, range(1, self.windows + 1)
        return {value: self if value == own else self._at(value) for value in values}

    def _at(self, value: float) -> Study:
        changes = {"name": f"{self.name}@{value:g}", "content_signal": (), "windows": 1}
        if self.content_signal:
            simulate = self.data.simulate.model_copy(update={"content_signal": value})
            names = {"name": f"{self.data.name}@{value:g}", "simulate": simulate}
            changes |= {"title": f"{self.title}, content_signal {value:g}", "data": self.data.model_copy(update=names)}
        else:
            split = self.split.model_copy(update={"window": value})
            changes |= {"title": f"{self.title}, window {value}", "split": split}
        return self.model_copy(update=changes)

    def run(self, input_form: str, loss: str, seed: int, tag: str = "", output_form: str = "ids", **changes) -> Run:
        """Return one run, in the grid or not, with its settings resolved.

        Later ones override earlier ones: of the study, the loss, the search, the block, a search of the block's tag,
        then `changes`. A block whose tag was searched does not have the settings of a search without the tag.

        Args:
            input_form: of INPUT_FORMS.
            loss: of LOSSES.
            seed: of the training.
            tag: of a block of `models`, whose settings and features the run has; empty for none.
            output_form: of OUTPUT_FORMS.
            changes: settings by name.

        Raises:
            ConfigError: no block has the tag, the configuration was not searched, or a setting is unknown or invalid.
        """
        of_tag = [block for block in self.models if block.tag == tag]
        if tag and not of_tag:
            raise ConfigError(f"{self.name}: tag: no block of `models` has the tag {tag!r}")
        block, features = (of_tag[0].settings, of_tag[0].features) if of_tag else ({}, None)
        settings = self.training.model_dump() | self.losses.get(loss, {})
        tagged = configuration_name(input_form, output_form, loss, tag)
        if tag and self.searched and tagged in self.searched.cells:
            settings |= block | self.searched.of(tagged) | changes
        else:
            found = self.searched.of(configuration_name(input_form, output_form, loss)) if self.searched else {}
            settings |= found | block | changes
        where = f"{self.name}: settings of {input_form}, {loss}"
        names = {"input_form": input_form, "output_form": output_form, "loss": loss, "seed": seed, "tag": tag}
        run = check(Run, {"study": self.name, **names, "training": check(Training, settings, where)}, where)
        if not (features and run.uses_content):
            return run
        columns = tuple(column for group in features for column in self.features[group])
        return run.model_copy(update={"features": columns})

    @property
    def runs(self) -> tuple[Run, ...]:
        """Every run of the grid, in the order of the file."""
        return tuple(
            self.run(input_form, loss, seed, block.tag, output_form)
            for block in self.models
            for seed in block.seed
            for loss in block.loss
            for output_form in block.output_form
            for input_form in block.input_form
        )

    @property
    def refits(self) -> bool:
        """Whether every run is trained again on training and validation, on which baselines are then fitted too."""
        return all(run.training.refit for run in self.runs)

    @property
    def uses_content(self) -> bool:
        """Whether a network of the grid uses features of tracks."""
        return any(run.uses_content for run in self.runs)

    @property
    def feature_groups(self) -> dict[str, tuple[str, ...]]:
        """The columns of each group of features, by name; a column that is in no group is a group of its own."""
        grouped = {column for columns in self.features.values() for column in columns}
        others = {column: (column,) for column in self.data.feature_columns if column not in grouped}
        return self.features | others

    def tags_of_control(self, tag: str) -> set[str]:
        """Return the tags that the control of a run with this tag may have: those of blocks with the same settings.

        Where the block of the tag names no features, that is the tag itself.

        Args:
            tag: of a block of `models`.
        """
        own = next((block for block in self.models if block.tag == tag and block.features), None)
        return {block.tag for block in self.models if block.settings == own.settings} if own else {tag}

    @property
    def ablations(self) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
        """Every two cells of the grid that differ only in their features, each as Columns.MODEL without model."""
        cells = {tuple(getattr(run, name) for name in Columns.MODEL[1:]): run for run in self.runs if run.uses_content}
        used = {cell: {*(run.features or self.data.feature_columns)} for cell, run in cells.items()}
        rest = {cell: (*cell[:-1], run.training) for cell, run in cells.items()}
        return [(a, b) for a, b in combinations(cells, 2) if rest[a] == rest[b] and used[a] != used[b]]

    @property
    def blend_seeds(self) -> tuple[int, ...]:
        """The seeds that every cell of the grid has, rising: a blend is ranked once for each."""
        seeds = {}
        for run in self.runs:
            seeds.setdefault((run.input_form, run.output_form, run.loss, run.tag), set()).add(run.seed)
        return tuple(sorted(set.intersection(*seeds.values())))

    @model_validator(mode="after")
    def _features_fit(self):
        known, group_of = self.data.feature_columns, {}
        for group, columns in self.features.items():
            for column in columns:
                if column not in known:
                    there = f"the features are {', '.join(known)}" if known else "the data has no features"
                    raise ValueError(f"features.{group}: `{column}` is no column of the features; {there}")
                if column in group_of:
                    place = "named twice" if group_of[column] == group else f"in `{group_of[column]}` too"
                    raise ValueError(f"features.{group}: `{column}` is {place}; delete one of the two")
                group_of[column] = group
        taken = next((group for group in self.features if group in known and group not in group_of), None)
        if taken is not None:
            raise ValueError(f"features.{taken}: a column that is in no group has this name; rename the group")
        for number, block in enumerate(self.models):
            self._check_features_of(block, f"models.{number}")
        if any(block.features for block in self.audit):
            raise ValueError("audit: the paper's models use all features; leave out `features`")
        tags = [(block.tag, block.features) for block in self.models]
        if any(tag == other and a != b for tag, a in tags for other, b in tags):
            raise ValueError("blocks of `models` with different `features` need a different `tag` each")
        return self

    def _check_features_of(self, block: Models, where: str) -> None:
        if not block.features:
            return
        for group in block.features:
            if group not in self.features:
                known = f"known are {', '.join(self.features)}" if self.features else "the study names none"
                raise ValueError(f"{where}.features: there is no group `{group}`; {known}")
            if block.features.count(group) > 1:
                raise ValueError(f"{where}.features: `{group}` is named twice; delete one of the two")
        without = sorted({*block.input_form} - FORMS_WITH_CONTENT)
        if without and not FORMS_WITH_CONTENT.issuperset(block.output_form):
            forms = f"`{without[0]}` with the output form `ids`"
            raise ValueError(f"{where}.features: {forms} uses no features; put it in a block without `features`")
        if not block.tag:
            raise ValueError(f"{where}.tag: is empty; omit it for the names of the groups, or give another one")

    @model_validator(mode="after")
    def _blends_fit(self):
        baselines = {baseline.name: baseline for baseline in self.baselines}
        able = [name for name, baseline in baselines.items() if baseline.blendable]
        for blend in self.blends:
            for name in blend.of:
                if name not in able:
                    what = "scores every track" if name in baselines else "is no baseline of the study"
                    raise ValueError(f"blends: `{name}` {what}; a blend can take {', '.join(able) or 'none of them'}")
            if len({*blend.of}) < len(blend.of):
                raise ValueError(f"blends: `{blend.name}` names a baseline twice; delete one of the two")
        named = [blend.name for blend in self.blends]
        twice = next((name for name in named if named.count(name) > 1), None)
        if twice:
            raise ValueError(f"blends: `{twice}` is named twice; give one of the two another `tag`")
        if self.blends and not self.blend_seeds:
            raise ValueError("blends: no seed is common to all blocks of `models`; give them one seed in common")
        return self

    @model_validator(mode="after")
    def _parts_fit(self):
        events = isinstance(self.data, EventData)
        if self.split.how == "by_time" and not (events and self.data.time):
            raise ValueError("split `by_time` needs events with a `time` column; split by session or by file")
        if not events and self.data.shards and self.split.how != "by_file":
            raise ValueError("with `data.shards` a log is for training or for the test as a whole: split `by_file`")
        forms = {form for m in self.models for form in (*m.input_form, *m.output_form)}
        if events and not self.data.has_features and forms & FORMS_WITH_CONTENT:
            raise ValueError("a form with content needs features; describe them in `data.item_table`")
        own = self.data.simulate.content_signal if self.simulated else None
        if self.content_signal and own not in self.content_signal:
            raise ValueError("`content_signal` lists settings of `data.simulate.content_signal`, and that one too")
        if self.windows > 1 and self.split.train_days is None:
            raise ValueError("`windows` needs `train_days` and `test_days` in `split`, the days of each window")
        if self.windows > 1 and self.split.window > self.windows:
            raise ValueError("`split.window` should be at most `windows`")
        for baseline in self.baselines:
            if baseline.needs_category and not (events and self.data.categories):
                column = "a `categorical` column in `data.item_table`, or `data.label_features`"
                raise ValueError(f"baseline `{baseline.name}` needs {column}")
            if baseline.needs_features and events and not self.data.has_features:
                raise ValueError(f"baseline `{baseline.name}` needs features; describe them in `data.item_table`")
        return self

    @model_validator(mode="after")
    def _runs_are_right(self):
        for loss, changes in self.losses.items():
            check(Training, self.training.model_dump() | changes, f"losses.{loss}")
        for block in self.audit:
            for loss in block.loss:
                course_paper_training(loss, block.settings)
        if any(a.settings != b.settings for a in self.models for b in self.models if a.tag == b.tag):
            raise ValueError("blocks of `models` with different `settings` need a different `tag` each")
        named = [baseline.name for baseline in self.baselines]
        twice = next((name for name in named if named.count(name) > 1), None)
        if twice:
            raise ValueError(f"baseline `{twice}` is named twice; give one of the two another `tag`, or delete it")
        names = [run.name for run in self.runs]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise ValueError(f"`{twice}` is listed twice; list every run and baseline once")
        return self


def is_study_file(name: str | Path) -> bool:
    """Whether a study is given by the path of its file and not by its name.

    Args:
        name: as given by the user.
    """
    return str(name).lower().endswith((".yaml", ".yml"))


def load_study(name: str, folder: Path, searched: bool = True) -> Study:
    """Read and validate one study.

    Args:
        name: such as `twin_mini`, or the path of a .yaml file anywhere; followed by `@<value>` for one of
            the study's variants.
        folder: `config/`, with the studies, and with files of settings that are not beside a study elsewhere.
        searched: false ignores the settings that a search chose, for the search itself.

    Returns:
        The study.

    Raises:
        ConfigError: there is no such file or variant, or a field is unknown, missing or invalid.
    """
    path, value = study_file(name, folder)
    known = ", ".join(sorted(p.stem for p in folder.glob("*.yaml")))
    missing = f"there is no such study; known are {known}"
    fields = read_mapping(path, missing, "a study is a mapping of fields; see config/toy.yaml")
    if "name" in fields:
        raise ConfigError(f"{path}: name: a study has its file's name; delete the field")
    if "searched" in fields:
        found = _beside(path, str(fields["searched"]), folder)
        fields["searched"] = load_searched(found, name) if searched else None
    for block in fields["models"] if isinstance(fields.get("models"), list) else ():
        if isinstance(block, dict) and isinstance(block.get("settings"), str):
            settings = _beside(path, block["settings"], folder)
            block["settings"] = read_mapping(settings, "there is no such file", "is no mapping of fields of `training`")
    study = check(Study, {"name": path.stem} | fields, path)
    if value is None:
        return study
    variants = {f"{one:g}": variant for one, variant in study.variants.items()}
    if value not in variants:
        known = f"known are {', '.join(variants)} ({study.varied})" if variants else "the study has none"
        raise ConfigError(f"{path}: there is no variant `{value}`; {known}")
    return variants[value]


def study_file(name: str, folder: Path) -> tuple[Path, str | None]:
    """Return the file that a study is read from.

    Args:
        name: as for `load_study`.
        folder: `config/`, with the studies.

    Returns:
        (the file, whether it exists or not; the value of a variant after `@`, None without one).
    """
    name, value = re.fullmatch(r"(.*?)(?:@([\d.e-]+))?", name).groups()
    return user_path(name) if is_study_file(name) else folder / f"{name}.yaml", value


def _beside(study: Path, name: str, folder: Path) -> Path:
    """The path of a file that a study names: in the study's folder, else in config/."""
    return next((path for path in (study.parent / name, folder / name) if path.exists()), study.parent / name)
