#!/bin/sh
# Two Jupyter kernels with `transport = "ipc"` that start together in one folder get the same sockets.
#
# Expected: sockets are named after the kernel's connection file, which has a random name, as jupyter_client does if the
# file is known when `ip` is first read; papermill runs in parallel would then be safe from each other.
# Seen with jupyter_client 8.10.0: the connection file is in the runtime folder, but the sockets are `kernel-ipc-1` to
# `kernel-ipc-5` in the working directory, for both kernels, as a number is free until its kernel has opened the socket.
# The one that opens them later takes the place of the other. An `ip` of one's own, such as /tmp/<random>/kernel, avoids it.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check jupyter_client==8.10.0 ipykernel==7.4.0
mkdir work && cd work
../env/bin/python - <<'PROGRAM'
from jupyter_client.manager import KernelManager

managers = [KernelManager(transport="ipc") for _ in range(2)]
for manager in managers:
    manager.start_kernel()
sockets = []
for manager in managers:
    info = manager.get_connection_info()
    sockets.append([f"{info['ip']}-{info[name]}" for name in ("shell_port", "iopub_port", "stdin_port")])
files = [manager.connection_file for manager in managers]
for manager in managers:
    manager.shutdown_kernel(now=True)
print(*sockets, sep="\n")
assert files[0] != files[1], "changed: one connection file"
assert sockets[0] == sockets[1] == ["kernel-ipc-1", "kernel-ipc-2", "kernel-ipc-3"], f"changed: {sockets}"
PROGRAM
echo "as stated: two connection files, the same sockets in the working directory"
