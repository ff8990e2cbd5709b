"""From checked settings to a compiled model."""

from __future__ import annotations

from collections.abc import Callable

from gru4rec_lib.data.features import Features
from gru4rec_lib.training.gru4rec import GRU4Rec
from gru4rec_lib.training.settings import Cell, CompileSettings, NetworkSettings


def build(cell: Cell, n_items: int, features: Features | dict | None, loss: Callable | None = None) -> GRU4Rec:
    """Return the untrained, compiled model of a cell, its first weights drawn by the cell's seed.

    Args:
        cell: its forms, loss, seed and settings.
        n_items: training items.
        features: as for `GRU4Rec`.
        loss: a function in place of the cell's loss, as for `compile`.
    """
    forms = {"input_form": cell.input_form, "output_form": cell.output_form}
    model = GRU4Rec(n_items, **forms, features=features, seed=cell.seed, **cell.training.part(NetworkSettings))
    model.compile(loss=loss or cell.loss, **cell.training.part(CompileSettings))
    return model
