"""Run a command that ends when its parent ends: `python -m gru4rec_lib.study.workflow.tied COMMAND ...`.

A process killed by `kill -9` cannot stop its children, and an orphaned training would keep writing beside the next one.
Therefore the kernel ends them (Linux, prctl(2) with PR_SET_PDEATHSIG). The setting survives exec but is not inherited:
each process of a chain sets it, and in a shell the command must be run by `exec`. `setpriv --pdeathsig` would do the
same but for the check of the parent and the PATH.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

PARENT = "GRU4REC_PARENT"
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def tie() -> None:
    """Have the kernel end this process when its parent ends for any reason; without effect off Linux.

    The environment variable GRU4REC_PARENT may have the id of a process that must exist: the parent may have ended
    between the start of this process and this call. It is set to this process' id for the children.

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
    # Commands of this environment come first, also where it was not activated.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    os.execvp(sys.argv[1], sys.argv[1:])
