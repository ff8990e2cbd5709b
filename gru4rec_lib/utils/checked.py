"""The base of every checked setting: unknown fields are errors, and a problem is one sentence that names its place."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import numpy as np
import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from gru4rec_lib.utils.text import shown

_MOST_VALUES = 10_000  # in a file of settings; lists of lists of aliases grow past any memory


def _no_truth_or_fraction(value):
    if isinstance(value, bool | np.bool_ | float | np.floating):
        raise ValueError("should be a whole number")
    return operator.index(value) if hasattr(value, "__index__") else value  # NumPy's too; texts are read


Whole = Annotated[int, BeforeValidator(_no_truth_or_fraction)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(strict=True, ge=0, le=1)]  # true and false are no numbers here
Count = Annotated[Whole, Field(ge=1)]
Seed = Annotated[Whole, Field(ge=0, lt=2**31)]
# Names become folders, and words of a command line.
Name = Annotated[str, Field(pattern=r"^\w[\w.-]*$")]


def _not_empty(values: tuple) -> tuple:
    if not values:
        raise ValueError("needs at least one value")
    return values


Some = AfterValidator(_not_empty)
# One number is a list of one.
Counts = Annotated[
    tuple[Count, ...], BeforeValidator(lambda n: (n,) if isinstance(n, int | float | np.number) else n), Some
]


class ConfigError(ValueError):
    """A study or a notebook's parameters are wrong; the message names the place and the remedy."""


class DataError(ValueError):
    """The raw files are wrong; each line of the message names file, line, column, problem and remedy."""


class Strict(BaseModel):
    """A model that forbids unknown fields and never changes after it was checked."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _Plain(yaml.SafeLoader):
    """YAML of a bounded size, in which a field that is given twice is an error, not silently the last of the two."""

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
                str(value)  # a number of 0x and thousands of digits can be read, but never be told
        except (ArithmeticError, AttributeError, LookupError, ValueError):  # a month 13, `!!bool maybe`
            where = f"line {node.start_mark.line + 1}: cannot read `{shown(str(node.value), 40)}`"
            raise yaml.YAMLError(f"{where} as a number or a date; mend it or put it in quotation marks") from None
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
    """How many values a node is with every alias written out; without end where it holds itself."""
    if id(node) not in known:
        known[id(node)] = math.inf
        parts = node.value if isinstance(node, yaml.CollectionNode) else ()
        parts = itertools.chain.from_iterable(parts) if isinstance(node, yaml.MappingNode) else parts
        known[id(node)] = 1 + sum(_size(part, known) for part in parts)
    return known[id(node)]


def check(kind: type[Strict], fields: dict, place: str | Path):
    """Build `kind` from fields, or say in one sentence a problem what is wrong and where.

    Args:
        kind: the class to build.
        fields: its fields.
        place: named in the message, such as the file's path.

    Returns:
        An object of that class.

    Raises:
        ConfigError: with every problem, one a line.
    """
    with one_sentence_each(place):
        return kind.model_validate(fields)


@contextmanager
def one_sentence_each(place: str | Path) -> Iterator[None]:
    """Raise pydantic's problems as one sentence each.

    Args:
        place: named in the message, such as the file's path.

    Raises:
        ConfigError: with every problem, one a line.
    """
    try:
        yield
    except ValidationError as error:
        lines = [(_field(e["loc"]), line) for e in error.errors() for line in _say(e).split("\n")]
        raise ConfigError("\n".join(": ".join(filter(None, (str(place), *line))) for line in lines)) from None


def read_mapping(path: Path, missing: str, otherwise: str) -> dict:
    """The fields of a YAML file, not checked yet.

    Args:
        path: the file.
        missing: said where there is no such file.
        otherwise: said where it is no mapping of fields.

    Returns:
        The fields by name.

    Raises:
        ConfigError: one of those, or the file cannot be read, is not YAML, or gives a field twice.
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
    """A field's path as the file has it: pydantic puts the layout behind `data`, and `[key]` behind a wrong key."""
    names = [str(name) for n, name in enumerate(loc) if name != "[key]" and not (n == 1 and loc[0] == "data")]
    return shown(".".join(names), 100)


def _say(error: dict) -> str:
    kind, given = error["type"], error["input"]
    said = _SAID.get(kind) or error["msg"].removeprefix("Value error, ")
    said = "\n".join(shown(line, 300) for line in said.split("\n"))
    # Of a whole mapping nothing is shown: it would bury the sentence.
    return said if kind == "extra_forbidden" or isinstance(given, dict) else f"{said} (given: {shown(repr(given), 80)})"


_SAID = {
    "extra_forbidden": "no such field; check its spelling or delete it",
    "missing": "is missing",
    "invalid_key": "a field's name should be a text; put it in quotation marks or delete it",
    "tuple_type": "should be a list, in brackets",
    "dict_type": "should be a mapping of fields",
    "model_type": "should be a mapping of fields",
    "union_tag_invalid": "`layout` should be `mssd` or `events`",
    "union_tag_not_found": "`layout` should be `mssd` or `events`",
}
