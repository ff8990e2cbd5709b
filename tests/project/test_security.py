"""A file from an untrusted source can be invalid, but it never runs code."""

import ast
import json
import re
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from jupyter_server.serverapp import ServerApp

from gru4rec_lib.data.features import Features
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.serving import model_folder

ROOT = Path(__file__).resolve().parents[2]
# Functions that run data as code.
MODULES = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
CALLS = {"eval", "exec", "compile", "read_pickle", "to_pickle", "read_hdf", "enable_unsafe_deserialization"}
WORDS = {("allow_pickle", True), ("safe_mode", False), ("shell", True)}


def sources():
    for path in sorted(ROOT.glob("gru4rec_lib/**/*.py")):
        yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
    for path in sorted(ROOT.glob("notebooks/*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        yield path.name, "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def dangers(source):
    """List the parts of a program that may run data as code."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
            found += MODULES & {name.split(".")[0] for name in names}
        elif isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            method_of_model = name == "compile" and isinstance(node.func, ast.Attribute)
            found += [name] if name in CALLS and not method_of_model else []
            for word in node.keywords:
                value = getattr(word.value, "value", None)
                found += [word.arg] if any((word.arg, value) == (name, bad) for name, bad in WORDS) else []
    return found


def test_no_module_or_notebook_runs_data_as_code():
    assert {name: found for name, source in sources() if (found := dangers(source))} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "import numpy as np\nnp.load(p, allow_pickle=True)",
        "keras.saving.load_model(p, safe_mode=False)",
        "pd.read_pickle(p)",
        "eval(text)",
    ],
)
def test_the_search_finds_what_it_looks_for(source):
    assert dangers(source)


class Hostile:
    """An object that creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_an_array_of_objects_is_not_unpickled(tmp_path):
    done = tmp_path / "done"
    hostile = np.array([Hostile(done)], dtype=object)
    for name in ("train_items", "train_offsets", "features_numeric"):
        np.save(tmp_path / f"{name}.npy", hostile, allow_pickle=True)
    (tmp_path / "features.json").write_text('{"sizes": {}, "fitted": {}}')
    with pytest.raises(ValueError, match="Array can't be memory-mapped: Python objects"):
        Sessions.load(tmp_path, "train")
    with pytest.raises(ValueError, match="Array can't be memory-mapped: Python objects"):
        Features.load(tmp_path)
    assert not done.exists()
    np.load(tmp_path / "train_items.npy", allow_pickle=True)
    assert done.exists()  # the attack works without the protection


def test_a_model_with_code_in_it_is_refused(tmp_path):
    hostile = keras.Sequential([keras.Input((1,)), keras.layers.Lambda(lambda x: x + 1)])
    hostile.save(tmp_path / "model.keras")
    pd.DataFrame({"item": ["a"]}).to_parquet(tmp_path / "items.parquet")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"model\.keras: cannot be read \(.*"):
        model_folder.load(tmp_path)


def test_the_lab_listens_on_localhost_and_requires_a_token(tmp_path, monkeypatch):
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.delenv("JUPYTER_TOKEN", raising=False)
    recipe = re.search(r"^lab:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE).group(
        1
    )
    words = re.findall(r"--[\w.-]+=\S+", recipe.replace('"$(CURDIR)/runs/lab"', str(tmp_path)))
    lab = ServerApp()
    lab.initialize(words, find_extensions=False, new_httpserver=False)
    assert (lab.ip, lab.root_dir) == ("localhost", str(tmp_path))
    assert re.fullmatch("[0-9a-f]{48}", lab.identity_provider.token)
    assert not lab.allow_remote_access


def test_every_package_of_the_lock_has_a_hash_and_make_enforces_it():
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    entries = re.findall(r"^[\w.-]+==.*(?:\n[ \t]+.*)*", lock, re.MULTILINE)
    assert len(entries) > 150
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert "--require-hashes -r requirements.lock" in (ROOT / "Makefile").read_text(encoding="utf-8")
