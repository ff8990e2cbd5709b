"""Run Python programs in copies of one process that has loaded TensorFlow, which takes a new process seven seconds.

No copy has loaded the library or used TensorFlow before its program does, so it is like a new process.
"""

import json
import os
import subprocess
import sys

SERVER = """
import json, os, sys, tempfile, traceback
import duckdb, IPython, keras, matplotlib.pyplot, pandas, scipy.stats, sklearn, tensorflow

for line in sys.stdin:
    asked = json.loads(line)
    written = [tempfile.TemporaryFile() for _ in range(2)]
    child = os.fork()
    if child == 0:
        for descriptor, file in enumerate(written, 1):
            os.dup2(file.fileno(), descriptor)
        os.chdir(asked["cwd"])
        sys.path[:0], sys.argv[1:] = asked["path"], asked["arguments"]
        code = 1
        try:
            exec(compile(asked["program"], "<program>", "exec"), {"__name__": "__main__"})
            code = 0
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    for file in written:
        file.seek(0)
    print(json.dumps([code, *(file.read().decode() for file in written)]), flush=True)
"""


class LoadedProcess:
    """A process that has loaded TensorFlow, and copies itself for each program. It ends with the tests' process."""

    def __init__(self):
        settings = {"KERAS_BACKEND": "tensorflow", "TF_ENABLE_ONEDNN_OPTS": "0", "MPLBACKEND": "agg"}
        settings |= {"PYTHONHASHSEED": "1"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
        self.process = subprocess.Popen([sys.executable, "-c", SERVER], env=os.environ | settings, **pipes)

    def run(self, program, *arguments, cwd=".", path=()):
        """Run a program in a copy, to its end.

        Args:
            program: Python code.
            arguments: its `sys.argv[1:]`.
            cwd: its working directory.
            path: folders where it looks for modules first.

        Returns:
            subprocess.CompletedProcess, as of `subprocess.run` with `capture_output` and `text`.
        """
        asked = {"program": program, "arguments": [*map(str, arguments)], "cwd": str(cwd), "path": [*map(str, path)]}
        print(json.dumps(asked), file=self.process.stdin, flush=True)
        return subprocess.CompletedProcess(program, *json.loads(self.process.stdout.readline()))

    def end(self):
        """End the process."""
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
