"""The command line: `python -m gru4rec_lib COMMAND`; `--help` lists the commands.

An expected error prints one sentence and sets the exit code; no traceback is shown.
"""

import os
import sys

from gru4rec_lib.utils.backend import set_up_study_process

_STOPPED = {
    "reproduce": "Stopped. The same command continues from here; finished steps are kept.",
    "search": "Stopped. The same command continues after the finished trials.",
}


def main(argv: list[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the arguments after the program's name; None uses those of the process.

    Returns:
        The exit code of the command; 2 for wrong arguments, files or folders; 130 after Ctrl-C; 141 when the reader of
        the output has closed it, as `| head` does.
    """
    argv = sys.argv[1:] if argv is None else argv
    set_up_study_process()
    try:
        from gru4rec_lib import cli  # within `try`: it takes half a second, in which a user may press Ctrl-C

        return cli.run(argv)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes it at exit
        return 141  # 128 + SIGPIPE, as in a shell
    except (OSError, ValueError, MemoryError) as error:  # ConfigError and DataError are ValueErrors
        print(_sentence(error), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\n{_STOPPED.get(''.join(argv[:1]), 'Stopped.')}", file=sys.stderr)
        return 130  # 128 + SIGINT, as in a shell


def _sentence(error: Exception) -> str:
    """Write an error as a sentence; texts of OSError begin with a number and may not name the file."""
    if isinstance(error, MemoryError):
        return f"the memory of this machine is too small ({error})"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'writing'}: {error.strerror}; fix it and run the command again"
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
