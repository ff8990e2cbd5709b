"""Run papermill: `python -m gru4rec_lib.study.workflow.papermill ARGUMENTS`.

It does the same as `python -m papermill` and starts two seconds sooner.
"""

import sys

# jsonschema, which checks notebooks, imports this package where JupyterLab has installed it, and does without it
# elsewhere. The import parses a grammar for two seconds, for a format of texts that no notebook contains.
sys.modules.setdefault("rfc3987_syntax", None)

if __name__ == "__main__":
    from papermill.cli import papermill

    papermill()
