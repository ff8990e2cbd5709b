"""One study: its folders, runs, tables and report."""

import sys

# jsonschema, which checks notebooks, imports this package where JupyterLab has installed it, and does without it
# elsewhere. The import parses a grammar for two seconds, for a format of texts that no notebook contains.
sys.modules.setdefault("rfc3987_syntax", None)
