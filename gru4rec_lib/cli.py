"""The commands of the command line; `COMMAND --help` lists the arguments of each."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from gru4rec_lib.config.study import ConfigError, Twin, check
from gru4rec_lib.preparation.source_files import COMMON
from gru4rec_lib.study.workspace import ROOT, Workspace
from gru4rec_lib.utils.text import shown


def run(argv: list[str]) -> int:
    """Run one command.

    Args:
        argv: the arguments after the program's name.

    Returns:
        The exit code.

    Raises:
        SystemExit: wrong arguments; the usage was printed.
        ConfigError, DataError, OSError, MemoryError: from the command.
    """
    if argv[:1] == ["reproduce"]:
        from gru4rec_lib.study.workflow import reproduce

        return reproduce.main(argv[1:])
    parser = argparse.ArgumentParser(prog="gru4rec", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("reproduce", help="run a study from raw files to tables and figures")
    command = commands.add_parser("simulate", help="write simulated raw files in the layout of Spotify's data set")
    command.add_argument("--sessions", type=int, required=True, help="sessions in each log file")
    command.add_argument("--seed", type=int, default=1, help="the same seed gives the same files (%(default)s)")
    command.add_argument("--dates", nargs="+", default=["20180715"], help="one log file each, YYYYMMDD (%(default)s)")
    command.add_argument("--content-signal", type=float, default=0.5, help="0 to 1; see simulate.py (%(default)s)")
    command.add_argument("--out", type=Path, required=True, help="the folder to write to")
    command = commands.add_parser("shard", help="run one step of preparing one log, for a study with `data.shards`")
    _name_the_study(command)
    command.add_argument("--step", choices=["read", "index", "encode"], required=True)
    command.add_argument("--log", default="", help="the log file's name without extensions; not for `index`")
    command = commands.add_parser("paper", help="fill reports/paper.typ from a study's tables and figures")
    _name_the_study(command)
    command = commands.add_parser("publish", help="copy a study's tables and figures to reports/ and figures/")
    _name_the_study(command)
    command = commands.add_parser("page", help="write an executed notebook as an HTML page beside it")
    command.add_argument("notebook", type=Path, help="an executed .ipynb, such as papermill writes")
    commands.add_parser(
        "lab", help="fill runs/lab for JupyterLab: copies of the notebooks, links to figures and reports"
    )
    commands.add_parser("doc-tables", help="generate the tables of README.md and docs/ from reports/")
    command = commands.add_parser("figures", help="draw figures/<study>/ again from its CSV, or one in another size")
    command.add_argument("--study", default="twin_mini")
    command.add_argument("--only", metavar="NAME", help="draw one figure, such as table_2 (default: all)")
    command.add_argument("--out", type=Path, metavar="FILE", help=".svg, .pdf or .png to write in place of the study's")
    changed = command.add_argument_group("changes of the figure that --out names")
    changed.add_argument("--width-cm", type=float, metavar="CM", help="a column of the paper has 8.5 (default)")
    changed.add_argument("--height-cm", type=float, metavar="CM", help="(default: what the figure needs)")
    changed.add_argument("--font-size", type=float, metavar="PT", help="of the axis labels (default: 7.5)")
    changed.add_argument("--title", help="above the figure")
    changed.add_argument("--labels", nargs="+", metavar="OLD=NEW", help="texts to replace, such as loss=Verlust")
    command = commands.add_parser("search", help="search settings for each cell and baseline of a study")
    _name_the_study(command)
    command.add_argument("--space", default="default", help="a file of config/spaces/ without .yaml (%(default)s)")
    command.add_argument("--trials", type=int, default=20, help="trials for each cell and baseline (%(default)s)")
    command.add_argument("--seed", type=int, default=1, help="of the search and of the trainings (%(default)s)")
    command.add_argument(
        "--cells",
        nargs="+",
        default=(),
        help="such as one_hot-bpr, one_hot-bpr-<tag> or stan (default: all of the study, without tags)",
    )
    command.add_argument("--jobs", type=int, default=2, help="parallel processes, one thread each (%(default)s)")
    command = commands.add_parser("check", help="validate a file or a study without running anything")
    command.add_argument(
        "path", type=Path, help="a table of events, a log, track features, an export (.zip), or a study's .yaml"
    )
    command.add_argument("--session", metavar="COLUMN", help="session column of an event table (default: common names)")
    command.add_argument("--user", metavar="COLUMN", help="user column: without --session, sessions are cut by time")
    command.add_argument("--item", metavar="COLUMN", help="item column (default: common names)")
    order = command.add_mutually_exclusive_group()
    order.add_argument(
        "--time", metavar="COLUMN", help="time column: unix seconds or ISO dates (default: common names)"
    )
    order.add_argument("--position", metavar="COLUMN", help="column with positions in the session, in place of --time")
    command.add_argument("--quote", metavar="MARK", help="the quotation mark of an event table's cells, or none")
    command.add_argument("--data", default="", help="folder of a study's raw files (default: data/raw/<data set>)")
    command.add_argument("--write", metavar="FILE", help="write a study of the data, with comments, to this .yaml")
    command = commands.add_parser("fit", help="train a study's best model on all of its sessions, for use")
    _name_the_study(command)
    command.add_argument("--model", default="", help="a run, baseline or blend (default: the best on validation)")
    command.add_argument("--out", type=Path, help="folder to write (default: runs/<study>/model)")
    command = commands.add_parser("recommend", help="recommend the next items of sessions with a trained model")
    command.add_argument("--model", type=Path, required=True, help="folder of a model, which `fit` or a study wrote")
    given = command.add_mutually_exclusive_group(required=True)
    given.add_argument(
        "--session", nargs="+", metavar="ITEM", help="ids or names such as 'Artist - Title', the oldest first"
    )
    given.add_argument("--from", dest="table", type=Path, metavar="FILE", help="table of events with item ids")
    command.add_argument("--k", type=int, default=20, help="items for each session (%(default)s)")
    command.add_argument("--exclude-heard", action="store_true", help="leave out the items of the session")
    command.add_argument(
        "--at-most", nargs="+", default=[], metavar="LABEL=N", help="most items that share a label, such as artist=2"
    )
    command.add_argument("--out", type=Path, metavar="FILE", help="file to write: .csv, .json, or .m3u for one session")
    command = commands.add_parser("serve", help="serve a trained model over HTTP")
    command.add_argument("--model", type=Path, required=True, help="folder of a model, as for `recommend`")
    command.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s: this machine only)")
    command.add_argument("--port", type=int, default=8000, help="to listen on; 0 for any that is free (%(default)s)")
    command = commands.add_parser("bench", help="measure speed and memory; writes reports/bench/ and figures/bench/")
    command.add_argument("--size", choices=["toy", "tenth", "full"], default="tenth", help="of the data (%(default)s)")
    command.add_argument("--peers", type=Path, metavar="PYTHON", help="with the packages of requirements-peers.lock")
    words = parser.parse_args(argv)
    if words.command == "simulate":
        from gru4rec_lib.twin import simulate

        given = {"sessions": words.sessions, "seed": words.seed, "log_dates": words.dates}
        twin = check(Twin, given | {"content_signal": words.content_signal}, "simulate")
        simulate.simulate(words.out, **twin.model_dump())
    elif words.command == "shard":
        _shard(_place(words), words.step, words.log)
    elif words.command == "paper":
        from gru4rec_lib.study import paper

        paper.make(_place(words))
    elif words.command == "page":
        from gru4rec_lib.study import publish

        print(publish.page(words.notebook))
    elif words.command == "lab":
        from gru4rec_lib.study import notebook_copies

        lab = ROOT / "runs" / "lab"
        for line in notebook_copies.to_work_in(ROOT / "notebooks", lab):
            print(line)
        notebook_copies.link(lab, ROOT / "figures", ROOT / "reports")
    elif words.command == "doc-tables":
        from gru4rec_lib.study import doc_tables

        doc_tables.write(ROOT)
    elif words.command == "figures":
        _draw_figures(words)
    elif words.command == "search":
        from gru4rec_lib.study.tuning import search
        from gru4rec_lib.study.workflow import reproduce

        place = _place(words, searched=False)
        with reproduce.only_run(place.runs / ".lock"):
            search.search(place, words.space, words.trials, words.seed, tuple(words.cells), words.jobs)
    elif words.command == "check":
        from gru4rec_lib.study.check import check_path

        columns = {name: getattr(words, name) for name in COMMON}
        for line in check_path(words.path, words.data, words.quote, words.write, **columns):
            print(line, flush=True)
    elif words.command == "fit":
        from gru4rec_lib.study import final_model

        place = _place(words)
        out = words.out or place.runs / "model"
        final_model.fit(place, out, words.model)
        command = f"{sys.executable} -m gru4rec_lib recommend --model {out} --session ITEM ..."
        print(f"written: {out}; recommend by: {command}")
    elif words.command == "recommend":
        from gru4rec_lib.study import recommend

        limits = dict(map(recommend.limit, words.at_most))
        options = {"k": words.k, "exclude_heard": words.exclude_heard, "at_most": limits}
        for line in recommend.recommend(words.model, words.session, words.table, words.out, **options):
            print(line)
    elif words.command == "serve":
        try:
            from gru4rec_lib.serving import server
        except ModuleNotFoundError as error:
            problem = f"serve: the package {error.name} is not installed"
            raise ConfigError(f"{problem}; in the project's folder: python -m pip install '.[serve]'") from None
        server.serve(words.model, words.host, words.port)
    elif words.command == "bench":
        from gru4rec_lib.bench import run as bench

        bench.bench(words.size, other_python=words.peers)
    else:
        from gru4rec_lib.study import publish

        publish.publish(_place(words))
    return 0


def _place(words: argparse.Namespace, searched: bool = True) -> Workspace:
    """Return the workspace of the study that a command names; refuse folders that belong to another study."""
    place = Workspace(words.study, getattr(words, "data", ""), searched=searched)
    place.refuse_if_taken()
    return place


def _draw_figures(words: argparse.Namespace) -> None:
    """Draw all figures of a study, or one; with --out in another size or with other texts."""
    from gru4rec_lib.plotting import figures

    folder = _place(words).published_figures
    names = ("width_cm", "height_cm", "font_size", "title", "labels")
    changes = {name: given for name in names if (given := getattr(words, name)) is not None}
    if words.out is None and changes:
        raise ConfigError(f"--{next(iter(changes)).replace('_', '-')}: name the file to write, such as --out slide.pdf")
    if words.out is None:
        figures.redraw(folder, words.only or "")
        return
    if words.only is None:
        raise ConfigError("--out: name the figure to draw, such as --only table_2")
    if "labels" in changes:
        changes["labels"] = dict(map(_label, words.labels))
    figures.export(figures.csv_of(folder, words.only), words.out, **changes)


def _label(text: str) -> tuple[str, str]:
    old, sign, new = text.partition("=")
    if not old or not sign:
        raise ConfigError(f"--labels: `{shown(text)}` does not name an old and a new text; write it as loss=Verlust")
    return old, new


def _shard(place: Workspace, step: str, name: str) -> None:
    """Run one step of a study that is prepared log by log; notebook 02 joins the results."""
    from gru4rec_lib.preparation import sharded

    if not place.raw_data.shards:
        raise ConfigError(
            f"{place.study.name}: is not prepared log by log; set `data.shards: true` in the study to use `shard`"
        )
    if step != "index" and name not in (known := sharded.logs(place.raw_data)):
        raise ConfigError(f"--log: there is no log `{shown(name)}`; use one of {shown(', '.join(known))}")
    place.claim()
    if step == "index":
        sharded.index(place.raw_data)
    else:
        {"read": sharded.read_log, "encode": sharded.encode}[step](place.raw_data, name)


def _name_the_study(command: argparse.ArgumentParser) -> None:
    command.add_argument("--study", required=True)
    command.add_argument("--data", default="", help="folder of its raw files (default: data/raw/<data set>)")
