"""Run papermill: `python -m gru4rec_lib.study.workflow.papermill ARGUMENTS`.

It does the same as `python -m papermill` and starts two seconds sooner; see `study/__init__.py`.
"""

from papermill.cli import papermill

if __name__ == "__main__":
    papermill()
