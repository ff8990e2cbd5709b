"""A Slurm of one node in a temporary folder, for tests: its own munged, slurmctld and slurmd, and no system files."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
# `config_overrides` lets a small machine offer more than it has: the step `results` requests 16 GB.
CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={slurmctld_port}
SlurmdPort={slurmd_port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
ReturnToService=2
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
MinJobAge={min_job_age}
AccountingStorageType=accounting_storage/none
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=64000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


class StartError(Exception):
    """The daemons do not run on this machine; the message has the end of their logs."""


def missing():
    """Return why Slurm cannot run here, or an empty text."""
    if os.getuid() != 0:
        return "needs root, to start Slurm's daemons"
    absent = [name for name in (*DAEMONS, "srun") if not shutil.which(name, path=daemon_path())]
    return f"needs Slurm: apt-get install slurm-wlm munge (not found: {', '.join(absent)})" if absent else ""


def daemon_path():
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def slurm_on_one_node(min_job_age=300):
    """Run the daemons; yields the environment variables by which Slurm's commands find them.

    Raises:
        StartError: they cannot run here.
    """
    # Not pytest's folder: the path of a socket has at most 107 characters, and munged wants all parents accessible.
    with tempfile.TemporaryDirectory(prefix="slurm-") as name, contextlib.ExitStack() as running:
        folder = Path(name)
        folder.chmod(0o755)
        for part in ("munge", "state", "spool", "bin"):
            (folder / part).mkdir(mode=0o700)
        key = folder / "munge" / "key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        config = folder / "slurm.conf"
        ports = {"slurmctld_port": free_port(), "slurmd_port": free_port()}
        host = socket.gethostname().partition(".")[0]
        config.write_text(CONFIG.format(folder=folder, host=host, min_job_age=min_job_age, **ports))
        # Snakemake's plugin removes SLURM_CONF from the environment of srun.
        srun = folder / "bin" / "srun"
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={config} exec {shutil.which("srun")} "$@"\n')
        srun.chmod(0o755)
        files = {"key-file": key, "socket": folder / "munge.socket", "pid-file": folder / "munge" / "pid"}
        files |= {"log-file": folder / "munged.log", "seed-file": folder / "munge" / "seed"}
        commands = {
            "munged": ["--foreground", *(f"--{option}={path}" for option, path in files.items())],
            "slurmctld": ["-D", "-f", config],
            "slurmd": ["-D", "-f", config],
        }
        for daemon, words in commands.items():
            log = running.enter_context((folder / f"{daemon}.out").open("wb"))
            command = [shutil.which(daemon, path=daemon_path()), *words]
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
            running.callback(end, process)
            if daemon == "munged":
                wait_for(lambda: files["socket"].exists(), folder)
        environment = {"SLURM_CONF": str(config), "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
        sinfo = ["sinfo", "--noheader", "--format=%T"]
        given = os.environ | environment
        wait_for(lambda: subprocess.run(sinfo, env=given, capture_output=True, check=False).stdout == b"idle\n", folder)
        running.callback(subprocess.run, ["scancel", "--me"], env=given, check=False)
        yield environment


def end(process):
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_for(condition, folder, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            logs = [path.read_text(errors="replace")[-500:] for path in sorted(folder.glob("*.[lo][ou][gt]"))]
            raise StartError("Slurm does not start on this machine: " + " | ".join(filter(None, logs)))
        time.sleep(0.1)
