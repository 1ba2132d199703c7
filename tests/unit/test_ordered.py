"""What the engine does, and refuses, for a target that keeps what arrives last."""

from types import SimpleNamespace

import pytest
from botocore.exceptions import EndpointConnectionError
from fakes import MemoryControl
from pydantic import ValidationError

from daemon import ordered, resync
from daemon.config import Config
from daemon.control import Migration
from daemon.estimate import Basis, estimates
from daemon.phase import Phase

MANIFEST = "s3://b/AWSDynamoDB/01/manifest-summary.json"


def config(mode="ordered", **backfill):
    return Config(
        migration="orders",
        source={"table": "orders", "region": "r"},
        backfill={"manifest": MANIFEST, **backfill},
        target={"kind": "dynamodb", "table": "moved", "region": "r", "mode": mode},
    )


class Control(MemoryControl):
    away = False

    def get(self, record, kind):
        if self.away:
            raise EndpointConnectionError(endpoint_url="nowhere")
        return super().get(record, kind)


class Known:
    def __init__(self, mode="ordered"):
        self.config, self.control, self.now = config(mode), Control(), 0.0
        self.clock = SimpleNamespace(monotonic=self._later)

    def _later(self):
        self.now += 3  # each look is a new one
        return self.now

    def became(self, phase, generation=1):
        self.control.update("migration", Migration, lambda _: Migration(phase=phase, generation=generation))


def test_the_tail_waits_until_all_is_loaded_and_never_again():
    known = Known()
    waits = ordered.Hold(known, 1)
    assert waits()  # nothing is anchored
    for phase in (Phase.ANCHORED, Phase.BACKFILLING):
        known.became(phase)
        assert waits()
    known.control.away = True
    assert waits()
    known.control.away = False
    known.became(Phase.REPLICATING)
    assert not waits()
    known.control.away = True
    assert not waits()


def test_what_another_generation_has_loaded_is_not_what_this_ones_tail_waits_for():
    known = Known()
    known.became(Phase.REPLICATING, generation=2)
    assert ordered.Hold(known, 1)()


def test_a_target_with_versions_lets_its_tail_run_at_once():
    assert not ordered.Hold(Known("exact"), 1)()


def test_windows_are_refused_when_the_file_is_read():
    with pytest.raises(ValidationError, match="windows need versions"):
        config(windows=[MANIFEST])


@pytest.mark.parametrize(
    "heal",
    [
        lambda known: resync.by_full_export(known, MANIFEST),
        resync.by_scan,
        lambda known: resync.by_windows(known, [MANIFEST]),
        resync.advice,
    ],
)
def test_a_resync_is_refused_before_anything_is_touched_with_what_to_do_instead(heal):
    with pytest.raises(resync.NotHealed, match="Empty the target table"):
        heal(Known())


def test_a_load_that_outlasts_the_stream_is_told_with_the_rate_that_would_do():
    assert ordered.too_long(82_800_000, 1000) is None  # 23 hours
    assert "to 1,001 or more" in ordered.too_long(82_900_000, 1000)
    slow = {figure.name: figure for figure in estimates(config(items_per_second=10), Basis(1_000_000, 10**9, "x"))}
    assert "too long" in slow["load"].told
    unlimited = {figure.name: figure for figure in estimates(config(), Basis(1_000_000, 10**9, "x"))}
    assert "the tail waits for the load" in unlimited["load"].told
    assert "batch writes" in unlimited["write units"].source
