"""A table without an export: scanned while it is written; the tail paused, the service stopped, resumed."""

import re
import subprocess
import sys
import time

import pytest
from e2e.watched import Watched, ready

from daemon.demo.servers.process import free_port
from daemon.demo.stage import Stage

pytestmark = [pytest.mark.server, pytest.mark.timeout(800)]
ITEMS, PAUSE_SECONDS, STOP_SECONDS_MAX = 3000, 15, 60


def by_scan(path, letters):
    """The demo's configuration, with a scan in the place of its export."""
    text = re.sub(r"  from: s3-export\n  manifest: .*\n", "  from: scan\n", path.read_text())
    scan = "  scan: {segments: 4, read_units_per_second: 60}\n"
    path.write_text(text.replace("  from: scan\n", "  from: scan\n" + scan) + f"dead_letters: {{to: {letters}}}\n")
    return path


def moveout(config, *words):
    command = [sys.executable, "-m", "daemon.cli", *words, "--config", str(config)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_a_move_by_scan_is_paused_stopped_and_resumed_and_loses_nothing(tmp_path):
    with Stage(tmp_path, "dynamodb") as stage:
        stage.open()
        stage.load(1, ITEMS, lambda _: None)
        stage.wait_for_servers()
        stage.start_application(1, ITEMS)
        time.sleep(3)  # the stream must be older than the margin
        listen = f"127.0.0.1:{free_port()}"
        config = by_scan(stage.configure("s3://none/manifest-summary.json", listen), tmp_path / "letters")
        assert "at most 60 read units per second" in moveout(config, "check")
        service = Watched(config, listen, tmp_path / "service.log")
        try:
            slow = service.wait(lambda d: d["backfill"]["items_done"] > ITEMS / 10)
            assert slow["backfill"]["parts_total"] == 4
            assert "600 read units per second (set)" in moveout(config, "set", "backfill.read_units=600")
            service.wait(ready)
            assert "paused" in moveout(config, "pause", "tail")
            time.sleep(PAUSE_SECONDS)
            paused = service.document()
            assert paused["paused"]["tail"]
            assert 22.5 * 3600 < paused["paused"]["trims_in_seconds"] < 23 * 3600 - PAUSE_SECONDS / 2
            assert not ready(paused)
            assert paused["lag"]["seconds"] > PAUSE_SECONDS / 2
            service.process.terminate()
            service.process.wait(STOP_SECONDS_MAX)
            service = Watched(config, listen, tmp_path / "service-2.log")
            again = service.wait(lambda d: d["paused"]["tail"] and d["published_at"] > paused["published_at"])
            assert not ready(again)
            assert "the tail is paused" in moveout(config, "status")
            moveout(config, "resume")
            service.wait(ready)
            stage.stop_application()
            stopped = time.time()
            service.wait(lambda d: ready(d) and d["lag"]["seconds"] < time.time() - stopped)
            assert stage.compare().differences == 0
        finally:
            service.process.terminate()
            service.process.wait(STOP_SECONDS_MAX)
