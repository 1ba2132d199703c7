"""The target falls silent for half a minute while the application goes on writing."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from daemon.demo.servers.process import free_port
from daemon.demo.stage import Stage

pytestmark = [pytest.mark.server, pytest.mark.timeout(400)]
OUTAGE_SECONDS = 30
READY_SECONDS_MAX = 150


class Watched:
    """`moveout run` as its own process, seen over HTTP."""

    def __init__(self, config, listen, log):
        self.url = f"http://{listen}"
        with log.open("w") as stderr:
            command = [sys.executable, "-m", "daemon.cli", "run", "--config", str(config)]
            self.process = subprocess.Popen(command, stderr=stderr, env=os.environ)

    def document(self):
        try:
            return json.loads(self.get("/v1/migration")[1])
        except (OSError, ValueError):
            return None

    def get(self, path):
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:  # noqa: S310  our own server
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def wait(self, holds):
        end = time.monotonic() + READY_SECONDS_MAX
        while (found := self.document()) is None or not holds(found):
            assert time.monotonic() < end, found
            time.sleep(0.5)
        return found


def ready(document):
    return document["ready"]["readers"]


def test_an_outage_of_the_target_is_told_waited_out_and_loses_nothing(tmp_path):
    with Stage(tmp_path, "cassandra") as stage:
        stage.open()
        stage.load(1, 1000, lambda _: None)
        stage.wait_for_servers()
        stage.start_application(1, 1000)
        time.sleep(2)
        listen = f"127.0.0.1:{free_port()}"
        service = Watched(stage.configure(stage.export(), listen), listen, tmp_path / "service.log")
        try:
            service.wait(ready)
            node = stage._cassandra.result()
            node.freeze()
            time.sleep(OUTAGE_SECONDS)
            silent = service.document()
            assert not ready(silent)
            assert silent["message"].startswith("waiting for TargetAvailable")
            assert silent["lag"]["seconds"] > OUTAGE_SECONDS / 2
            assert service.get("/readyz")[0] == 503
            node.thaw()
            service.wait(ready)
            stage.stop_application()
            stopped = time.time()
            service.wait(lambda d: ready(d) and d["lag"]["seconds"] < time.time() - stopped)
            assert stage.compare().differences == 0
            assert service.document()["tail"]["restarts"] == 0
        finally:
            service.process.terminate()
            service.process.wait(60)
