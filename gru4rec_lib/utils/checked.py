"""Base class of all settings: unknown fields are errors, and each problem is one sentence that names its place."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import numpy as np
import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from gru4rec_lib.utils.text import shown

_MOST_VALUES = 10_000  # in a file of settings; nested YAML aliases could otherwise exhaust the memory


def _no_truth_or_fraction(value):
    if isinstance(value, bool | np.bool_ | float | np.floating):
        raise ValueError("should be a whole number")
    return operator.index(value) if hasattr(value, "__index__") else value  # also NumPy's; pydantic parses texts


def _no_truth(value):
    if isinstance(value, bool | np.bool_):
        raise ValueError("Input should be a valid number")
    return value


Whole = Annotated[int, BeforeValidator(_no_truth_or_fraction)]
Number = Annotated[float, BeforeValidator(_no_truth)]  # True and False are not numbers here
Fraction = Annotated[Number, Field(gt=0, lt=1)]
Rate = Annotated[Number, Field(ge=0, lt=1)]
Share = Annotated[float, Field(strict=True, ge=0, le=1), BeforeValidator(_no_truth)]  # no text either
Count = Annotated[Whole, Field(ge=1)]
Seed = Annotated[Whole, Field(ge=0, lt=2**31)]
# Names are used as folders and on command lines.
Name = Annotated[str, Field(pattern=r"^\w[\w.-]*$")]


def _not_empty(values: tuple) -> tuple:
    if not values:
        raise ValueError("needs at least one value")
    return values


Some = AfterValidator(_not_empty)
# A single number becomes a list of one.
Counts = Annotated[
    tuple[Count, ...], BeforeValidator(lambda n: (n,) if isinstance(n, int | float | np.number) else n), Some
]


class ConfigError(ValueError):
    """A study or a notebook's parameters are wrong; the message names the place and the remedy."""


class DataError(ValueError):
    """Raw files are wrong; each line of the message names file, line, column, problem and remedy."""


class Strict(BaseModel):
    """A pydantic model that forbids unknown fields and is frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _Plain(yaml.SafeLoader):
    """A YAML loader that limits the number of values and raises if a field is given twice."""

    def get_single_node(self):
        node = super().get_single_node()
        if node and _size(node, {}) > _MOST_VALUES:
            raise yaml.YAMLError(
                f"holds more than {_MOST_VALUES:,} values, each counted as often as `*` repeats it; shorten it"
            )
        return node

    def construct_object(self, node, deep=False):
        try:
            value = super().construct_object(node, deep)
            if isinstance(value, int):
                str(value)  # fails for hexadecimal numbers of thousands of digits, which messages could not show
        except (ArithmeticError, AttributeError, LookupError, ValueError):  # such as a month 13, or `!!bool maybe`
            where = f"line {node.start_mark.line + 1}: cannot read `{shown(str(node.value), 40)}`"
            raise yaml.YAMLError(f"{where} as a number or a date; correct it or put it in quotation marks") from None
        return value

    def construct_mapping(self, node, deep=False):
        merge = "tag:yaml.org,2002:merge"
        pairs = node.value if isinstance(node, yaml.MappingNode) else ()
        keys = [self.construct_object(key, deep=True) for key, _ in pairs if key.tag != merge]
        twice = next((key for n, key in enumerate(keys) if key in keys[:n]), None)
        if twice is not None:
            raise yaml.YAMLError(f"line {node.start_mark.line + 1}: `{shown(str(twice))}` is given twice; keep one")
        return super().construct_mapping(node, deep)


def _size(node: yaml.Node, known: dict[int, float]) -> float:
    """Count the values of a node with aliases expanded; infinite if a node contains itself."""
    if id(node) not in known:
        known[id(node)] = math.inf
        parts = node.value if isinstance(node, yaml.CollectionNode) else ()
        parts = itertools.chain.from_iterable(parts) if isinstance(node, yaml.MappingNode) else parts
        known[id(node)] = 1 + sum(_size(part, known) for part in parts)
    return known[id(node)]


def check(kind: type[Strict], fields: dict, place: str | Path):
    """Return an object of `kind`, created from its fields.

    Args:
        kind: the class.
        fields: its fields.
        place: named in messages, such as the file's path.

    Raises:
        ConfigError: fields are wrong; the message has one sentence and line per problem.
    """
    with one_sentence_each(place):
        return kind.model_validate(fields)


@contextmanager
def one_sentence_each(place: str | Path) -> Iterator[None]:
    """Convert a pydantic error to a ConfigError with one sentence per problem.

    Args:
        place: named in the message, such as the file's path.

    Raises:
        ConfigError: with all problems, one per line.
    """
    try:
        yield
    except ValidationError as error:
        # A default that depends on a wrong field is no problem of its own.
        errors = [one for one in error.errors() if one["type"] != "default_factory_not_called"]
        lines = [": ".join(filter(None, (str(place), line))) for line in sentences(errors)]
        raise ConfigError("\n".join(lines)) from None


def sentences(errors: Iterable[dict]) -> list[str]:
    """Write pydantic's errors as sentences: field, problem, and the value given.

    Args:
        errors: as `ValidationError.errors` gives them.
    """
    lines = [(_field(error["loc"]), line) for error in errors for line in _sentence(error).split("\n")]
    return [": ".join(filter(None, line)) for line in lines]


def read_mapping(path: Path, missing: str, otherwise: str) -> dict:
    """Return the fields of a YAML file by name, without checking them.

    Args:
        path: the file.
        missing: message if there is no such file.
        otherwise: message if the file is not a mapping of fields.

    Returns:
        The fields.

    Raises:
        ConfigError: there is no such file, or it cannot be read, is not YAML or not a mapping, or gives a field twice.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: {missing}")
    try:
        fields = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=_Plain)
    except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: not UTF-8
        kind = "cannot be read" if isinstance(error, OSError) else "not YAML"
        raise ConfigError(f"{path}: {kind}: {shown(' '.join(str(error).split()), 250)}") from None
    if not isinstance(fields, dict):
        raise ConfigError(f"{path}: {otherwise}")
    return fields


def _field(loc: tuple) -> str:
    """Return a field's path as in the file: pydantic adds the layout after `data`, and `[key]` after a wrong key."""
    names = [str(name) for n, name in enumerate(loc) if name != "[key]" and not (n == 1 and loc[0] == "data")]
    return shown(".".join(names), 100)


def _sentence(error: dict) -> str:
    kind, given = error["type"], error["input"]
    text = _SENTENCES.get(kind) or error["msg"].removeprefix("Value error, ")
    text = "\n".join(shown(line, 300) for line in text.split("\n"))
    # A whole mapping would be too long to show.
    return text if kind == "extra_forbidden" or isinstance(given, dict) else f"{text} (given: {shown(repr(given), 80)})"


_SENTENCES = {
    "extra_forbidden": "no such field; check its spelling or delete it",
    "missing": "is missing",
    "invalid_key": "a field's name should be a text; put it in quotation marks or delete it",
    "tuple_type": "should be a list, in brackets",
    "dict_type": "should be a mapping of fields",
    "model_type": "should be a mapping of fields",
    "union_tag_invalid": "`layout` should be `mssd` or `events`",
    "union_tag_not_found": "`layout` should be `mssd` or `events`",
}
