"""GRU4Rec in Keras, and the study of content features for next-track recommendation.

The public names are loaded when they are first used, so that `import gru4rec_lib` costs nothing.
"""

import importlib

__version__ = "0.1.0"
# Public names, and the module that holds each; a name that is a module itself is that module's.
PUBLIC = {
    "Features": "data.features",
    "GRU4Rec": "training.gru4rec",
    "Recommender": "serving.recommender",
    "Sessions": "data.sessions",
    "baselines": "baselines",
    "losses": "training.losses",
    "metrics": "ranking.metrics",
}
__all__ = ["PUBLIC", "__version__", *PUBLIC]  # all of them are texts


def __getattr__(name: str):
    if name not in PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; known are {', '.join(PUBLIC)}")
    module = importlib.import_module(f"{__name__}.{PUBLIC[name]}")
    return module if PUBLIC[name].endswith(name) else getattr(module, name)


def __dir__():
    return sorted([*globals(), *PUBLIC])
