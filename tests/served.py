"""A service as HTTP shows it: a real server on a free port, whose document a test can set."""

import contextlib
import socket
import time
import urllib.error
import urllib.request

import msgspec

from daemon import metrics
from daemon.control import Migration
from daemon.cutover import Limits, Observation
from daemon.metrics import ProcessHealth
from daemon.phase import Phase
from daemon.routes import Routes
from daemon.server import View, serving
from daemon.signal.document import Paused, Progress, Tail, document
from daemon.signal.whole import whole

LETTERS = {"open": 0, "settled": 0, "retried": 0, "waived": 0}
TAIL = Tail(records=10, applied=9, expired=1, shards_open=2, shards_ended=1, shards_unowned=0, restarts=3)


def published(
    *,
    ready=True,
    writers=False,
    now=None,
    phase=Phase.REPLICATING,
    paused=Paused(),  # noqa: B008  frozen
    routes=Routes(),  # noqa: B008  frozen
    epoch=0,
    lag=1.0,
    verification=None,
    table="customers",
    name="orders",
):
    now = now or time.time()
    seen = Observation(now, 2, 2, 7, 7, None, now - lag, "round 3", None)
    migration = Migration(
        phase=phase,
        message="all is well",
        ready_since=now - 5 if ready else None,
        caught_up_since=now - 9,
        routes=routes,
        epoch=epoch,
    )
    progress = Progress(3, 100.0, TAIL, LETTERS, paused, verification)
    made = document(name, migration, seen, Limits(5, 3), progress, table)
    return msgspec.structs.replace(made, ready=msgspec.structs.replace(made.ready, writers=writers))


def several(*tables, name="shop"):
    """One document of several tables, as the service publishes it."""
    each = [msgspec.structs.replace(table, migration=f"{name}.{table.table}") for table in tables]
    return whole(name, each)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body


class Served:
    """A server on a free port whose views a test can set."""

    def __init__(self):
        self.document = None
        self.why_not = None
        self.looped_at = time.monotonic()
        health = ProcessHealth(leader=True, jvm_restarts=3, worker_restarts=1, observed_at=123.0)
        registry = metrics.registry(lambda: self.document, lambda: health)
        self.view = View(lambda: self.document, lambda: self.why_not, lambda: self.looped_at, registry)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def ask(self, path, *, method="GET", body=None, headers=None):
        """Status, headers and body of one request, whatever it is answered with."""
        request = urllib.request.Request(self.url + path, data=body, headers=headers or {}, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  our own server
                return Answer(answer.status, answer.headers, answer.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read().decode())

    def get(self, path):
        answer = self.ask(path)
        return answer.status, answer.body


@contextlib.contextmanager
def served():
    made = Served()
    with serving(made.view, "127.0.0.1", made.port):
        for _ in range(100):
            try:
                made.get("/livez")
                break
            except OSError:
                time.sleep(0.05)
        yield made
