import sys
import time

import pytest
from structlog.testing import capture_logs

from daemon.kcl.jvm import EXIT_MEANING, EXIT_NO_MEMORY, StreamsDaemon, java_flags


class Ends:
    """Counts what is given back, and what was logged until then."""

    def __init__(self):
        self.count = 0

    def __call__(self):
        self.count += 1


def python(script):
    """A process in Java's place."""
    return [sys.executable, "-u", "-c", script]


def ended(daemon):
    end = time.monotonic() + 20
    while daemon.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.02)
    return daemon.poll()


def logged(*lines):
    with capture_logs() as logs:
        ended(StreamsDaemon(python("\n".join(f"print({line!r})" for line in lines)), {}))
    return [entry for entry in logs if entry["event"] == "kcl_logged"]


def test_a_jvm_that_ends_by_itself_gives_back_what_was_made_for_it_once():
    ends = Ends()
    daemon = StreamsDaemon(python("raise SystemExit(44)"), {}, ends)
    assert ended(daemon) == 44
    assert daemon.stop(1) == 44
    assert ends.count == 1


def test_a_jvm_that_is_stopped_gives_back_what_was_made_for_it():
    ends = Ends()
    daemon = StreamsDaemon(python("import time; time.sleep(60)"), {}, ends)
    assert daemon.poll() is None
    assert ends.count == 0
    assert daemon.stop(20) == -15
    assert ends.count == 1


def test_a_jvm_that_does_not_stop_is_killed_after_the_grace():
    script = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf'); time.sleep(60)"
    with capture_logs() as logs:
        daemon = StreamsDaemon(python(script), {})
        while not logs:
            time.sleep(0.02)
        assert daemon.stop(0.2) == -9


def test_the_jvms_stdin_stays_open_while_it_runs():
    daemon = StreamsDaemon(python("import sys; sys.stdin.read(); print('told to stop')"), {})
    time.sleep(0.3)
    assert daemon.poll() is None
    daemon.stop(20)


def test_children_get_the_environment_that_was_given():
    with capture_logs() as logs:
        ended(StreamsDaemon(python("import os; print(os.environ['GIVEN'])"), {"GIVEN": "yes"}))
    assert [entry["message"] for entry in logs] == ["yes"]


@pytest.mark.parametrize(("level", "as_logged"), [("INFO", "debug"), ("WARN", "warning"), ("ERROR", "error")])
def test_javas_lines_become_ours_at_the_same_level_but_chatter_only_at_debug(level, as_logged):
    (entry,) = logged(f"{level:<5} GapDetector - STREAM_GAP shard-1")
    assert entry == {
        "event": "kcl_logged",
        "log_level": as_logged,
        "logger_name": "GapDetector",
        "message": "STREAM_GAP shard-1",
    }


@pytest.mark.parametrize(
    "line",
    [
        "ERROR PeriodicShardSyncManager - Incomplete hash range found for stream s between Lease(a) and Lease(b).",
        "WARN  StreamsSchedulerFactory - Setting the delay to complete a shard sync task as 0.",
    ],
)
def test_what_java_says_of_every_healthy_run_alarms_nobody(line):
    (entry,) = logged(line)
    assert entry["log_level"] == "debug"


def test_a_line_that_is_not_a_log_line_is_kept_at_debug():
    (entry,) = logged("\tat java.base/java.lang.Thread.run")
    assert entry["log_level"] == "debug"


def test_a_jvm_without_memory_ends_instead_of_limping_on(tmp_path):
    assert "-XX:+ExitOnOutOfMemoryError" in java_flags(256, tmp_path)
    assert "jvm_heap_mib" in EXIT_MEANING[EXIT_NO_MEMORY]
