"""Snakemake with one readable line a step: `python -m gru4rec_lib.study.workflow.progress SNAKEMAKE-ARGUMENTS`.

Snakemake's own log takes five lines a step. This module registers itself as a logger plugin, which receives records
instead of text. Warnings and errors, with the logs of failed steps, are printed as Snakemake prints them.
"""

import logging
import re
import sys

from snakemake.cli import main
from snakemake.logging import DefaultFormatter
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry

from gru4rec_lib.study.workflow import cluster

# How the plugins for Slurm and for generic clusters report that they submitted a job: Snakemake's number, and the id.
_SUBMITTED = re.compile(r"[Jj]ob (\d+) (?:has been submitted with SLURM jobid|with external jobid) '?([^\s']+)")


class LogHandler(LogHandlerBase):
    """Print `time  number of total  the rule's message` when a step starts.

    Jobs of a cluster may be in its queue for long: the line comes when a step has finished, and another one, with the
    job's id, when it is submitted.

    Args:
        common_settings: Snakemake's output settings.
        settings: none.
    """

    writes_to_stream = True
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def __post_init__(self):
        self.count = self.total = 0
        self.submits, self.steps = False, {}
        self.setFormatter(DefaultFormatter(show_failed_logs=self.common_settings.show_failed_logs))

    def emit(self, record: logging.LogRecord) -> None:
        """Print started steps, warnings and errors; called by `logging`.

        Args:
            record: of Snakemake, with or without an `event`.
        """
        event = getattr(record, "event", None)
        if event == LogEvent.RUN_INFO:
            self.total = record.stats["total"]
        elif event == LogEvent.RESOURCES_INFO and hasattr(record, "nodes"):
            self.submits = True
        elif event == LogEvent.JOB_INFO:
            self.steps[record.jobid] = record.rule_msg or record.rule_name
            if not self.submits:
                self._count(record.jobid, record)
        elif event == LogEvent.JOB_FINISHED:
            if self.submits:
                self._count(record.job_id, record)
        elif submitted := _SUBMITTED.search(record.getMessage()):
            number, job = submitted.groups()
            self._write(f"submitted  {self.steps.get(int(number), number)}, job {job}", record)
        elif record.levelno >= logging.WARNING:
            print(self.format(record), file=sys.stderr, flush=True)
        elif record.getMessage().startswith("Nothing to be done"):
            self._write("nothing to do: every product is up to date", record)

    def _count(self, number: int, record: logging.LogRecord) -> None:
        self.count += 1
        self._write(f"{self.count:>3} of {self.total}  {self.steps.get(number, number)}", record)

    def _write(self, text: str, record: logging.LogRecord) -> None:
        print(f"{self.formatter.formatTime(record, '%H:%M:%S')}  {text}", flush=True)


if __name__ == "__main__":
    LoggerPluginRegistry().register_plugin("snakemake_logger_plugin_lines", sys.modules[__name__])
    cluster.adapt_slurm_plugin()
    main(["--logger", "lines", *sys.argv[1:]])
