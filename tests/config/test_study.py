"""A study is validated before anything runs, and an error is one sentence that names the file and the field."""

import copy
import re
import shutil
from itertools import product
from pathlib import Path

import pytest
import yaml

from gru4rec_lib import baselines
from gru4rec_lib.config import study as config
from gru4rec_lib.model import inputs
from gru4rec_lib.training import losses

FOLDER = Path(__file__).resolve().parents[2] / "config"
EVENTS = {
    "title": "hand-made",
    "data": {
        "layout": "events",
        "name": "clicks",
        "events": ["e.tsv"],
        "session": "s",
        "item": "i",
        "time": "t",
        "item_table": {
            "file": "i.tsv",
            "item": "i",
            "numeric": ["n"],
            "categorical": ["c"],
            "multivalued": {"m": ["t"]},
        },
    },
    "split": {"how": "by_session", "test_fraction": 0.2},
    "training": {"hidden_units": 10, "batch_size": 8, "samples": 5, "learning_rate": 0.1},
    "losses": {"bpr": {"samples": 6, "learning_rate": 0.2}, "cross_entropy": {"logq": 1.0}},
    "models": [
        {"input_form": ["embedding", "content"], "loss": ["bpr", "cross_entropy"], "seed": [1, 2]},
        {"input_form": ["embedding"], "loss": ["bpr"], "tag": "wide", "settings": {"learning_rate": 0.3}},
    ],
}
TWIN = EVENTS | {"data": {"layout": "mssd", "name": "twin", "simulate": {"sessions": 10}}}


@pytest.fixture
def load(tmp_path):
    """Return a function that loads a study with changed fields, such as {"data.name": "x"}; DELETE removes a field."""

    def load(changes=(), base=EVENTS):
        fields = copy.deepcopy(base)
        for path, value in dict(changes).items():
            *parents, last = [int(name) if name.isdigit() else name for name in path.split(".")]
            place = fields
            for name in parents:
                place = place[name]
            place[last] = value
            if value is DELETE:
                del place[last]
        (tmp_path / "made.yaml").write_text(yaml.safe_dump(fields))
        return config.load_study("made", tmp_path)

    return load


@pytest.mark.parametrize("path", sorted((FOLDER / "official").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_block_may_have_its_settings_in_a_file(load, tmp_path, path):
    shutil.copy(path, tmp_path / "best.yaml")
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    loss = "bpr_max" if "bpr_max_regularization" in settings else "cross_entropy"
    assert f"loss `{loss}`" in path.read_text(encoding="utf-8")
    block = {"input_form": ["shared"], "loss": [loss], "settings": "best.yaml"}
    (run,) = load({"models": [block]}).runs
    assert run.training.hidden_units == (settings["hidden_units"],)
    assert run == load({"models": [block | {"settings": settings}]}).runs[0]


def test_an_invalid_file_of_settings_is_named(load, tmp_path):
    block = {"input_form": ["shared"], "loss": ["bpr"], "settings": "best.yaml"}
    with pytest.raises(config.ConfigError, match=r"best\.yaml: there is no such file"):
        load({"models": [block]})
    (tmp_path / "best.yaml").write_text("- a\n")
    with pytest.raises(config.ConfigError, match=r"best\.yaml: is no mapping of fields of `training`"):
        load({"models": [block]})
    (tmp_path / "best.yaml").write_text("hidden_unit: 5\n")
    with pytest.raises(config.ConfigError, match="hidden_unit: no such field"):
        load({"models": [block]})


def test_files_of_settings_are_beside_the_study_or_in_config(tmp_path):
    block = {"input_form": ["shared"], "loss": ["cross_entropy"], "settings": "official/rsc15.yaml"}
    study = tmp_path / "mine.yaml"
    study.write_text(yaml.safe_dump(EVENTS | {"models": [block]}))
    official = yaml.safe_load((FOLDER / "official" / "rsc15.yaml").read_text(encoding="utf-8"))
    assert config.load_study(str(study), FOLDER).runs[0].training.hidden_units == (official["hidden_units"],)
    (tmp_path / "official").mkdir()
    (tmp_path / "official" / "rsc15.yaml").write_text("hidden_units: 7\n")
    assert config.load_study(str(study), FOLDER).runs[0].training.hidden_units == (7,)


DELETE = object()
BLOCK = {"input_form": ["embedding"], "loss": ["bpr"]}


LISTENING_LOGS = {
    *("deezer_2024", "lastfm_1k", "lastfm_scrobbles", "lfm_beyms", "lfm_culture", "listenbrainz", "music4all_onion"),
    *("nowplaying_rs", "spotify_history", "spotify_listeners", "yambda_50m"),
}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_study_of_the_project_loads(path):
    study = config.load_study(path.stem, FOLDER)
    assert study.name == path.stem
    assert study == config.load_study(str(path), FOLDER / "elsewhere")
    assert len({run.name for run in study.runs}) == len(study.runs) >= 2
    assert study.simulated == ("simulated" in study.title)
    grid = {(run.input_form, run.loss) for run in study.runs}
    if path.stem == "yoochoose_100k":  # no content: the input form and losses of the official code
        assert grid == {("shared", "cross_entropy"), ("shared", "bpr_max")}
        return
    if path.stem == "sampled_or_full":  # one cell, its negatives are compared
        assert grid == {("one_hot", "cross_entropy")}
        return
    if path.stem == "audit_two_logs":  # trained to compare with the audit
        assert len(study.audit) == 2
        return
    if path.stem in LISTENING_LOGS:
        content = {("content", "cross_entropy")} if study.data.item_table else set()
        assert grid == {("shared", "cross_entropy"), ("one_hot", "cross_entropy")} | content
        return
    if path.stem in ("twin_signal", "mssd_full"):  # few runs, of many sessions
        assert grid >= {("embedding", "cross_entropy"), ("content", "cross_entropy")}
        return
    if path.stem in ("thirty_music", "polimi"):  # real data: the paper's simplest forms, and shared rows
        losses = {"thirty_music": ("cross_entropy", "bpr_max"), "polimi": ("cross_entropy",)}[path.stem]
        assert grid == {*product(("one_hot", "content"), losses), ("shared", "cross_entropy")}
        return
    assert grid >= {*product(("one_hot", "embedding", "content", "content_mlp"), config.LOSSES[:3])}


def test_the_names_of_the_config_are_those_of_the_tables():
    assert tuple(inputs.INPUTS) == config.INPUT_FORMS
    assert tuple(losses.LOSSES) == config.LOSSES


def test_settings_resolve_study_then_loss_then_block_then_changes(load):
    study = load()
    plain = study.run("embedding", "cross_entropy", 1).training
    assert (plain.samples, plain.learning_rate, plain.logq, plain.hidden_units) == (5, 0.1, 1, (10,))
    bpr = study.run("embedding", "bpr", 1).training
    assert (bpr.samples, bpr.learning_rate, bpr.logq) == (6, 0.2, 0)
    wide = study.run("embedding", "bpr", 1, "wide").training
    assert (wide.samples, wide.learning_rate) == (6, 0.3)
    changed = study.run("embedding", "bpr", 1, "wide", learning_rate=0.4, batch_size=9).training
    assert (changed.samples, changed.learning_rate, changed.batch_size) == (6, 0.4, 9)
    assert study.run("embedding", "bpr", 1, "wide").training == study.runs[-1].training == wide


def test_the_grid_is_every_seed_loss_and_input_form_in_the_order_of_the_file(load):
    assert [run.name for run in load().runs] == [
        *("embedding-bpr-seed1", "content-bpr-seed1", "embedding-cross_entropy-seed1", "content-cross_entropy-seed1"),
        *("embedding-bpr-seed2", "content-bpr-seed2", "embedding-cross_entropy-seed2", "content-cross_entropy-seed2"),
        "embedding-bpr-wide-seed1",
    ]
    assert {run.study for run in load().runs} == {"made"}


def test_a_run_may_be_outside_the_grid_but_not_with_an_unknown_tag(load):
    assert load().run("shared", "top1", 7).name == "shared-top1-seed7"
    with pytest.raises(config.ConfigError, match=r"^made: tag: no block of `models` has the tag 'wid'$"):
        load().run("embedding", "bpr", 1, "wid")
    with pytest.raises(config.ConfigError, match=r"^made: settings of embedding, bpr: batch_size: .* \(given: 0\)$"):
        load().run("embedding", "bpr", 1, batch_size=0)


@pytest.mark.parametrize(
    ("base", "field"),
    [(EVENTS, f) for f in ("", "data.", "data.item_table.", "split.", "training.", "losses.bpr.", "models.0.")]
    + [(TWIN, "data."), (TWIN, "data.simulate."), (EVENTS | {"evaluation": {}}, "evaluation.")],
)
def test_an_unknown_field_is_named_at_every_level(load, tmp_path, base, field):
    with pytest.raises(config.ConfigError) as caught:
        load({f"{field}colour": 1}, base)
    place = f"{field}colour" if not field.startswith("losses") else "losses.bpr: colour"
    assert str(caught.value) == f"{tmp_path}/made.yaml: {place}: no such field; check its spelling or delete it"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"title": DELETE}, "title: is missing"),
        ({"title": 3}, "title: Input should be a valid string (given: 3)"),
        ({"name": "other"}, "name: a study has its file's name; delete the field"),
        ({"data.layout": "csv"}, "data: `layout` should be `mssd` or `events`"),
        ({"data.layout": DELETE}, "data: `layout` should be `mssd` or `events`"),
        ({"data.name": "../x"}, r"data.name: String should match pattern '^\w[\w.-]*$' (given: '../x')"),
        ({"data.events": []}, "data.events: needs at least one value (given: [])"),
        ({"data.position": "p"}, "data: name exactly one of `time` and `position`: it orders a session's events"),
        ({"data.time": DELETE}, "data: name exactly one of `time` and `position`: it orders a session's events"),
        ({"data.item_table": None}, "a form with content needs features; describe them in `data.item_table`"),
        (
            {"data.item_table": {"file": "i.tsv", "item": "i"}},
            "data.item_table: name a column in `numeric`, `categorical` or `multivalued`, or leave out `item_table`",
        ),
        (
            {"data.item_table.numeric": ["n", "t"]},
            "data.item_table: `t` is named twice among the features; a column is of one kind",
        ),
        (
            {"data.item_table.multivalued": {"c": ["t"]}},
            "data.item_table: `c` is named twice among the features; a column is of one kind",
        ),
        ({"split.how": "listed"}, "split: split `listed` needs `test` and nothing else"),
        ({"split.test": "x"}, "split: split `by_session` needs `test_fraction` and nothing else"),
        ({"split.test_fraction": 1.0}, "split.test_fraction: Input should be less than 1 (given: 1.0)"),
        ({"split.seed": -1}, "split.seed: Input should be greater than or equal to 0 (given: -1)"),
        ({"training": None}, "training: should be a mapping of fields (given: None)"),
        ({"training.negatives": "all"}, "training.negatives: should be a list, in brackets (given: 'all')"),
        (
            {"training.negatives": ["all", "sampled"]},
            "training: `negatives` is `all` alone, or `in_batch`, `sampled` or both",
        ),
        ({"training.negatives": []}, "training: `negatives` is `all` alone, or `in_batch`, `sampled` or both"),
        ({"training.samples": 0}, "training: `negatives: sampled` needs `samples` above 0"),
        ({"training.logq": True}, "training.logq: Input should be a valid number (given: True)"),
        ({"training.logq": 1.5}, "training.logq: Input should be less than or equal to 1 (given: 1.5)"),
        ({"training.hidden_units": []}, "training.hidden_units: needs at least one value (given: [])"),
        ({"training.mlp_units": [0]}, "training.mlp_units.0: Input should be greater than or equal to 1 (given: 0)"),
        (
            {"training.learning_rate": float("inf")},
            "training.learning_rate: Input should be a finite number (given: inf)",
        ),
        (
            {"losses.bpr": {"negatives": ["in_batch"], "batch_size": 1}},
            "losses.bpr: in-batch negatives need a `batch_size` above 1",
        ),
        # No run has this loss, but its settings are validated.
        ({"losses.top1": {"colour": 1}}, "losses.top1: colour: no such field; check its spelling or delete it"),
        (
            {"losses.hinge": {}},
            "losses.hinge: Input should be 'cross_entropy', 'bpr', 'bpr_max', 'top1' or 'top1_max' (given: 'hinge')",
        ),
        ({"models": []}, "models: needs at least one value (given: [])"),
        ({"models.0.seed": 1}, "models.0.seed: should be a list, in brackets (given: 1)"),
        (
            {"models.1.settings": {"colour": 1}},
            "made: settings of embedding, bpr: colour: no such field; check its spelling or delete it",
        ),
        (
            {"models": [BLOCK, BLOCK]},
            "`embedding-bpr-seed1` is listed twice; list every run and baseline once",
        ),
        (
            {"baselines": ["most_popular", "most_popular"]},
            "baseline `most_popular` is named twice; give one of the two another `tag`, or delete it",
        ),
        (
            {"baselines": ["markov", {"stan": {"neighbours": 0}}]},
            "baselines.1: stan: neighbours: Input should be greater than or equal to 1 (given: 0)",
        ),
        (
            {"baselines": [{"stan": {"colour": 1}}]},
            "baselines.0: stan: colour: no such field; check its spelling or delete it",
        ),
        (
            {"baselines": [{"stan": None}]},
            "baselines.0: stan: should be a mapping of its settings; for the defaults write `stan` alone",
        ),
        (
            {"baselines": ["stann"]},
            "baselines.0: no such baseline; give a name, or a name with its settings such as {stan: {neighbours: 1000}}"
            f"; known are {', '.join(baselines.BASELINES)} (given: 'stann')",
        ),
        (
            {"baselines": [{"stan": {"tag": "a", "neighbours": 1}}, {"stan": {"tag": "a"}}]},
            "baseline `stan-a` is named twice; give one of the two another `tag`, or delete it",
        ),
        ({"baselines": "stan"}, "baselines: should be a list, in brackets (given: 'stan')"),
        (
            {"models": [BLOCK, BLOCK | {"seed": [2], "settings": {"samples": 9}}]},
            "blocks of `models` with different `settings` need a different `tag` each",
        ),
        (
            {"evaluation": {"cutoffs": [5, 10]}},
            "evaluation.cutoffs: should be rising numbers with 20 among them, such as [5, 10, 20] (given: [5, 10])",
        ),
        (
            {"evaluation": {"cutoffs": [20, 10]}},
            "evaluation.cutoffs: should be rising numbers with 20 among them, such as [5, 10, 20] (given: [20, 10])",
        ),
    ],
)
def test_an_error_is_one_sentence(load, tmp_path, changes, told):
    with pytest.raises(config.ConfigError) as caught:
        load(changes)
    assert str(caught.value) == f"{tmp_path}/made.yaml: {told}"


GROUPS = {"audio": ["n"], "words": ["c", "m"]}
SOME = {"input_form": ["content"], "loss": ["bpr"], "features": ["audio"]}
WHOLE = {"input_form": ["embedding", "content"], "loss": ["bpr"]}


def with_groups(*blocks, groups=GROUPS):
    return {"features": groups, "models": [WHOLE, *blocks]}


def test_a_block_uses_some_groups_of_features_and_is_tagged_by_them(load):
    both = {"input_form": ["one_hot"], "output_form": ["hybrid"], "loss": ["bpr"], "features": ["words", "audio"]}
    named = SOME | {"features": ["words"], "tag": "lyrics", "settings": {"samples": 9}}
    study = load(with_groups(SOME, both, named))
    assert {run.name: run.features for run in study.runs} == {
        "embedding-bpr-seed1": None,
        "content-bpr-seed1": None,
        "content-bpr-audio-seed1": ("n",),
        "one_hot-to_hybrid-bpr-words_audio-seed1": ("c", "m", "n"),
        "content-bpr-lyrics-seed1": ("c", "m"),
    }
    assert study.runs[2].parameters == {"input_form": "content", "loss": "bpr", "seed": 1, "tag": "audio"}
    assert study.run("content", "top1", 3, "audio").features == ("n",), "outside the grid"
    assert study.run("embedding", "bpr", 1, "audio").features is None, "identity alone"
    assert [study.tags_of_control(tag) for tag in ("", "audio", "lyrics", "none")] == [
        {""},
        {"", "audio", "words_audio"},
        {"lyrics"},
        {"none"},
    ]
    assert study.uses_content
    assert not load({"models": [BLOCK]}).uses_content
    assert config.check(config.Study, study.model_dump(mode="json"), "again") == study


def test_ablations_are_the_pairs_of_cells_that_differ_only_in_their_features(load):
    words, small = SOME | {"features": ["words"], "seed": [1, 2]}, {"settings": {"hidden_units": 9}}
    others = [
        SOME | {"features": ["words", "audio"]},  # all columns, as without `features`
        SOME | {"tag": "small"} | small,
        SOME | {"loss": ["top1"]},
        SOME | {"output_form": ["hybrid"]},
    ]
    whole, audio, both = (("content", "ids", "bpr", tag) for tag in ("", "audio", "words_audio"))
    study = load(with_groups(SOME, words, *others))
    of_words = ("content", "ids", "bpr", "words")
    assert study.ablations == [(whole, audio), (whole, of_words), (audio, of_words), (audio, both), (of_words, both)]
    small_words = words | {"tag": "small_words"} | small
    names = [[cell[-1] for cell in pair] for pair in load(with_groups(*others, small_words)).ablations]
    assert names == [["small", "small_words"]]
    assert load(with_groups(groups={})).ablations == load(with_groups(others[0])).ablations == []


def test_a_changed_group_changes_the_settings_of_its_runs_alone(load):
    before = load(with_groups(SOME)).runs
    after = load(with_groups(SOME, groups={"audio": ["n", "c"]})).runs
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, True, False]
    assert load({"features": GROUPS}).runs == load().runs


def test_a_column_in_no_group_is_a_group_of_its_own(load):
    label = {"data.label": {"artist": "a"}, "data.label_features": ["artist"], "data.item_table.embedding": ["v"]}
    assert load(label).feature_groups == {name: (name,) for name in ("artist", "n", "v", "c", "m")}
    groups = {"words": ["m", "artist"], "n": ["n"]}
    assert load(label | {"features": groups}).feature_groups == {
        "words": ("m", "artist"),
        **{name: (name,) for name in ("n", "v", "c")},
    }
    mssd = load({"features": {"sound": ["tempo", "energy"]}}, TWIN).feature_groups
    assert mssd["sound"] == ("tempo", "energy")
    assert len(mssd) == 28 - 1


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            with_groups(groups={"audio": ["n", "tempo"]}),
            "features.audio: `tempo` is no column of the features; the features are n, c, m",
        ),
        # The columns of a multivalued feature are one feature.
        (with_groups(groups={"a": ["t"]}), "features.a: `t` is no column of the features; the features are n, c, m"),
        (
            {"features": {"a": ["x"]}, "models": [BLOCK], "data.item_table": None},
            "features.a: `x` is no column of the features; the data has no features",
        ),
        (
            with_groups(groups={"a": ["n", "c"], "b": ["m", "n"]}),
            "features.b: `n` is in `a` too; delete one of the two",
        ),
        (with_groups(groups={"a": ["n", "n"]}), "features.a: `n` is named twice; delete one of the two"),
        (
            with_groups(groups={"c": ["n"]}),
            "features.c: a column that is in no group has this name; rename the group",
        ),
        (with_groups(groups={"a": []}), "features.a: needs at least one value (given: [])"),
        (with_groups(groups={"a": "n"}), "features.a: should be a list, in brackets (given: 'n')"),
        (with_groups(groups=["n"]), "features: should be a mapping of fields (given: ['n'])"),
        (with_groups(groups={"A b": ["n"]}), "features.A b: String should match pattern '^[a-z0-9_]+$' (given: 'A b')"),
        (
            with_groups(SOME | {"features": ["audio", "artist"]}),
            "models.1.features: there is no group `artist`; known are audio, words",
        ),
        (
            {"models": [WHOLE, SOME]},
            "models.1.features: there is no group `audio`; the study names none",
        ),
        (
            with_groups(SOME | {"features": ["audio", "words", "audio"]}),
            "models.1.features: `audio` is named twice; delete one of the two",
        ),
        (with_groups(SOME | {"features": []}), "models.1.features: needs at least one value (given: [])"),
        (
            with_groups(SOME | {"features": "audio"}),
            "models.1.features: should be a list, in brackets (given: 'audio')",
        ),
        (
            with_groups(SOME | {"input_form": ["content", "one_hot"]}),
            "models.1.features: `one_hot` with the output form `ids` uses no features; put it in a block without "
            "`features`",
        ),
        (
            with_groups(SOME | {"tag": ""}),
            "models.1.tag: is empty; omit it for the names of the groups, or give another one",
        ),
        (
            with_groups(SOME | {"tag": "a"}, SOME | {"tag": "a", "features": ["words"]}),
            "blocks of `models` with different `features` need a different `tag` each",
        ),
        (
            with_groups() | {"audit": [SOME]},
            "audit: the paper's models use all features; leave out `features`",
        ),
    ],
)
def test_an_error_in_groups_of_features_is_one_sentence(load, tmp_path, changes, told):
    with pytest.raises(config.ConfigError) as caught:
        load(changes)
    assert str(caught.value) == f"{tmp_path}/made.yaml: {told}"


def test_a_split_by_time_needs_times(load):
    split = {"split": {"how": "by_time", "test_fraction": 0.2}}
    assert load(split).split.how == "by_time"
    for base in (TWIN, EVENTS | {"data": EVENTS["data"] | {"time": None, "position": "p"}}):
        with pytest.raises(config.ConfigError, match="split `by_time` needs events with a `time` column"):
            load(split, base)


def test_a_content_baseline_needs_its_features(load):
    ids = EVENTS | {"models": [BLOCK]}
    both = {"baselines": ["content_knn", "same_artist"]}
    assert load(both).baselines == (baselines.ContentKNN(), baselines.SameArtist())
    assert load({"baselines": ["content_knn"]}, TWIN).baselines == (baselines.ContentKNN(),)
    for changes, base in ((both, TWIN), (both | {"data.item_table.categorical": []}, EVENTS)):
        with pytest.raises(config.ConfigError, match="`same_artist` needs a `categorical` column"):
            load(changes, base)
    with pytest.raises(config.ConfigError, match="`content_knn` needs features"):
        load({"baselines": ["content_knn"], "data.item_table": None}, ids)
    named = {"data.item_table": None, "data.label": {"artist": "a"}, "data.label_features": ["artist"]}
    assert load(both | named).data.categories == ("artist",)


def test_label_features_are_labels_with_a_name_of_their_own(load):
    label = {"data.label": {"artist": "a", "size": "b"}}
    for names, told in (
        (["title"], "`label_features` names `title`, which is not in `label`; add it there"),
        (["artist", "artist"], "`label_features` names `artist`, a name that another feature has; rename the label"),
        (["size"], "`label_features` names `size`, a name that another feature has; rename the label"),
    ):
        table = {"data.item_table.numeric": ["size"]}
        with pytest.raises(config.ConfigError, match=re.escape(told)):
            load(label | table | {"data.label_features": names})


def test_a_baseline_has_settings_and_variants(load):
    long = {"stan": {"tag": "long", "neighbours": 1000, "time_decay": 100}}
    given = ["most_popular", long, "stan"]
    study = load({"baselines": given})
    assert study.baselines == (
        baselines.MostPopular(),
        baselines.STAN(tag="long", neighbours=1000, time_decay=100),
        baselines.STAN(),
    )
    assert [baseline.name for baseline in study.baselines] == ["most_popular", "stan-long", "stan"]
    assert study.model_dump(mode="json")["baselines"] == given


def test_a_study_of_data_alone_has_a_network_and_baselines(tmp_path):
    study = tmp_path / "mine.yaml"
    given = {name: EVENTS[name] for name in ("title", "data", "split")}
    without = {name: value for name, value in given["data"].items() if name != "item_table"}
    for data, outputs in ((given["data"], ["ids", "hybrid"]), (without, ["ids"])):
        study.write_text(yaml.safe_dump(given | {"data": data}))
        read = config.load_study(str(study), tmp_path)
        assert [(run.input_form, run.output_form, run.loss, run.seed) for run in read.runs] == [
            ("shared", output, "cross_entropy", 1) for output in outputs
        ]
        assert [baseline.name for baseline in read.baselines] == [
            "most_popular",
            "item_knn",
            "sequential_rules",
            "vstan",
        ]
        assert read.baselines[-1].time_decay == 320


def test_a_blend_names_baselines_that_score_few_tracks(load):
    base = {"baselines": ["most_popular", "stan", {"stan": {"tag": "long"}}]}
    study = load(base | {"blends": [{"of": ["stan"]}, {"of": ["stan", "stan-long"], "tag": "both"}]})
    assert [blend.name for blend in study.blends] == ["blend", "blend-both"]
    assert study.blend_seeds == (1,)
    assert load(base).blends == ()
    able = "a blend can take stan, stan-long"
    for blends, message in (
        ([{"of": ["sknn"]}], f"blends: `sknn` is no baseline of the study; {able}"),
        ([{"of": ["most_popular"]}], f"blends: `most_popular` scores every track; {able}"),
        ([{"of": ["stan", "stan"]}], "blends: `blend` names a baseline twice"),
        (
            [{"of": ["stan"]}, {"of": ["stan-long"]}],
            "blends: `blend` is named twice; give one of the two another `tag`",
        ),
    ):
        with pytest.raises(config.ConfigError, match=re.escape(message)):
            load(base | {"blends": blends})


def test_a_blend_needs_a_seed_that_every_block_has(load):
    blocks = [BLOCK | {"seed": [1, 3, 2]}, BLOCK | {"seed": [2, 3], "tag": "other"}]
    given = {"baselines": ["stan"], "blends": [{"of": ["stan"]}]}
    assert load(given | {"models": blocks}).blend_seeds == (2, 3)
    with pytest.raises(config.ConfigError, match="blends: no seed is common to all blocks of `models`"):
        load(given | {"models": [blocks[0], blocks[1] | {"seed": [4]}]})


def found(**settings):
    how = {"monitor": "val_recall_at_20", "value": 0.1, "epoch": None, "trials": 1, "pruned": 0, "space": "default"}
    return how | {"settings": settings, "seed": 1, "commit": "c"}


def test_a_baseline_takes_the_settings_that_a_search_chose(load, tmp_path):
    searched = {"study": "made", "cells": {}, "baselines": {"stan": found(neighbours=7), "stan-long": found(sample=9)}}
    (tmp_path / "best.yaml").write_text(yaml.safe_dump(searched))
    given = {"baselines": [{"stan": {"neighbours": 5, "sample": 6}}, {"stan": {"tag": "long"}}, "sknn"]}
    assert load(given | {"searched": "best.yaml"}).baselines == (
        baselines.STAN(neighbours=7, sample=6),
        baselines.STAN(tag="long", sample=9),
        baselines.SKNN(),  # not searched
    )
    (tmp_path / "best.yaml").write_text(yaml.safe_dump(searched | {"baselines": {"stan": found(neighbours=0)}}))
    with pytest.raises(config.ConfigError, match=r"made\.yaml: baselines\.0: searched: stan: neighbours: Input should"):
        load(given | {"searched": "best.yaml"})


CURVE = {"content_signal": [0, 0.25, 0.5]}


def test_a_study_at_another_setting_has_separate_names_and_data(load, tmp_path):
    study = load(CURVE, TWIN)
    other = config.load_study("made@0.25", tmp_path)
    assert other == study.variants[0.25] == config.load_study(f"{tmp_path}/made.yaml@0.25", tmp_path / "elsewhere")
    assert (other.name, other.data.name, other.title) == ("made@0.25", "twin@0.25", "hand-made, content_signal 0.25")
    assert (study.data.simulate.content_signal, other.data.simulate.content_signal) == (0.5, 0.25)
    assert other.content_signal == ()
    assert other.variants == {}
    assert [*study.variants] == [0, 0.25, 0.5]
    assert study.variants[0.5] is study
    assert {run.study for run in other.runs} == {"made@0.25"}
    assert [run.parameters for run in other.runs] == [run.parameters for run in study.runs]
    assert config.load_study("made@0", tmp_path).data.simulate.content_signal == 0


def test_a_setting_that_the_study_does_not_list_raises(load, tmp_path):
    load(CURVE, TWIN)
    with pytest.raises(config.ConfigError) as caught:
        config.load_study("made@0.3", tmp_path)
    told = "there is no variant `0.3`; known are 0, 0.25, 0.5 (content_signal)"
    assert str(caught.value) == f"{tmp_path}/made.yaml: {told}"


def test_a_curve_is_of_simulated_data_and_includes_the_studys_setting(load):
    told = "`content_signal` lists settings of `data.simulate.content_signal`, and that one too"
    for changes, base in ((CURVE, EVENTS), ({"content_signal": [0, 1]}, TWIN)):
        with pytest.raises(config.ConfigError, match=told):
            load(changes, base)
    with pytest.raises(config.ConfigError, match=r"content_signal\.1: .* less than or equal to 1"):
        load({"content_signal": [0.5, 1.5]}, TWIN)


WINDOWS = {"split": {"how": "by_time", "train_days": 9, "test_days": 2}, "windows": 3}


def test_a_study_in_several_windows_has_one_variant_each(load, tmp_path):
    study = load(WINDOWS)
    assert [*study.variants] == [1, 2, 3]
    assert study.variants[1] is study
    other = config.load_study("made@3", tmp_path)
    assert other == study.variants[3]
    assert (other.name, other.data, other.title) == ("made@3", study.data, "hand-made, window 3")
    assert (other.split.window, other.windows, other.variants) == (3, 1, {})
    with pytest.raises(config.ConfigError, match=r"there is no variant `4`; known are 1, 2, 3 \(windows\)"):
        config.load_study("made@4", tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"windows": 2}, "`windows` needs `train_days` and `test_days` in `split`, the days of each window"),
        (WINDOWS | {"windows": 0}, "windows: Input should be greater than or equal to 1"),
        (WINDOWS | {"split": WINDOWS["split"] | {"window": 4}}, "`split.window` should be at most `windows`"),
    ],
)
def test_windows_need_their_days(load, changes, message):
    with pytest.raises(config.ConfigError, match=message):
        load(changes)


def test_an_audit_is_of_the_papers_losses_with_settings_that_exist(load):
    assert load().audit == ()
    block = {"input_form": ["content"], "loss": ["bpr_max"], "settings": {"max_epochs": 2}}
    assert load({"audit": [block]}).audit[0].settings == {"max_epochs": 2}
    with pytest.raises(config.ConfigError, match="audit: the paper has no loss `top1`"):
        load({"audit": [block | {"loss": ["top1"]}]})
    with pytest.raises(config.ConfigError, match=r"audit\.settings: epochs: no such field"):
        load({"audit": [block | {"settings": {"epochs": 2}}]})


def test_every_error_of_a_file_is_reported(load):
    with pytest.raises(config.ConfigError) as caught:
        load({"title": DELETE, "split.colour": 1})
    assert [line.split(": ", 1)[1] for line in str(caught.value).splitlines()] == [
        "title: is missing",
        "split.colour: no such field; check its spelling or delete it",
    ]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"a: [", "not YAML: while parsing a flow node"),
        (b"\xff", "not YAML: "),
        (b"- 1", "a study is a mapping of fields"),
        (b"", "a study is a mapping of fields"),
    ],
)
def test_a_file_that_is_not_a_study_raises(tmp_path, content, told):
    (tmp_path / "s.yaml").write_bytes(content)
    with pytest.raises(config.ConfigError) as caught:
        config.load_study("s", tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}/s.yaml: {told}")


def test_an_unknown_study_is_reported_with_the_known_ones(tmp_path):
    (tmp_path / "a.yaml").touch()
    (tmp_path / "b.yaml").touch()
    with pytest.raises(config.ConfigError) as caught:
        config.load_study("c", tmp_path)
    assert str(caught.value) == f"{tmp_path}/c.yaml: there is no such study; known are a, b"


def test_a_checked_study_is_frozen(load):
    with pytest.raises(ValueError, match="frozen"):
        load().training.samples = 7


def test_parameters_identify_a_run_seed_0_too():
    study = config.load_study("toy", FOLDER)
    assert study.run("content", "bpr", 0).parameters == {"input_form": "content", "loss": "bpr", "seed": 0}
    study = config.load_study("twin_mini_as_published", FOLDER)
    assert study.run("embedding", "cross_entropy", 1, "d50").parameters["tag"] == "d50"


@pytest.mark.parametrize(
    ("given", "quote"), [(None, "none"), ("none", "none"), ("auto", "auto"), ('"', '"'), ("'", "'")]
)
def test_a_quotation_mark_is_one_mark_or_none(given, quote):
    table = config.check(config.ItemTable, {"file": "i", "item": "i", "numeric": ["n"], "quote": given}, "x")
    assert table.quote == quote
    assert config.check(config.ItemTable, table.model_dump(mode="json"), "x") == table


@pytest.mark.parametrize("given", ["", '""', "a", "1", " ", ",", "\t", "“", 1, ["'"]])
def test_an_invalid_quotation_mark_raises(given):
    with pytest.raises(config.ConfigError, match=r"^x: quote: "):
        config.check(config.ItemTable, {"file": "i", "item": "i", "numeric": ["n"], "quote": given}, "x")


def test_a_study_file_may_end_in_capitals(tmp_path):
    (tmp_path / "My.YML").write_text((FOLDER / "toy.yaml").read_text(encoding="utf-8"))
    assert config.load_study(str(tmp_path / "My.YML"), FOLDER).name == "My"
