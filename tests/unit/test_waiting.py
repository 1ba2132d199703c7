"""What `moveout wait` takes for reached, for never, and for away."""

import time

import msgspec
import pytest
from unit.test_whole import table

import daemon.waiting as waiting_module
from daemon.phase import Phase
from daemon.signal.document import iso
from daemon.waiting import NEVER, REACHED, TIMEOUT, condition, wait


def published(**about):
    made = table("orders", **about)
    valid = msgspec.structs.replace(made.ready, valid_until=iso(time.time() + 30))
    return msgspec.structs.replace(made, ready=valid)


def waited(document, text, monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr(waiting_module, "_fetch", lambda _: document)
    return wait("http://h", condition(text), 5, lambda _: None, now=lambda: next(clock), sleep=lambda _: None)


@pytest.mark.parametrize(
    ("about", "text", "code"),
    [
        ({}, "ready-readers", REACHED),
        ({"ready": False, "phase": Phase.BACKFILLING}, "ready-readers", TIMEOUT),
        ({"ready": False, "phase": Phase.NEEDS_RESYNC, "gap": "trimmed"}, "ready-readers", NEVER),
        ({"ready": False, "phase": Phase.NEEDS_RESYNC, "gap": "trimmed"}, "phase=needs-resync", REACHED),
        ({"ready": False, "phase": Phase.LOADED}, "phase=loaded", REACHED),
        ({"ready": False, "phase": Phase.LOADED}, "ready-readers", NEVER),
        ({"ready": False, "phase": Phase.LOADED}, "phase=replicating", NEVER),
    ],
)
def test_what_can_hold_no_more_is_not_waited_for(about, text, code, monkeypatch):
    # A backfill without a tail ends with `loaded`: no reader is ever told to switch by it.
    assert waited(published(**about), text, monkeypatch).code == code
