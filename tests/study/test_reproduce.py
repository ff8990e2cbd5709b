"""One run at a time, one line for each step, and no process remains after a kill."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import nbformat
import pytest

from gru4rec_lib.study import fingerprints
from gru4rec_lib.study.workflow import reproduce, tied
from gru4rec_lib.study.workspace import Workspace
from gru4rec_lib.utils.checked import ConfigError

ROOT = Path(__file__).resolve().parents[2]
SNAKEFILE = """
import sys

rule all:
    message: "{config[study]} is done with {config[data]}"
    input: "runs/mini/second.txt"

rule first:
    message: "make the first file"
    output: "runs/mini/first.txt"
    shell: "exec {sys.executable} -m gru4rec_lib.study.workflow.tied python job.py {output}"

rule second:
    message: "make the second file"
    input: "runs/mini/first.txt"
    output: "runs/mini/second.txt"
    log: "runs/mini/second.log"
    shell: "exec {sys.executable} -m gru4rec_lib.study.workflow.tied python job.py {output} 2> {log}"
"""
# Quick; or for a minute where a file `slow` exists; or failing.
JOB = """
import os, pathlib, sys, time
if pathlib.Path("fail").exists(): sys.exit("the job says why it fails")
pathlib.Path("calls").open("a").write(sys.argv[1] + "\\n")
for tick in range(1200 if "second" in sys.argv[1] and pathlib.Path("slow").exists() else 0):
    pathlib.Path("at_work").write_text(f"{os.getpid()} {os.getppid()} {tick}")
    time.sleep(0.05)
pathlib.Path(sys.argv[1]).touch()
"""
STUDY = """
title: a study of two steps
data: {layout: events, name: clicks, events: ["*.tsv"], session: s, item: i, time: t}
split: {how: by_session, test_fraction: 0.2}
models: [{input_form: [embedding], loss: [bpr]}]
"""


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A project of two quick steps, with the real profile, library and Makefile."""
    for name, text in {"Snakefile": SNAKEFILE, "job.py": JOB, "config/mini.yaml": STUDY}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    for name in ("profiles", "gru4rec_lib"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("*.pyc.*"))
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "data of mine").mkdir()
    (tmp_path / "data/prepared/mini").mkdir(parents=True)
    (tmp_path / "data/prepared/mini/prepared.json").write_text(
        '{"settings": {"inputs": {}}}'
    )  # the folder was read already
    (tmp_path / ".venv").mkdir()
    for entry in Path(sys.prefix).iterdir():
        if entry.name != ".installed":
            (tmp_path / ".venv" / entry.name).symlink_to(entry)
    for name in ("requirements.lock", "pyproject.toml", ".venv/.installed"):
        (tmp_path / name).touch()
    for name in ("MAKEFLAGS", "MAKELEVEL", "ARGS", "GRU4REC_PARENT"):  # when the tests themselves run under make
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def start(root):
    """Start `make reproduce` in a separate process group, as a terminal would."""
    with ExitStack() as started:

        def start_make(study="mini", data="data of mine"):
            command = ["make", "reproduce", f"STUDY={study}", f"DATA={data}"]
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
            # A background job of a shell ignores Ctrl-C, and so do its children; a job of a terminal does not.
            pipes["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
            process = started.enter_context(subprocess.Popen(command, cwd=root, process_group=0, **pipes))
            started.callback(process.kill)
            return process

        yield start_make


@pytest.fixture
def make(start):
    """Run `make reproduce` to its end: exit code and lines."""

    def run_make(**words):
        process = start(**words)
        output, _ = process.communicate(timeout=60)
        return process.returncode, output.splitlines()

    return run_make


def wait_for(condition, seconds=20.0):
    """Wait until `condition()` is true, and return its value."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "timed out"
        time.sleep(0.02)
    return value


def at_work(root):
    """Process ids of the running job and of its Snakemake; false before there is one."""
    path = root / "at_work"
    return path.exists() and [int(word) for word in path.read_text().split()[:2]]


def lives(pid):
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for_end(*pids, seconds=3.0):
    """Wait until none of the processes lives."""
    wait_for(lambda: not any(map(lives, pids)), seconds)


def parent_of(pid):
    """Return the id of a process' parent."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.slow
def test_one_line_a_step_then_nothing_to_do(root, make):
    code, lines = make()
    assert code == 0
    steps = [line[10:] for line in lines if line[2:3] == ":"]
    assert steps == [
        "  1 of 3  make the first file",
        "  2 of 3  make the second file",
        f"  3 of 3  mini is done with {root}/data of mine",
    ]
    assert [line for line in lines if "mini is complete" in line] == [lines[-1]]
    code, lines = make()
    assert code == 0
    assert [line[10:] for line in lines if line[2:3] == ":"] == ["nothing to do: every product is up to date"]
    assert (root / "calls").read_text() == "runs/mini/first.txt\nruns/mini/second.txt\n"


@pytest.mark.slow
def test_a_failed_step_shows_its_log_and_returns_its_code(root, make):
    (root / "runs" / "mini").mkdir(parents=True)
    (root / "runs" / "mini" / "first.txt").touch()
    (root / "fail").touch()
    code, lines = make()
    assert code != 0
    assert "the job says why it fails" in lines
    assert "run the same command again" in "\n".join(lines)


@pytest.mark.slow
def test_after_a_kill_no_process_remains_and_the_same_command_finishes(root, start, make):
    (root / "slow").touch()
    for victim in ("make", "reproduce", "snakemake"):
        process = start()
        job, snakemake = wait_for(lambda: at_work(root))
        pids = {"make": process.pid, "reproduce": parent_of(snakemake), "snakemake": snakemake}
        assert parent_of(pids["reproduce"]) == process.pid
        os.kill(pids[victim], signal.SIGKILL)
        wait_for_end(job, *pids.values())
        process.communicate(timeout=5)
        (root / "at_work").unlink()
    (root / "slow").unlink()
    assert make()[0] == 0
    assert (root / "calls").read_text().split() == ["runs/mini/first.txt", *4 * ["runs/mini/second.txt"]]


@pytest.mark.slow
def test_ctrl_c_ends_at_once_and_prints_how_to_continue(root, start):
    (root / "slow").touch()
    process = start()
    job, snakemake = wait_for(lambda: at_work(root))
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=5)
    assert process.returncode != 0
    assert "The same command continues from here" in output
    wait_for_end(job, snakemake, seconds=1)


@pytest.mark.slow
def test_a_second_run_waits_for_the_first(root, start):
    with reproduce.only_run(root / "runs" / "mini" / ".lock"):
        process = start()
        line = process.stdout.readline()
        assert f"Another run of this study is active (process {os.getpid()}, since 20" in line
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
    assert process.wait(30) == 0
    assert "Another run" not in process.stdout.read()


SIMULATED = """
title: one of several studies of the same simulated sessions
data: {layout: mssd, name: shared, simulate: {sessions: 10}}
split: {how: by_session, test_fraction: 0.2}
models: [{input_form: [embedding], loss: [bpr]}]
"""


@pytest.fixture
def simulating(tmp_path):
    """Make studies whose raw files are simulated into data/raw/shared, with further lines in their files."""
    (tmp_path / "config").mkdir()

    def simulating(name, more=""):
        (tmp_path / "config" / f"{name}.yaml").write_text(SIMULATED + more)
        return Workspace(name, root=tmp_path)

    return simulating


def test_studies_that_simulate_the_same_raw_files_run_one_after_the_other(simulating, capsys):
    one, other, begun = simulating("one"), simulating("other"), threading.Event()

    def run_the_other():
        with reproduce._alone(other):
            begun.set()

    second = threading.Thread(target=run_the_other, daemon=True)
    with reproduce._alone(one):
        second.start()
        said = wait_for(lambda: capsys.readouterr().out)
        assert said.startswith(f"Another run that may write data/raw/shared is active (process {os.getpid()}, since 20")
        assert not begun.wait(0.3)
    assert begun.wait(20)


def test_every_folder_that_the_graph_may_write_is_locked_and_no_other(simulating):
    curve = simulating("curve", "content_signal: [0, 0.5]\n")
    with reproduce._alone(curve) as locks:
        held = [str(Path(lock.name).relative_to(curve.root)) for lock in locks]
    assert held == ["runs/curve/.lock", "data/raw/.shared.lock", "data/raw/.shared@0.lock"]
    with reproduce._alone(Workspace("curve", curve.root, curve.root)) as locks:
        assert [Path(lock.name).name for lock in locks] == [".lock"]


@pytest.mark.slow
def test_a_kernel_ends_with_its_killed_papermill(tmp_path):
    code = "import os, pathlib, time\npathlib.Path('kernel').write_text(str(os.getpid()))\ntime.sleep(60)"
    kernel = {"name": "python3", "language": "python", "display_name": "Python"}
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)], metadata={"kernelspec": kernel})
    nbformat.write(notebook, tmp_path / "in.ipynb")
    command = [sys.executable, "-m", "gru4rec_lib.study.workflow.tied", "papermill", "in.ipynb", "out.ipynb"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
    pid = wait_for(lambda: (tmp_path / "kernel").exists() and (tmp_path / "kernel").read_text())
    process.kill()
    process.wait()
    wait_for_end(int(pid))


def test_a_process_does_not_start_after_its_parent_ended(tmp_path):
    ended = subprocess.Popen(["true"])
    ended.wait()
    command = [sys.executable, "-m", "gru4rec_lib.study.workflow.tied", "touch", str(tmp_path / "late")]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "GRU4REC_PARENT": str(ended.pid)}
    process = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert process.returncode == 1
    assert process.stderr == "The process that started this one has ended.\n"
    assert not (tmp_path / "late").exists()


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["--study", "other"], "other.yaml: there is no such study; known are mini"),
        (["--study", "mini", "--data", "nowhere"], "nowhere: there is no such folder."),
        (["--study", "mini"], "data/raw/clicks: there is no such folder."),
    ],
)
def test_an_invalid_argument_is_one_sentence(root, argv, sentence):
    with pytest.raises(ConfigError, match=re.escape(sentence)) as told:
        reproduce.main(argv, root)
    assert "\n" not in str(told.value)


def command(root, *words, **options):
    """Run `python -m gru4rec_lib reproduce` to its end; return the exit code and the error message."""
    words = [sys.executable, "-m", "gru4rec_lib", "reproduce", *words]
    environment = os.environ | {"PYTHONPATH": str(root)}
    done = subprocess.run(words, cwd=root, env=environment, capture_output=True, text=True, check=False, **options)
    return done.returncode, done.stderr


def test_a_folder_that_cannot_be_written_is_one_sentence(root):
    (root / "runs").touch()  # the tests may run as root, for whom permissions have no effect
    told = f"{root}/runs/mini: Not a directory; fix it and run the command again\n"
    assert command(root, "--study", "mini", "--data", "data of mine") == (2, told)


def test_a_full_disk_is_one_sentence(root):
    def full():
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    told = f"{root}/runs/mini/.lock: File too large; fix it and run the command again\n"
    assert command(root, "--study", "mini", "--data", "data of mine", preexec_fn=full) == (2, told)


@pytest.mark.slow
def test_files_that_are_not_simulated_are_checked_before_anything_runs(root, capfd):
    place = Workspace("mini", root / "data of mine", root)
    (root / "data of mine/e.tsv").write_text("s\ti\tt\n1\ta\tsoon\n")
    assert reproduce._check(place) == 2
    assert capfd.readouterr().err.startswith("e.tsv, line 2, column `t`: cannot read `soon`;")
    made = root / "data/prepared/mini/prepared.json"
    made.write_text(json.dumps({"settings": {"inputs": fingerprints.hashes(place)}}))
    assert reproduce._check(place) == 0
    # Another file of the same size, name and time: as from `cp -p` and `rsync -t`.
    times = (root / "data of mine/e.tsv").stat()
    (root / "data of mine/e.tsv").unlink()
    (root / "data of mine/e.tsv").write_text("s\ti\tt\n1\tb\tsoon\n")
    os.utime(root / "data of mine/e.tsv", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert reproduce._check(place) == 2


@pytest.mark.slow
def test_files_are_checked_for_a_study_at_one_setting_of_its_curve(root, capfd):
    data = "{layout: mssd, name: twin, simulate: {sessions: 50}}"
    study = STUDY.replace('{layout: events, name: clicks, events: ["*.tsv"], session: s, item: i, time: t}', data)
    (root / "config/curve.yaml").write_text(study + "content_signal: [0, 0.5]\n")
    assert reproduce._check(Workspace("curve@0", root / "data of mine", root)) == 2
    assert capfd.readouterr().err.startswith(f"{root}/data of mine: no log file in it")


@pytest.mark.slow
def test_problems_in_another_data_folder_are_one_sentence(root):
    (root / "other").mkdir()
    (root / "other/e.tsv").write_text("s\ti\tt\n1\ta\tsoon\n")
    os.utime(root / "other/e.tsv", (0, 0))
    code, said = command(root, "--study", "mini", "--data", "other")
    assert code == 2
    problem, count = said.splitlines()
    assert problem.startswith("e.tsv, line 2, column `t`: cannot read `soon`;")
    assert count.startswith("1 problem in all;")


# Names of a study and of a folder that YAML, or papermill's -p, would not read as text.
STUDIES = ["256", "64_128", "0042", "nan", "1e5", "null", "1_0", "true"]
FOLDERS = ["[a]", "my #2", "Music: 2024", "{x}", "~", "[1, 2]", "-r", "a 'b' \"c\" $HOME `d`"]


@pytest.mark.slow
@pytest.mark.parametrize(("study", "data"), [*zip(STUDIES, FOLDERS, strict=True)])
def test_a_study_and_a_folder_of_any_name_run(root, study, data, monkeypatch, capfd):
    """In this process, as another one starts slowly; those that check the data and run the steps are others."""
    (root / "config" / f"{study}.yaml").write_text(STUDY)
    events = "".join(f"{n}\t{item}\t{n}\n" for n in range(40) for item in "ab")
    (root / data).mkdir()
    (root / data / "e.tsv").write_text("s\ti\tt\n" + events)
    monkeypatch.setenv("PYTHONPATH", str(root))
    monkeypatch.setattr(tied, "tie", lambda: None)  # this process may outlive that which started it
    assert reproduce.main([f"--study={study}", f"--data={root / data}"], root) == 0
    assert f"{study} is done with {root / data}\n" in capfd.readouterr().out


@pytest.mark.slow
def test_jobs_of_an_executor_get_the_same_texts(root):
    """Each job runs in a separate Snakemake, as on a cluster."""
    (root / "Snakefile").write_text(
        'rule all:\n    input: "said"\n'
        'rule say:\n    output: "said"\n    shell: "printf \'%s\\\\n\' {config[study]:q} {config[data]:q} > {output}"\n'
    )
    (root / "config" / "1_0.yaml").write_text(STUDY)
    (root / "my #2 {x}: 'y'").mkdir()
    (root / "my #2 {x}: 'y'" / "e.tsv").write_text(
        "s\ti\tt\n" + "".join(f"{n // 2}\t{n % 2}\t{n}\n" for n in range(80))
    )
    submit = root / "submit.sh"
    submit.write_text('#!/bin/sh\nsh "$1" > /dev/null 2>&1 &\necho $!\n')
    submit.chmod(0o755)
    words = [sys.executable, "-m", "gru4rec_lib", "reproduce", "--study", "1_0", "--data", "my #2 {x}: 'y'", "--"]
    words += ["--executor", "cluster-generic", "--cluster-generic-submit-cmd", str(submit), "--jobs", "1"]
    environment = os.environ | {"PYTHONPATH": str(root)}
    done = subprocess.run(words, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (root / "said").read_text() == f"1_0\n{root}/my #2 {{x}}: 'y'\n"
    lines = [line[10:] for line in done.stdout.splitlines() if line[2:3] == ":"]
    assert re.fullmatch(r"submitted  say, job \d+", lines[0])
    assert lines[1:] == ["  1 of 2  say", "  2 of 2  all"]


def test_settings_of_snakemake_are_refused(root):
    for word in ("--config", "--configfile", "-C", "--config=data=x"):
        with pytest.raises(ConfigError, match="--data"):
            reproduce.main(["--study", "mini", "--data", "data of mine", "--", word, "data=elsewhere"], root)


@pytest.mark.parametrize("home", ["/dev/null", "/proc", "/proc/none"])
def test_caches_are_in_runs_where_the_home_cannot_be_written(simulating, monkeypatch, home):
    for name in reproduce.CACHES:
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("HOME", home)
    place = simulating("one")
    given = reproduce._environment(place)
    assert {name for name in given if given[name] != os.environ.get(name)} == set(reproduce.CACHES)
    for name, folder in reproduce.CACHES.items():
        assert given[name] == str(place.root / "runs/.home" / folder)
        assert (place.root / "runs/.home" / folder).is_dir()


@pytest.mark.slow
def test_a_home_that_cannot_be_written_does_not_stop_a_run(root):
    words = [sys.executable, "-m", "gru4rec_lib", "reproduce", "--study", "mini", "--data", "data of mine"]
    hidden = dict.fromkeys(reproduce.CACHES, "")
    environment = os.environ | hidden | {"PYTHONPATH": str(root), "HOME": "/proc/none"}
    done = subprocess.run(words, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert (root / "runs/.home/.cache").is_dir()


def test_a_project_folder_that_cannot_be_written_is_one_sentence(root):
    (root / ".snakemake").touch()
    told = f"{root}/.snakemake: Permission denied; fix it and run the command again\n"
    assert command(root, "--study", "mini", "--data", "data of mine") == (2, told)
