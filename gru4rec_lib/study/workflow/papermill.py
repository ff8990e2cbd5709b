"""Run papermill: `python -m gru4rec_lib.study.workflow.papermill ARGUMENTS`.

It does the same as `python -m papermill`, but it starts two seconds sooner, and its kernel has sockets of its own.
By default a kernel gets numbers of free TCP ports before it opens them: of two notebooks that start at the same time,
one may take a port of the other, whose kernel then ends.
"""

import sys
import tempfile

# jsonschema, which checks notebooks, imports this package where JupyterLab has installed it, and does without it
# elsewhere. The import parses a grammar for two seconds, for a format of texts that no notebook contains.
sys.modules.setdefault("rfc3987_syntax", None)


def main() -> None:
    """Run papermill's command line."""
    from papermill.cli import papermill
    from papermill.engines import NBClientEngine, papermill_engines
    from traitlets.config import Config

    # In /tmp, as the path of a socket has at most 103 characters.
    with tempfile.TemporaryDirectory(prefix="gru4rec-", dir="/tmp") as folder:
        # `ip` is the first part of the sockets' paths; by default they are in the working directory.
        sockets = Config(KernelManager={"transport": "ipc", "ip": f"{folder}/kernel"})

        class OwnSockets(NBClientEngine):
            @classmethod
            def execute_managed_notebook(cls, nb_man, kernel_name, **options):
                super().execute_managed_notebook(nb_man, kernel_name, config=sockets, **options)

        papermill_engines.register(None, OwnSockets)
        papermill()


if __name__ == "__main__":
    main()
