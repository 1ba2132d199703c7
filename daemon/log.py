"""Structured logs: one line per event, past tense, keys bound once. JSON for machines, console for people."""

import contextlib
import fcntl
import os
import sys
from pathlib import Path
from typing import Any, TextIO

import structlog

# Shard processes are the JVM's children; their stderr would reach us wrapped in Java's own log lines.
# So they write straight to the supervisor's log, named by this variable.
LOG_PATH_VARIABLE = "MOVEOUT_LOG_PATH"


def configure(log_format: str, level: str, **bound: Any) -> None:
    """Set up structlog for this process; `bound` goes on every line (migration, role, …)."""
    render: Any = structlog.processors.JSONRenderer()
    if log_format == "console":
        render = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(_stream()),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(**bound)


def export_path() -> dict[str, str]:
    """The environment that makes child processes log where this one does, where the system allows it."""
    # Several processes write: where stderr is a file, each must write at its end, not where it left off.
    with contextlib.suppress(OSError):
        fcntl.fcntl(2, fcntl.F_SETFL, fcntl.fcntl(2, fcntl.F_GETFL) | os.O_APPEND)
    path = Path(f"/proc/{os.getpid()}/fd/{sys.stderr.fileno()}")
    return {LOG_PATH_VARIABLE: str(path)} if path.exists() else {}


def _stream() -> TextIO:
    path = os.environ.get(LOG_PATH_VARIABLE)
    if path is None:
        return sys.stderr
    try:
        return open(path, "a", buffering=1)
    except OSError:
        return sys.stderr
