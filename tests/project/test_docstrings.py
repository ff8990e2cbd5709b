"""Public docstrings describe every argument; ruff requires the docstrings themselves.

Not needed: `workspace`, which class Workspace describes; arguments of a function that names another one by "as `that`"
or "see `that`"; those of Keras' own methods. ruff's D417 knows neither these cases nor fields of classes.
"""

import ast
import inspect
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "gru4rec_lib"
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef
ELSEWHERE = re.compile(r"\b(as|see) `|\AKeras' call", re.IGNORECASE)
DESCRIBED_ONCE = {"self", "cls", "workspace"}


def arguments_of(node):
    """List the arguments of a function; of a class, those of its constructor, or else its fields."""
    if isinstance(node, ast.ClassDef):
        constructor = next((part for part in node.body if getattr(part, "name", "") == "__init__"), None)
        if constructor:
            return arguments_of(constructor)
        fields = [part.target.id for part in node.body if isinstance(part, ast.AnnAssign)]
        return [name for name in fields if not name.startswith("_")]
    given = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    return [name for name in given if name not in DESCRIBED_ONCE]


def public(node):
    """Yield the public classes and functions of a module or class."""
    for part in node.body:
        if isinstance(part, FUNCTION | ast.ClassDef) and not part.name.startswith("_"):
            yield part
            yield from public(part) if isinstance(part, ast.ClassDef) else ()


def undescribed(source):
    """Return public functions and classes with arguments that their docstrings do not describe."""
    found = {}
    for node in public(ast.parse(source)):
        text = inspect.cleandoc(ast.get_docstring(node) or "")
        section = re.search(r"^Args:\n(.*?)(^\S|\Z)", text, re.MULTILINE | re.DOTALL)
        heads = re.findall(r"^    (\*{0,2}\w+(?:, \w+)*): \S", section[1] if section else "", re.MULTILINE)
        described = {name.lstrip("*") for head in heads for name in head.split(", ")}
        missing = [name for name in arguments_of(node) if name not in described]
        if missing and not ELSEWHERE.search(text):
            found[node.name] = missing
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_argument_is_described(path):
    assert undescribed(path.read_text(encoding="utf-8")) == {}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('def f(a):\n    """Do it."""', {"f": ["a"]}),
        ('def f(a):\n    """Do it.\n\n    Args:\n        b: another.\n    """', {"f": ["a"]}),
        ('def f(a):\n    """Do it.\n\n    Raises:\n        a: is no argument.\n    """', {"f": ["a"]}),
        ('class C:\n    """A thing."""\n    def __init__(self, a): pass', {"C": ["a"]}),
        ('class C:\n    """A thing."""\n    a: int', {"C": ["a"]}),
        ('class C:\n    """A thing."""\n    def m(self, a):\n        """Do it."""', {"m": ["a"]}),
        ("def _f(a): pass", {}),
        ('def f(a, b):\n    """Sum.\n\n    Args:\n        a, b: numbers.\n    """', {}),
        ('def f(workspace):\n    """Do it."""', {}),
        ('def g(a):\n    """As `f`, faster."""', {}),
        ('class C:\n    """A thing."""\n    def on_epoch_end(self, epoch):\n        """Keras\' call."""', {}),
    ],
)
def test_the_rule_by_hand(source, expected):
    assert undescribed(source) == expected
