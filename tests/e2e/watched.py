"""`moveout run` as a process of its own, seen over HTTP."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

READY_SECONDS_MAX = 240


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

    def wait(self, holds, seconds=READY_SECONDS_MAX):
        end = time.monotonic() + seconds
        while (found := self.document()) is None or not holds(found):
            assert time.monotonic() < end, found
            time.sleep(0.5)
        return found


def ready(document):
    return document["ready"]["readers"]
