"""A replica is killed after a hook was told and before that is noted: the next one tells it again, with the same id."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from receiver import Receiver, Reply

from daemon.control import Control
from daemon.signal.outbox import Outbox

pytestmark = pytest.mark.server
TESTS = Path(__file__).parents[1]


def test_a_killed_replicas_event_is_told_again_with_the_same_id_and_then_never_more(dynamodb, client, fresh_name):
    control = Control(client, fresh_name(), "orders")
    control.create_table()
    hold = threading.Event()
    with Receiver(Reply(204, hold=hold), Reply(204)) as receiver:

        def replica():
            words = [TESTS / "seam" / "hook_child.py", dynamodb.endpoint_url, control._table, receiver.url]
            path = os.pathsep.join((str(TESTS.parent), str(TESTS)))
            return subprocess.Popen([sys.executable, *words], env={**os.environ, "PYTHONPATH": path})

        first = replica()
        assert receiver.came.acquire(timeout=120)
        first.kill()
        first.wait()
        hold.set()
        assert len(control.get("hook#0", Outbox)[0].pending) == 1
        for _ in range(2):
            assert replica().wait(120) == 0
        one, again = receiver.requests
    assert one.event["id"] == again.event["id"]
    assert one.body == again.body
    assert control.get("hook#0", Outbox)[0].delivered == one.event["id"]
