"""Copy the project, and run commands and the graph in the copy."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("Snakefile", "pyproject.toml", "config", "gru4rec_lib", "notebooks", "profiles")
PARTS += ("reports/paper.typ", "reports/reading.typ", "reports/references.bib")
GRID = "{input_form: [one_hot, embedding, content, content_mlp], loss: [cross_entropy, bpr, bpr_max]}"

KINDS = (".parquet", ".csv", ".svg", ".pdf", ".png", ".npz", ".npy", ".keras", ".json")
TIMED = {"manifest", "published", "config", "inputs", "paper", "audit_measured", "time_to_quality"}  # contain times


def copy_of_the_project(folder):
    """Copy the files that the graph needs, without results; reduce the toy study's grid to two cells."""
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            # Compiled modules are copied, too; the names with a number are of files that are being written.
            ignore = shutil.ignore_patterns("*.pyc.*", ".ipynb_checkpoints")
            shutil.copytree(source, folder / part, ignore=ignore)
        else:
            (folder / part).parent.mkdir(exist_ok=True)
            shutil.copyfile(source, folder / part)
    toy = folder / "config" / "toy.yaml"
    assert GRID in toy.read_text()
    toy.write_text(toy.read_text().replace(GRID, "{input_form: [embedding, content], loss: [bpr]}"))
    return folder


def run(root, *command):
    """Run a command of this environment in the copy, with the copy's library; return its standard output."""
    environment = os.environ | {"PYTHONPATH": str(root), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def reproduce(root, *arguments):
    return run(root, sys.executable, "-m", "gru4rec_lib", "reproduce", "--study", "toy", *arguments)


def products(root):
    """Return the bytes of a study's files, except those that contain times; of models, the weights."""
    found = {}
    for folder in ("runs/toy", "reports/toy", "figures/toy", "data/prepared/toy", "data/raw/toy"):
        for path in sorted((root / folder).rglob("*")):
            name = str(path.relative_to(root))
            if path.name == "model.keras":
                found |= {f"{name}/{n}": w.tobytes() for n, w in enumerate(weights(path.parent))}
            elif path.name in ("history.csv", "learning_curves.csv"):
                found[name] = pd.read_csv(path).drop(columns="seconds").to_csv().encode()
            elif path.suffix in KINDS and path.stem not in TIMED and "logs" not in path.parts:
                found[name] = path.read_bytes()
    return found


def weights(folder):
    from gru4rec_lib.serving import model_folder

    return model_folder.load(folder)[0].get_weights()


def differing(root, undisturbed):
    """List the products that differ from those of the undisturbed run."""
    found = products(root)
    return sorted(name for name in found.keys() | undisturbed.keys() if found.get(name) != undisturbed.get(name))
