"""Snakemake with one readable line a step: `python -m gru4rec_lib.study.workflow.progress SNAKEMAKE-ARGUMENTS`.

Snakemake's own log takes five lines a step. This module registers itself as a logger plugin, which receives records
instead of text. Warnings and errors, with the logs of failed steps, are printed as Snakemake prints them.
"""

import logging
import sys

from snakemake.cli import main
from snakemake.logging import DefaultFormatter
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry


class LogHandler(LogHandlerBase):
    """Print `time  number of total  the rule's message` when a step starts.

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
        self.started = self.total = 0
        self.setFormatter(DefaultFormatter(show_failed_logs=self.common_settings.show_failed_logs))

    def emit(self, record: logging.LogRecord) -> None:
        """Print started steps, warnings and errors; called by `logging`.

        Args:
            record: of Snakemake, with or without an `event`.
        """
        event = getattr(record, "event", None)
        if event == LogEvent.RUN_INFO:
            self.total = record.stats["total"]
        elif event == LogEvent.JOB_INFO:
            self.started += 1
            step = record.rule_msg or record.rule_name
            self._write(f"{self.started:>3} of {self.total}  {step}", record)
        elif record.levelno >= logging.WARNING:
            print(self.format(record), file=sys.stderr, flush=True)
        elif record.getMessage().startswith("Nothing to be done"):
            self._write("nothing to do: every product is up to date", record)

    def _write(self, text: str, record: logging.LogRecord) -> None:
        print(f"{self.formatter.formatTime(record, '%H:%M:%S')}  {text}", flush=True)


if __name__ == "__main__":
    LoggerPluginRegistry().register_plugin("snakemake_logger_plugin_lines", sys.modules[__name__])
    main(["--logger", "lines", *sys.argv[1:]])
