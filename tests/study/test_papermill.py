"""Notebooks that start at the same time do not take each other's connections."""

import json
import subprocess
import sys

import nbformat
import pytest

CONNECTION = """
import json
app = get_ipython().kernel.parent
print(json.dumps([app.transport, app.ip, len(app.ip)]))
"""


@pytest.mark.slow
def test_each_kernel_has_sockets_of_its_own(tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CONNECTION)])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, tmp_path / "given.ipynb")
    command = [sys.executable, "-m", "gru4rec_lib.study.workflow.papermill", "--no-progress-bar"]
    outputs = [tmp_path / f"{name}.ipynb" for name in ("one", "other")]
    both = [subprocess.Popen([*command, tmp_path / "given.ipynb", output], cwd=tmp_path) for output in outputs]
    assert [process.wait() for process in both] == [0, 0]
    kernels = [json.loads(nbformat.read(output, as_version=4).cells[0].outputs[0].text) for output in outputs]
    assert [transport for transport, *_ in kernels] == ["ipc", "ipc"]
    assert kernels[0][1] != kernels[1][1]
    assert max(length for *_, length in kernels) < 80  # `-5` and a file's name fit into the 103 characters of a path
    assert sorted(path.name for path in tmp_path.iterdir()) == ["given.ipynb", "one.ipynb", "other.ipynb"]
