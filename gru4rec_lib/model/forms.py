"""The input and output forms by name: the one list of them, which settings and studies read without TensorFlow."""

from __future__ import annotations

from typing import NamedTuple


class Form(NamedTuple):
    """An entry of a registry.

    Args:
        layer: name of its class, of an input form in `model.inputs`, of an output form in `model.outputs`.
        needs_features: whether it reads the features of items.
    """

    layer: str
    needs_features: bool = False


INPUT_FORMS = {
    "one_hot": Form("OneHot"),
    "embedding": Form("Embedding"),
    "shared": Form("Shared"),
    "content": Form("Content", needs_features=True),
    "content_mlp": Form("ContentMLP", needs_features=True),
    "hybrid_concat": Form("HybridConcat", needs_features=True),
    "hybrid_gate": Form("HybridGate", needs_features=True),
}
OUTPUT_FORMS = {
    "ids": Form("Scorer"),
    "content": Form("ContentScorer", needs_features=True),
    "hybrid": Form("HybridScorer", needs_features=True),
}
WITH_CONTENT = {name for name, form in (*INPUT_FORMS.items(), *OUTPUT_FORMS.items()) if form.needs_features}
