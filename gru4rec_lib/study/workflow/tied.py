"""Run a command that ends when its parent ends: `python -m gru4rec_lib.study.workflow.tied COMMAND ...`.

A process killed by `kill -9` cannot stop its children, and an orphaned training would go on writing beside the next
one. So the kernel is asked to end them (Linux, prctl(2) with PR_SET_PDEATHSIG). The wish survives exec but is not
inherited: each link of a chain asks for itself, and in a shell the command must be run by `exec`.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

PARENT = "GRU4REC_PARENT"
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def tie() -> None:
    """Have the kernel end this process when its parent ends, however that comes about; without effect off Linux.

    The environment variable GRU4REC_PARENT may name the process that must still be there: this closes the gap between
    the start of this process and this call. Children find this process' own id in it.

    Raises:
        SystemExit: the parent has ended already.
    """
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    expected = os.environ.get(PARENT)
    if os.getppid() != parent or (expected and not Path("/proc", expected).exists()):
        raise SystemExit("The process that started this one has ended.")
    os.environ[PARENT] = str(os.getpid())


if __name__ == "__main__":
    tie()
    # Commands are those of this environment first, whether it was activated or not.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    os.execvp(sys.argv[1], sys.argv[1:])
