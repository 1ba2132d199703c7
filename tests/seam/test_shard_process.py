"""Our processor inside the real amazon_kclpy loop, against the Java side of the pipe played here."""

import json
import signal
import subprocess
import sys
import threading
import time
from base64 import b64encode
from pathlib import Path

import pytest
from fakes import record

CHILD = Path(__file__).with_name("shard_child.py")


class Java:
    """What MultiLangDaemon writes to a child and reads from it."""

    def __init__(self, folder, fault="none", *more):
        self.folder = folder
        self.refusals = []
        self.checkpoints = []
        self.process = subprocess.Popen(
            [sys.executable, str(CHILD), str(folder), fault, *more],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def tell(self, action, **details):
        """Send an action; the messages up to its status, or None when the child ended instead."""
        self._send({"action": action, **details})
        while line := self.process.stdout.readline():
            if not line.strip():
                continue
            message = json.loads(line)
            if message["action"] == "checkpoint":
                self._checkpointed(message["sequenceNumber"])
            else:
                return message
        return None

    def begin(self):
        return self.tell("initialize", shardId="shard-1", sequenceNumber="TRIM_HORIZON", subSequenceNumber=0)

    def page(self, *records):
        rows = [
            {
                "action": "record",
                "data": b64encode(made.binary_data).decode(),
                "partitionKey": made.sequence_number,
                "sequenceNumber": made.sequence_number,
                "subSequenceNumber": 0,
                "approximateArrivalTimestamp": 0,
            }
            for made in records
        ]
        return self.tell("processRecords", records=rows, millisBehindLatest=None)

    def steps(self):
        path = self.folder / "steps.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def end(self):
        self.process.stdin.close()
        return self.process.wait(20)

    def _checkpointed(self, sequence):
        refusal = self.refusals.pop(0) if self.refusals else None
        if refusal is None:
            self.checkpoints.append(sequence)
        self._send({"action": "checkpoint", "sequenceNumber": sequence, "subSequenceNumber": 0, "error": refusal})

    def _send(self, message):
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()


@pytest.fixture
def java(tmp_path):
    started = []

    def start(fault="none", *more):
        started.append(Java(tmp_path, fault, *more))
        return started[-1]

    yield start
    for made in started:
        with made.process as process:
            process.kill()


BEAT = {"moveout:round": {"N": "4"}}


def write(number, key="a"):
    return record(number, "INSERT", key, {"n": {"N": str(number)}})


def test_changes_are_applied_then_durable_then_checkpointed(java):
    kcl = java()
    kcl.begin()
    assert kcl.page(write(1), write(2, "b"))["responseFor"] == "processRecords"
    assert kcl.checkpoints == [f"{2:021d}"]
    assert [step["step"] for step in kcl.steps()] == ["durable", "applied", "durable"]
    assert kcl.steps()[2]["positions"] == [f"{2:021d}"]


def test_an_exception_ends_the_process_and_the_batch_is_never_reported_as_done(java):
    kcl = java("sink-raises")
    kcl.begin()
    assert kcl.page(write(1)) is None
    assert kcl.process.wait(20) == 1
    assert kcl.checkpoints == []
    assert "on fire" in kcl.process.stderr.read()
    assert kcl.steps()[-1]["trouble"] == "RuntimeError: the target database is on fire"


def test_without_our_guard_the_stock_loop_would_report_the_lost_batch_as_done(java):
    # Planted: the guard is left off. This is why it is there.
    kcl = java("sink-raises", "without-or-die")
    kcl.begin()
    assert kcl.page(write(1)) == {"action": "status", "responseFor": "processRecords"}


def test_a_stray_print_never_reaches_the_protocol(java):
    kcl = java("prints")
    kcl.begin()
    assert kcl.page(write(1))["action"] == "status"
    assert kcl.page(write(2))["action"] == "status"
    assert kcl.checkpoints == [f"{1:021d}", f"{2:021d}"]


def test_signals_to_the_group_do_not_cut_a_batch_short(java):
    kcl = java()
    kcl.begin()
    kcl.process.send_signal(signal.SIGTERM)
    kcl.process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    assert kcl.page(write(1))["action"] == "status"


def test_the_process_ends_when_java_is_gone(java):
    kcl = java()
    kcl.begin()
    assert kcl.end() == 0
    assert kcl.steps()[-1] == {"step": "ended"}


def test_the_end_of_a_shard_is_durable_before_its_children_may_begin(java):
    kcl = java()
    kcl.begin()
    kcl.page(write(1))
    kcl.tell("shardEnded")
    assert kcl.checkpoints[-1] is None
    assert kcl.steps()[-1]["ended"]


def test_after_its_lease_is_lost_a_zombie_writes_nothing_more(java):
    kcl = java()
    kcl.begin()
    kcl.refusals = ["ShutdownException"]
    kcl.page(write(1))
    assert kcl.page(write(2))["action"] == "status"
    assert [step.get("keys") for step in kcl.steps() if step["step"] == "applied"] == [["a"]]


def test_a_throttled_checkpoint_is_tried_again(java):
    kcl = java()
    kcl.begin()
    kcl.refusals = ["ThrottlingException", "ThrottlingException"]
    kcl.page(write(1))
    assert kcl.checkpoints == [f"{1:021d}"]


def test_a_checkpoint_that_can_never_work_ends_the_process(java):
    kcl = java()
    kcl.begin()
    kcl.refusals = ["InvalidStateException"]
    assert kcl.page(write(1)) is None
    assert kcl.process.wait(20) == 1


def test_an_orderly_stop_checkpoints_what_is_applied(java):
    kcl = java()
    kcl.begin()
    kcl.page(write(1))
    assert kcl.tell("shutdownRequested")["responseFor"] == "shutdownRequested"
    assert kcl.tell("leaseLost")["responseFor"] == "leaseLost"


def test_an_empty_page_is_no_reason_to_checkpoint(java):
    kcl = java()
    kcl.begin()
    kcl.page()
    assert kcl.checkpoints == []


def test_a_frozen_shard_says_so_durably_and_applies_nothing_until_it_is_told_to_go_on(java, tmp_path):
    kcl = java()
    kcl.begin()
    kcl.page(write(1))
    (tmp_path / "orders").write_text("freeze")
    kcl.page()  # an idle shard has to say so as well, and is not held up
    assert kcl.steps()[-1]["frozen"] == 7
    held = threading.Thread(target=lambda: kcl.page(write(2)))
    held.start()
    held.join(1.0)
    assert held.is_alive()
    assert [step["keys"] for step in kcl.steps() if step["step"] == "applied"] == [["a"]]
    (tmp_path / "orders").write_text("")
    held.join(20)
    assert [step["keys"] for step in kcl.steps() if step["step"] == "applied"] == [["a"], ["a"]]


def test_after_the_switch_a_write_of_the_source_is_kept_and_never_applied(java, tmp_path):
    kcl = java()
    (tmp_path / "orders").write_text("detect")
    kcl.begin()
    expired = {"userIdentity": {"type": "Service", "principalId": "dynamodb.amazonaws.com"}}
    kcl.page(write(1), record(2, "REMOVE", "b", **expired), record(3, "MODIFY", "moveout#heartbeat#1", BEAT))
    steps = [step for step in kcl.steps() if step["step"] != "durable"]
    assert [(step["step"], step["sequence"]) for step in steps] == [("stray", f"{1:021d}")]
    assert kcl.steps()[-1]["strays"] == 1
    assert kcl.checkpoints == [f"{3:021d}"]


def test_an_idle_shard_acknowledges_a_watch_with_its_first_empty_page(java):
    kcl = java("watched")
    kcl.begin()
    assert kcl.page()["action"] == "status"
    assert [step["watch"] for step in kcl.steps()] == ["", "w1"]
    assert kcl.checkpoints == []


def test_that_a_watched_key_was_touched_is_durable_together_with_the_position(java):
    kcl = java("watched")
    kcl.begin()
    kcl.page(write(1, "b"))
    kcl.page(write(2, "a"))
    durable = [step for step in kcl.steps() if step["step"] == "durable"]
    assert [(step["positions"][-1:], step["touched"]) for step in durable] == [
        ([], 0),
        ([f"{1:021d}"], 0),
        ([f"{2:021d}"], 1),
    ]


def test_a_row_that_is_not_the_old_image_is_counted_and_told_before_the_event_replaces_it(java):
    kcl = java("asserted")
    kcl.begin()
    kcl.page(write(1, "a"))
    kcl.page(record(2, "MODIFY", "a", {"n": {"N": "2"}}, old={"n": {"N": "1.0"}}))
    kcl.page(record(3, "MODIFY", "a", {"n": {"N": "3"}}, old={"n": {"N": "7"}}))
    told = [step for step in kcl.steps() if step["step"] != "durable"]
    assert [step["step"] for step in told] == ["applied", "applied", "differs", "applied"]
    assert told[2] == {"step": "differs", "key": "a", "kind": "changed"}
    assert kcl.steps()[-1]["compared"] == [3, 1]
