"""The house rule of docstrings, held for whatever is public in the library.

A purpose; every argument under `Args:`; what is returned, unless the purpose tells it. What follows the contract of
another may say "as `that`" or "see `that`" instead, where `that` tells it.
"""

import ast
import inspect
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "gru4rec_lib"
MODULES = sorted(PACKAGE.rglob("*.py"))
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef
KERAS = "Keras' call"  # a hook or a method of Keras, told in Keras' documentation
FIGURE = "Show "  # gives the figure that shows it
SHORT = 8  # lines of code, for which a purpose that names a thing tells what comes out
# A purpose that begins so tells what is done, not what comes out.
DOING = re.compile(
    "(Add|Build|Call|Count|Cut|Draw|Fit|Found|Give|Go|Join|Keep|Lay|Learn|Look|Make|Measure|Open|Prepare|Rank|Read|Sort|"
    "Take|Train|Turn|Unpack|Weigh|Write) "
)


def sections_of(text):
    """The description, and the body of each section by its name."""
    parts = re.split(r"^(Args|Returns|Yields|Raises):\n", inspect.cleandoc(text) + "\n", flags=re.MULTILINE)
    return parts[0], dict(zip(parts[1::2], parts[2::2], strict=True))


def names_told(section):
    """Names told in a section: `a: ...`, or several at once, `a, b: ...`."""
    heads = re.findall(r"^    (\*{0,2}\w+(?:, \w+)*): \S", section, flags=re.MULTILINE)
    return {name.lstrip("*") for head in heads for name in head.split(", ")}


def arguments_of(node):
    """Names of the arguments of a function; of a class those of its constructor, or else its fields."""
    if isinstance(node, ast.ClassDef):
        for method in node.body:
            if isinstance(method, FUNCTION) and method.name == "__init__":
                return arguments_of(method)
        fields = [part.target.id for part in node.body if isinstance(part, ast.AnnAssign)]
        return [name for name in fields if not name.startswith("_")]
    given = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    return [name for name in given if name not in ("self", "cls")]


def gives(node):
    """Whether a function returns or yields a value; functions within it are not looked at."""
    waiting = list(node.body)
    while waiting:
        part = waiting.pop()
        if isinstance(part, ast.Yield | ast.YieldFrom) or (isinstance(part, ast.Return) and part.value is not None):
            return True
        if not isinstance(part, FUNCTION | ast.Lambda | ast.ClassDef):
            waiting += ast.iter_child_nodes(part)
    return False


def public(tree):
    """Public classes and functions of a module, and public methods of such classes, by name."""
    found = {}
    for node in tree.body:
        if isinstance(node, FUNCTION | ast.ClassDef) and not node.name.startswith("_"):
            found[node.name] = node
            for part in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(part, FUNCTION) and not part.name.startswith("_"):
                    found[f"{node.name}.{part.name}"] = part
    return found


LIBRARY = {
    path.relative_to(PACKAGE).with_suffix("").as_posix(): public(ast.parse(path.read_text(encoding="utf-8")))
    for path in MODULES
}


def followed(purpose, module, name, library):
    """Docstrings that one says it follows: of a function, a method, or the method of the same name in a class."""
    own = name.rpartition(".")[2]
    for place in re.findall(r"\b(?:as|see) `([\w.]+)`", purpose, flags=re.IGNORECASE):
        named, _, rest = place.partition(".")
        nearest = [(library[module], place), *((nodes, place) for nodes in library.values())]
        in_named = [(nodes, rest) for key, nodes in library.items() if key.rpartition("/")[2] == named and rest]
        for nodes, path in in_named or nearest:
            found = nodes.get(f"{path}.{own}") or nodes.get(path)
            if found is not None:
                yield ast.get_docstring(found) or ""
                break


def faults(module, name, node, library):
    """What a docstring leaves untold."""
    text = ast.get_docstring(node)
    if not text:
        return [f"{name} has no docstring"]
    if text.startswith(KERAS) and "." in name:
        return []
    purpose, sections = sections_of(text)
    others = [sections_of(other)[1] for other in followed(purpose, module, name, library)]
    told = set().union(*(names_told(part.get("Args", "")) for part in (sections, *others)))
    untold = [argument for argument in arguments_of(node) if argument not in told]
    found = [f"{name} does not tell its {', '.join(untold)}"] if untold else []
    if isinstance(node, ast.ClassDef) or not gives(node):
        return found
    if any({"Returns", "Yields"} & part.keys() for part in (sections, *others)):
        return found
    code = node.end_lineno - node.body[0].end_lineno
    is_property = any("property" in ast.unparse(mark) for mark in node.decorator_list)
    names_it = not DOING.match(purpose) and "\n" not in purpose.split("\n\n")[0].strip()
    names_it &= code <= SHORT or is_property or purpose.startswith(FIGURE)
    return found if names_it else [*found, f"{name} does not tell what it returns"]


@pytest.mark.parametrize("module", LIBRARY)
def test_what_is_public_tells_its_arguments_and_what_it_returns(module):
    assert [fault for name, node in LIBRARY[module].items() for fault in faults(module, name, node, LIBRARY)] == []


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("def f(a): pass", "f has no docstring"),
        ('def f(a):\n    """Do it."""', "f does not tell its a"),
        ('def f(a):\n    """Do it.\n\n    Args:\n        b: another.\n    """', "f does not tell its a"),
        ('def f():\n    """Read it."""\n    return 1', "f does not tell what it returns"),
        ('def f():\n    """A number."""\n' + "    print()\n" * 9 + "    return 1", "f does not tell what it returns"),
        ('class C:\n    """A thing."""\n    def __init__(self, a): pass', "C does not tell its a"),
        ('class C:\n    """A thing."""\n    a: int', "C does not tell its a"),
        ('class C:\n    """A thing."""\n    def m(self, a):\n        """See `m`."""', "C.m does not tell its a"),
    ],
)
def test_the_rule_finds_what_it_looks_for(source, fault):
    nodes = public(ast.parse(source))
    assert [found for name, node in nodes.items() for found in faults("m", name, node, {"m": nodes})] == [fault]


@pytest.mark.parametrize(
    "source",
    [
        "def _f(a): pass",
        'def f(a, b):\n    """The sum.\n\n    Args:\n        a, b: numbers.\n    """\n    return a + b',
        'def f(*a, **b):\n    """Nothing."""',
        'def f():\n    """Read it.\n\n    Returns:\n        A number.\n    """\n    return 1',
        'class C:\n    """A thing."""\n    def on_epoch_end(self, epoch):\n        """Keras\' call."""',
        'def f(a):\n    """A sum.\n\n    Args:\n        a: a number.\n    """\ndef g(a):\n    """As `f`, faster."""',
    ],
)
def test_the_rule_lets_be_what_is_told(source):
    nodes = public(ast.parse(source))
    assert [found for name, node in nodes.items() for found in faults("m", name, node, {"m": nodes})] == []
