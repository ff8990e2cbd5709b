"""Columns that several tables have in common."""

# ruff: noqa: RUF012 - pandas takes lists

# Columns of tables that have the labels of items too.
BESIDE_LABELS = ("session", "item", "plays", "score", "source")


class Columns:
    """Lists of columns by what they identify."""

    MODEL = ["model", "input_form", "output_form", "loss", "tag"]  # a baseline has a name alone
    RUN = ["input_form", "output_form", "loss", "seed", "tag"]
    EVENT = ["session", "position"]
    TARGET = ["protocol", *EVENT, "target", "n_candidates"]
