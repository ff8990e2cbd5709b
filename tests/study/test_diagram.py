"""The boxes of the model's diagram."""

from pathlib import Path

from gru4rec_lib.config.study import Training, load_study
from gru4rec_lib.study import diagram


def test_model_diagram_has_the_sizes_of_the_study():
    training = Training(hidden_units=(7, 6), embedding_units=5, mlp_units=(3, 2), dropout_hidden=0.25)
    frame = diagram.model_diagram(training, "28 features").set_index("label")
    assert frame["order"].to_dict() == {
        "input track": 1,
        "one_hot": 2,
        "embedding": 2,
        "content": 2,
        "content_mlp": 2,
        "GRU": 3,
        "dropout": 4,
        "scores": 5,
    }
    assert list(diagram.model_diagram(training, input_forms=("shared",))["order"]) == [1, 2, 3, 4, 5]
    assert frame["detail"]["embedding"] == "5 learned numbers for each track"
    assert frame["detail"]["content"] == "28 features"
    assert frame["detail"]["content_mlp"] == "28 features, dense 3+2, relu"
    assert frame["detail"]["GRU"] == "7+6 units"
    assert frame["detail"]["dropout"] == "25 % of the units, in training only"


def test_the_diagram_of_a_study_names_its_input_forms_and_features():
    study = load_study("thirty_music", Path(__file__).resolve().parents[2] / "config")
    boxes = diagram.diagram_of(study).set_index("label")
    assert boxes.index.tolist()[1:-3] == ["one_hot", "shared", "content"]
    assert boxes.loc["content", "detail"] == "ArtistId, tags"
    study = load_study("spotify_listeners", Path(__file__).resolve().parents[2] / "config")
    assert diagram.diagram_of(study).set_index("label").loc["content", "detail"].startswith("artist, danceability")
    study = load_study("toy", Path(__file__).resolve().parents[2] / "config")
    assert diagram.diagram_of(study).set_index("label").loc["content", "detail"] == "28 standardised features"
