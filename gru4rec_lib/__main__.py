"""The command line: `python -m gru4rec_lib COMMAND`, one command a job; `--help` tells each one's arguments.

A command that cannot go on ends with a sentence and an exit code, and never with a traceback.
"""

import os
import sys

from gru4rec_lib.utils.backend import set_up_study_process

_STOPPED = {
    "reproduce": "Stopped. The same command goes on from here; finished steps are kept.",
    "search": "Stopped. The same command goes on from the finished trials.",
}


def main(argv: list[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the words behind the program's name; those of the process when None.

    Returns:
        The exit code: the command's; 2 for wrong arguments, files and folders; 130 after Ctrl-C; 141 where nobody
        reads on, as behind `| head`.
    """
    argv = sys.argv[1:] if argv is None else argv
    set_up_study_process()
    try:
        from gru4rec_lib import cli  # takes half a second, in which Ctrl-C may come

        return cli.run(argv)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python writes once more when it ends
        return 141  # as a shell says it
    except (OSError, ValueError, MemoryError) as error:  # ConfigError and DataError are ValueErrors
        print(_told(error), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\n{_STOPPED.get(''.join(argv[:1]), 'Stopped.')}", file=sys.stderr)
        return 130  # as a shell says it


def _told(error: Exception) -> str:
    """The error as a sentence; the system's own begin with a number and may not name the file."""
    if isinstance(error, MemoryError):
        return f"the memory of this machine is too small ({error})"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'writing'}: {error.strerror}; mend that and give the command again"
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
