"""Notebooks are thin and stripped; the library does the work.

Every rule is a line of `problems`, and a notebook that breaks it is shown to be caught.
"""

import ast
import io
import re
import tokenize
from pathlib import Path

import nbformat
import papermill
import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))
KERNEL = {"name": "python3", "language": "python"}  # comes with ipykernel; papermill asks for the language
MOST_LINES = 12  # of a code cell
MOST_FUNCTION_LINES = 5
MOST_LOOP_LINES = 3


def problems(name, notebook):
    """List violations of the project's rules for notebooks, one line each.

    Args:
        name: the file's name.
        notebook: as nbformat reads it.
    """
    cells = notebook.cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    first = cells[0].source if cells and cells[0].cell_type == "markdown" else ""
    found = []
    if not re.fullmatch(r"\d\d_[a-z0-9_]+\.ipynb", name):
        found.append("the name is no NN_name.ipynb")
    if not first.startswith("# ") or "?" not in first:
        found.append("the first cell is no title with the question")
    if not KERNEL.items() <= notebook.metadata.get("kernelspec", {}).items():
        found.append("the kernel is not python3")
    if any(cell.outputs or cell.execution_count is not None for cell in code):
        found.append("not stripped of outputs and counts")
    parameters = [cell for cell in code if "parameters" in cell.metadata.get("tags", [])]
    if len(parameters) != 1:
        found.append(f"{len(parameters)} cells are tagged `parameters`, not one")
    for cell in code:
        try:
            tree = ast.parse(cell.source)
        except SyntaxError as error:
            found.append(f"not plain Python: {error.msg}")
            continue
        if cell in parameters:
            found += _parameter_problems(cell.source, tree)
        elif len(list(filter(str.strip, cell.source.splitlines()))) > MOST_LINES:
            found.append(f"a cell of more than {MOST_LINES} lines")
        found += [problem for node in ast.walk(tree) if (problem := _node_problem(node))]
    return found


def _parameter_problems(source, tree):
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    commented = {token.start[0] for token in tokens if token.type == tokenize.COMMENT}
    for node in tree.body:
        if not isinstance(node, ast.AnnAssign) or node.value is None:
            yield "a parameter without a type and a default"
        elif not commented.intersection(range(node.lineno, node.end_lineno + 1)):
            yield f"the parameter {ast.unparse(node.target)} has no comment"


def _node_problem(node):
    lines = getattr(node, "end_lineno", 0) - getattr(node, "lineno", 0) + 1
    match node:
        case ast.ClassDef():
            return f"a class: {node.name}"
        case ast.FunctionDef() | ast.AsyncFunctionDef() if lines > MOST_FUNCTION_LINES:
            return f"a function of more than {MOST_FUNCTION_LINES} lines: {node.name}"
        case ast.For() | ast.AsyncFor() | ast.While() if lines > MOST_LOOP_LINES:
            return f"a loop of more than {MOST_LOOP_LINES} lines"
        case ast.ImportFrom(names=[ast.alias(name="*")]):
            return f"a star import: {node.module}"
        case ast.BinOp(op=ast.Div()) if _is_path(node.left) or _is_path(node.right):
            return f"path arithmetic: {ast.unparse(node)}"
        case ast.Attribute(attr="joinpath") | ast.Attribute(value=ast.Name(id="os"), attr="path"):
            return f"path arithmetic: {ast.unparse(node)}"
        case ast.ImportFrom(module="os.path") | ast.Import(names=[ast.alias(name="os.path")]):
            return "path arithmetic: os.path"
    return None


def _is_path(node):
    """Return whether an operand of `/` is text or a path, judged by its syntax."""
    match node:
        case ast.Constant(value=str()) | ast.JoinedStr() | ast.Attribute(attr="parent" | "parents"):
            return True
        case ast.Call(func=ast.Name(id="Path") | ast.Attribute(attr="Path" | "cwd" | "home" | "resolve")):
            return True
    return False


def good():
    """Return a minimal valid notebook."""
    new = nbformat.v4
    parameters = new.new_code_cell('study: str = "toy"  # a file of config/\ncutoff: int = 20  # the k of Recall@k')
    parameters.metadata["tags"] = ["parameters"]
    cells = [new.new_markdown_cell("# Sessions\n\nHow long is a session?"), parameters]
    cells.append(new.new_code_cell("from gru4rec_lib import figures\n\nfigures.lengths(study) / cutoff"))
    kernel = KERNEL | {"display_name": "Python 3 (ipykernel)"}
    return new.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def test_notebooks_have_short_cells_and_no_outputs():
    assert NOTEBOOKS
    read = {path.name: nbformat.read(path, as_version=4) for path in NOTEBOOKS}
    assert {name: found for name, notebook in read.items() if (found := problems(name, notebook))} == {}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_papermill_lists_every_parameter_with_its_type_default_and_comment(path):
    cells = nbformat.read(path, as_version=4).cells
    source = next(cell.source for cell in cells if "parameters" in cell.metadata.get("tags", []))
    written = {
        node.target.id: (ast.unparse(node.annotation), ast.literal_eval(node.value), line.split("  # ")[1])
        for node, line in zip(ast.parse(source).body, source.splitlines(), strict=True)
    }
    listed = {
        name: (told["inferred_type_name"], ast.literal_eval(told["default"]), told["help"])
        for name, told in papermill.inspect_notebook(str(path)).items()
    }
    assert listed == written


def test_notebook_numbers_have_no_gap_and_blends_alone_share_one():
    numbers = [path.name[:2] for path in NOTEBOOKS if path.stem != "04_blends"]
    assert numbers == [f"{number:02d}" for number in range(len(numbers))]


def test_a_good_notebook_has_no_problem():
    assert problems("01_sessions.ipynb", good()) == []


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("class Model: pass", "a class: Model"),
        ("def f(x):\n    a = x\n    b = a\n    c = b\n    d = c\n    return d", "a function of more than 5 lines: f"),
        ("for loss in losses:\n    a = 1\n    b = 2\n    c = 3", "a loop of more than 3 lines"),
        ("while a:\n    a = 1\n    b = 2\n    c = 3", "a loop of more than 3 lines"),
        ("if a:\n    for x in y:\n        a = 1\n        b = 2\n        c = 3", "a loop of more than 3 lines"),
        ("from gru4rec_lib.plotting.figures import *", "a star import: gru4rec_lib.plotting.figures"),
        ('folder / "table.csv"', "path arithmetic: folder / 'table.csv'"),
        ('f"{study}" / folder', "path arithmetic: f'{study}' / folder"),
        ("Path(folder) / name", "path arithmetic: Path(folder) / name"),
        ("here.parent / name", "path arithmetic: here.parent / name"),
        ("folder.joinpath(name)", "path arithmetic: folder.joinpath"),
        ("os.path.join(folder, name)", "path arithmetic: os.path"),
        ("from os.path import join", "path arithmetic: os.path"),
        ("import os.path", "path arithmetic: os.path"),
        ("%matplotlib inline", "not plain Python: invalid syntax"),
        ("\n".join(f"x{i} = {i}" for i in range(13)), "a cell of more than 12 lines"),
    ],
)
def test_a_long_or_complex_cell_is_detected(source, problem):
    notebook = good()
    notebook.cells[2].source = source
    assert problems("01_sessions.ipynb", notebook) == [problem]


@pytest.mark.parametrize(
    "source",
    [
        "def f(x):\n    a = x\n    b = a\n    c = b\n    return c",
        "for axis in axes:\n    axis.set_xlabel('plays')\n    axis.grid()",
        "\n\n".join(f"x{i} = {i}" for i in range(12)),
        "hits / len(ranks)",
    ],
)
def test_an_allowed_cell_is_accepted(source):
    notebook = good()
    notebook.cells[2].source = source
    assert problems("01_sessions.ipynb", notebook) == []


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ('study = "toy"  # a file of config/', "a parameter without a type and a default"),
        ("study: str  # a file of config/", "a parameter without a type and a default"),
        ('study: str = "toy # 1"', "the parameter study has no comment"),
        ("import numpy  # for what?", "a parameter without a type and a default"),
    ],
)
def test_an_incomplete_parameter_is_detected(source, problem):
    notebook = good()
    notebook.cells[1].source = source
    assert problems("01_sessions.ipynb", notebook) == [problem]


def test_parameters_may_be_long():
    notebook = good()
    notebook.cells[1].source = "\n".join(f"x{i}: int = {i}  # one of many" for i in range(30))
    assert problems("01_sessions.ipynb", notebook) == []


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda n: n.cells[2].update(execution_count=1), "not stripped of outputs and counts"),
        (lambda n: n.cells[2].outputs.append({"output_type": "stream"}), "not stripped of outputs and counts"),
        (lambda n: n.cells[1].metadata.pop("tags"), "0 cells are tagged `parameters`, not one"),
        (lambda n: n.cells[0].update(source="Sessions?"), "the first cell is no title with the question"),
        (lambda n: n.cells[0].update(source="# Sessions"), "the first cell is no title with the question"),
        (lambda n: n.cells.pop(0), "the first cell is no title with the question"),
        (lambda n: n.metadata.pop("kernelspec"), "the kernel is not python3"),
        (lambda n: n.metadata.kernelspec.update(name="other"), "the kernel is not python3"),
    ],
)
def test_an_invalid_notebook_is_detected(spoil, problem):
    notebook = good()
    spoil(notebook)
    assert problems("01_sessions.ipynb", notebook) == [problem]


def test_two_parameters_cells_are_detected():
    notebook = good()
    notebook.cells.append(notebook.cells[1].copy())
    assert problems("01_sessions.ipynb", notebook) == ["2 cells are tagged `parameters`, not one"]


@pytest.mark.parametrize("name", ["sessions.ipynb", "1_sessions.ipynb", "01-sessions.ipynb", "01_Sessions.ipynb"])
def test_a_name_without_a_number_is_detected(name):
    assert problems(name, good()) == ["the name is no NN_name.ipynb"]
