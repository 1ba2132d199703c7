"""The service and the target's settings: watched while it moves, and nothing moves after the end."""

import random
from types import SimpleNamespace

import pytest
from fakes import MemoryControl
from unit.managed_export import Clock, configured

from daemon.completion import Completion
from daemon.control import Migration, Settings
from daemon.phase import Phase
from daemon.preflight import CheckFailed
from daemon.service import Service
from sinks.memory import MemorySink
from sinks.provision import SchemaStep


class AlteredSink(MemorySink):
    def hazards(self):
        return [SchemaStep("ALTER TABLE t WITH gc_grace_seconds = 9", "gc_grace_seconds is 0")]

    def restore(self, _before, _told):
        raise AssertionError("nobody completes here")


class Inline:
    """daemon.processes.Processes without children: work beside the loop is done at once."""

    def beside(self, _name, act, *_):
        return SimpleNamespace(done=False, start=act)

    def kcl(self):
        raise AssertionError("mode is backfill")

    worker = kcl


@pytest.fixture
def known():
    control = MemoryControl()
    control.create_table = lambda: None
    control.put("migration", Migration(phase=Phase.ANCHORED, mode="backfill", generation=1, parts=1), 0)
    config = configured().model_copy(update={"mode": "backfill"})
    return SimpleNamespace(
        config=config.model_copy(update={"backfill": config.backfill.model_copy(update={"workers": 0})}),
        control=control,
        clock=Clock(),
        chance=random.Random(1),
        settings=SimpleNamespace(now=Settings),
        table=None,
        sink=lambda **_: AlteredSink(),
    )


def test_a_setting_that_was_altered_back_is_in_the_document_with_what_mends_it(known):
    service = Service(known, Inline(), SimpleNamespace(held=lambda: True))
    service.turn()
    safe = next(c for c in service.published.conditions if c.type == "TargetSafe")
    assert (safe.status, safe.reason) == (False, "SettingsAltered")
    assert "ALTER TABLE t WITH gc_grace_seconds = 9" in safe.message


def test_a_replica_that_only_follows_does_not_ask_the_target(known):
    known.sink = None
    service = Service(known, Inline(), SimpleNamespace(held=lambda: False))
    service.turn()
    assert service.not_ready() is None


def test_a_service_that_was_completed_does_not_start_again(known):
    service = Service(known, Inline(), SimpleNamespace(held=lambda: True))
    service.prepare()
    known.control.put("completion", Completion(1.0), 0)
    with pytest.raises(CheckFailed, match="was completed"):
        service.prepare()
