"""The boxes of the model's diagram (figure 1 of the course paper), with the sizes of a study."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from gru4rec_lib.config.study import INPUT_FORMS, MssdData, Study, Training


def diagram_of(study: Study) -> pd.DataFrame:
    """List the boxes of the model with the input forms, sizes and features of a study; see `model_diagram`.

    Args:
        study: the study.
    """
    if isinstance(study.data, MssdData):
        content = "28 standardised features"
    else:
        table = study.data.item_table
        listed = (*table.numeric, *table.categorical, *table.multivalued) if table else ()
        content = ", ".join((*study.data.label_features, *listed)) or "none"
    used = {run.input_form for run in study.runs}
    return model_diagram(study.training, content, [form for form in INPUT_FORMS if form in used])


def model_diagram(
    training: Training,
    content: str = "features of the track",
    input_forms: Iterable[str] = ("one_hot", "embedding", "content", "content_mlp"),
) -> pd.DataFrame:
    """List the boxes of the model (figure 1 of the course paper) with the sizes of a study.

    Args:
        training: the study's settings.
        content: a description of the content features, such as "28 standardised features".
        input_forms: the alternatives to show, in this order.

    Returns:
        One row a box. Columns: order (int64, 1 for the input; boxes of the same order are alternatives), label, detail.
    """
    inputs = {
        "one_hot": "a learned row of the GRU for each track",
        "embedding": f"{training.embedding_units} learned numbers for each track",
        "shared": "the same row that scores the track",
        "content": content,
        "content_mlp": f"{content}, dense {'+'.join(map(str, training.mlp_units))}, relu",
        "hybrid_concat": f"{training.embedding_units} learned numbers beside {content}",
        "hybrid_gate": f"a learned gate between {training.embedding_units} learned numbers and {content}",
    }
    boxes = [
        (1, "input track", "the one now playing"),
        *((2, form, inputs[form]) for form in input_forms),
        (3, training.cell.upper(), f"{'+'.join(map(str, training.hidden_units))} units"),
        (4, "dropout", f"{100 * training.dropout_hidden:g} % of the units, in training only"),
        (5, "scores", "one for every track of the catalogue"),
    ]
    return pd.DataFrame(boxes, columns=["order", "label", "detail"])
