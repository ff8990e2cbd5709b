"""The paper of a study: reports/paper.typ, filled from its tables and figures, as PDF and HTML."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import typst

from gru4rec_lib.evaluation.statistics import ALPHA, DRAWS
from gru4rec_lib.study import publish
from gru4rec_lib.study.workspace import Workspace
from gru4rec_lib.utils.atomic_write import replacing
from gru4rec_lib.utils.rounding import ONE_SESSION

SOURCE = Path("reports", "paper.typ")
FORMATS = ("pdf", "html")
UNFINISHED = "html export is under active development"  # typst's warning of every HTML page


def make(workspace: Workspace) -> None:
    """Write manifest.json, paper.pdf and paper.html to the study's runs, from its tables and figures.

    Raises:
        ValueError: a file is missing or does not fit the paper; the message names it.
    """
    with replacing(workspace.runs / publish.MANIFEST) as path:
        path.write_text(json.dumps(publish.manifest(workspace), indent=1) + "\n", encoding="utf-8")
    fill(workspace.root, workspace.runs, parts(workspace))


def parts(workspace: Workspace) -> list[str]:
    """List the optional parts of the study, whose files the paper expects.

    Returns:
        Some of `twin` (calibrated simulated data), `skips`, `curve` (over content_signal),
        `ablations` (networks with other features), `lists` (of recommendations), `audit`.
    """
    has = {
        "twin": workspace.simulates,
        "skips": workspace.study.data.layout == "mssd",
        "curve": bool(workspace.variants("content_signal")),
        "ablations": bool(workspace.study.ablations),
    }
    has["lists"] = workspace.study.evaluation.lists is not None
    has["audit"] = bool(workspace.study.audit)
    return [name for name, exists in has.items() if exists]


def fill(root: Path, run: Path, parts: Sequence[str]) -> None:
    """Fill reports/paper.typ and write paper.pdf and paper.html to the run's folder.

    The same inputs give the same bytes: only typst's own fonts are used, and nothing is loaded from the network.

    Args:
        root: the project's folder; it holds `run` and reports/.
        run: the folder with tables/, figures/ and manifest.json.
        parts: of `parts`.

    Raises:
        ValueError: a file is missing, or the text does not fit the tables; the message names it.
    """
    given = {"run": f"/{run.relative_to(root).as_posix()}", "parts": ",".join(parts)}
    given |= {"alpha": str(ALPHA), "draws": str(DRAWS), "one-session": ONE_SESSION}
    for kind in FORMATS:
        compiler = typst.Compiler(root / SOURCE, root, ignore_system_fonts=True, sys_inputs=given | {"format": kind})
        try:
            # Typst 0.15 fails on tags of some wide tables that float ("internal error: parent group").
            made, warnings = compiler.compile_with_warnings(format=kind, pdf_tags=False)
        except typst.TypstError as error:
            raise ValueError(_sentence(error)) from None
        problems = [warning.message for warning in warnings if UNFINISHED not in warning.message]
        if problems:
            raise ValueError(f"{SOURCE}: {'; '.join(problems)}")
        with replacing(run / f"paper.{kind}") as path:
            path.write_bytes(made)


def _sentence(error: typst.TypstError) -> str:
    missing = re.search(r"file not found \(searched at (.+)\)", error.message)
    if missing:
        return f"{missing[1]}: the paper is filled from this file, and it is not there; `make reproduce` makes it"
    return f"{SOURCE}: {error.diagnostic}"
