"""The command line: invalid arguments give one sentence and exit code 2."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from gru4rec_lib import __main__, cli
from gru4rec_lib.plotting import figures
from gru4rec_lib.study import paper, publish
from gru4rec_lib.study.workflow import reproduce
from gru4rec_lib.twin import simulate

ROOT = Path(__file__).resolve().parents[2]
STOPPED = {
    "check": "Stopped.",
    "reproduce": "Stopped. The same command continues from here; finished steps are kept.",
    "search": "Stopped. The same command continues after the finished trials.",
}


@pytest.fixture
def called(monkeypatch):
    """Record what the commands call, with which arguments, and do nothing."""
    calls = []
    monkeypatch.setattr(simulate, "simulate", lambda *given, **named: calls.append((given, named)))
    monkeypatch.setattr(publish, "publish", lambda place: calls.append(place.study.name))
    monkeypatch.setattr(paper, "make", lambda place: calls.append(f"paper of {place.study.name}"))
    monkeypatch.setattr(figures, "redraw", lambda folder, only: calls.append((*folder.parts[-2:], only)))
    monkeypatch.setattr(reproduce, "main", lambda words: calls.append(words) or 7)
    return calls


def test_simulate_passes_its_arguments(called, tmp_path):
    words = ["simulate", "--sessions", "20", "--seed", "3", "--dates", "20180715", "20180827", "--out", str(tmp_path)]
    assert __main__.main([*words, "--content-signal", "0.25"]) == 0
    twin = {"sessions": 20, "seed": 3, "log_dates": ("20180715", "20180827"), "content_signal": 0.25}
    assert called == [((tmp_path,), twin)]


def test_simulate_has_the_defaults_of_the_config(called, tmp_path):
    assert __main__.main(["simulate", "--sessions", "20", "--out", str(tmp_path)]) == 0
    twin = {"sessions": 20, "seed": 1, "log_dates": ("20180715",), "content_signal": 0.5}
    assert called == [((tmp_path,), twin)]


def test_simulate_writes_files(tmp_path):
    assert __main__.main(["simulate", "--sessions", "10", "--out", str(tmp_path)]) == 0
    assert sorted(path.name for path in tmp_path.rglob("*.csv*")) == [
        "log_0_20180715_000000000000.csv.gz",
        "tf_000000000000.csv",
    ]


def test_publish_and_reproduce_pass_their_arguments(called):
    assert __main__.main(["publish", "--study", "toy"]) == 0
    assert __main__.main(["reproduce", "--study", "toy", "--", "-n"]) == 7
    assert __main__.main(["figures", "--study", "toy"]) == 0
    assert __main__.main(["paper", "--study", "toy"]) == 0
    assert called == ["toy", ["--study", "toy", "--", "-n"], ("figures", "toy", ""), "paper of toy"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--sessions", "9"], "simulate: sessions: Input should be greater than or equal to 10 (given: 9)"),
        (
            ["--sessions", "20", "--content-signal", "2"],
            "simulate: content_signal: Input should be less than or equal to 1",
        ),
        (["--sessions", "20", "--dates", "July"], "simulate: log_dates.0: String should match pattern"),
        (["--sessions", "20", "--seed", "-1"], "simulate: seed: Input should be greater than or equal to 0"),
    ],
)
def test_a_wrong_value_is_one_sentence(called, capsys, tmp_path, words, told):
    assert __main__.main(["simulate", *words, "--out", str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith(told)
    assert called == []


def test_an_unknown_study_is_one_sentence(capsys):
    assert __main__.main(["publish", "--study", "nothing"]) == 2
    assert "nothing.yaml: there is no such study; known are " in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_one_sentence(monkeypatch, capsys, tmp_path):
    def full(*_, **__):
        raise OSError(28, "No space left on device", "log.csv")

    monkeypatch.setattr(simulate, "simulate", full)
    assert __main__.main(["simulate", "--sessions", "20", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "log.csv: No space left on device; fix it and run the command again\n"


@pytest.mark.parametrize("words", [[], ["paint"], ["simulate", "--sessions", "many", "--out", "x"], ["publish"]])
def test_unknown_arguments_print_the_usage(capsys, words):
    with pytest.raises(SystemExit) as ended:
        __main__.main(words)
    assert ended.value.code == 2
    assert "usage: gru4rec" in capsys.readouterr().err


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit) as ended:
        __main__.main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert all(command in text for command in ("reproduce", "simulate", "publish"))


def test_the_module_passes_arguments_and_exits_with_the_code(called, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["gru4rec", "reproduce", "--study", "toy"])
    monkeypatch.delitem(sys.modules, "gru4rec_lib.__main__")
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("gru4rec_lib", run_name="__main__")
    assert (ended.value.code, called) == (7, [["--study", "toy"]])


def run(*words, modules=ROOT, **options):
    """Start the command in a separate process that looks for modules in this folder first."""
    environment = os.environ | {"PYTHONPATH": f"{modules}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "gru4rec_lib", *words]
    return subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True, check=False, **options)


@pytest.mark.parametrize("command", STOPPED)
def test_ctrl_c_while_packages_are_loaded_is_one_line(tmp_path, command):
    # If the tests run in the background, they and their children ignore the signal.
    heeded = "signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"import os, signal, time; {heeded}; os.kill(os.getpid(), signal.SIGINT); time.sleep(9)"
    (tmp_path / "pydantic.py").write_text(code)
    done = run(command, "toy", modules=tmp_path)
    assert (done.returncode, done.stderr) == (130, f"\n{STOPPED[command]}\n")


@pytest.mark.parametrize("command", STOPPED)
def test_ctrl_c_prints_how_to_continue(monkeypatch, capsys, command):
    def stopped(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "run", stopped)
    assert __main__.main([command, "toy"]) == 130
    assert capsys.readouterr() == ("", f"\n{STOPPED[command]}\n")


@pytest.mark.slow
def test_a_closed_pipe_ends_the_command_without_an_error(tmp_path):
    (tmp_path / "mine.csv").write_text("session,item,time\n1,a,1\n1,b,2\n")
    reading, writing = os.pipe()
    os.close(reading)
    done = run("check", str(tmp_path / "mine.csv"), stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--width-cm", "16"], "--width-cm: name the file to write, such as --out slide.pdf"),
        (["--only", "table_2", "--title", "A"], "--title: name the file to write, such as --out slide.pdf"),
        (["--out", "slide.pdf"], "--out: name the figure to draw, such as --only table_2"),
        (
            ["--only", "table_2", "--out", "a.pdf", "--labels", "loss"],
            "--labels: `loss` does not name an old and a new ",
        ),
        (["--only", "table_2", "--out", "a.pdf", "--labels", "=b"], "--labels: `=b` does not name an old and a new "),
        (["--only", "table_2", "--out", "a.pdf", "--width-cm", "0"], "width_cm is 0.0; give a number from 1 to 200"),
    ],
)
def test_arguments_of_figures_that_do_not_fit_together_are_one_sentence(capsys, words, sentence):
    assert __main__.main(["figures", "--study", "paper", *words]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(sentence)
    assert printed.count("\n") == 1


def test_figures_passes_changes_to_one_figure_and_an_unknown_one_is_one_sentence(capsys, monkeypatch):
    calls = []
    monkeypatch.setattr(figures, "export", lambda *given, **named: calls.append((given, named)))
    words = ["figures", "--study", "paper", "--out", "slide.pdf", "--width-cm", "16", "--font-size", "9"]
    words += ["--title", "Ein Titel", "--labels", "loss=Verlust", "a=b=c"]
    assert __main__.main([*words, "--only", "table_2"]) == 0
    labels = {"loss": "Verlust", "a": "b=c"}
    changes = {"width_cm": 16, "font_size": 9, "title": "Ein Titel", "labels": labels}
    assert calls == [((ROOT / "figures" / "paper" / "table_2.csv", Path("slide.pdf")), changes)]
    assert __main__.main([*words, "--only", "table_3"]) == 2
    assert capsys.readouterr().err.startswith(f"{ROOT}/figures/paper: has no figure 'table_3'; its figures are audit, ")
