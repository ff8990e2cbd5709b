"""From checked settings to a compiled model."""

from __future__ import annotations

from collections.abc import Callable

from gru4rec_lib.data.features import Features
from gru4rec_lib.training.gru4rec import GRU4Rec
from gru4rec_lib.training.settings import Cell


def build(cell: Cell, n_items: int, features: Features | dict | None, loss: Callable | None = None) -> GRU4Rec:
    """Return the untrained, compiled model of a cell.

    Args:
        cell: its forms, loss, seed and settings.
        n_items: training items.
        features: as for `GRU4Rec`.
        loss: a function in place of the cell's loss, as for `compile`.

    Returns:
        The model, its first weights drawn by the cell's seed.
    """
    settings = cell.training
    model = GRU4Rec(
        n_items,
        cell.input_form,
        output_form=cell.output_form,
        cell=settings.cell,
        hidden_units=settings.hidden_units,
        hidden_activation=settings.hidden_activation,
        embedding_units=settings.embedding_units,
        mlp_units=settings.mlp_units,
        dropout_input=settings.dropout_input,
        dropout_hidden=settings.dropout_hidden,
        dropout_state=settings.dropout_state,
        features=features,
        seed=cell.seed,
    )
    passed_on = (
        "optimizer learning_rate momentum negatives samples sample_alpha logq score_activation elu_alpha "
        "bpr_max_regularization label_smoothing clip_norm l2 mixed_precision jit"
    )
    model.compile(loss=loss or cell.loss, **{name: getattr(settings, name) for name in passed_on.split()})
    return model
