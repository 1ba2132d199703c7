"""The settings of a real Cassandra table are altered behind a running service's back: `ready` falls, and comes back.

The service's loop, its guard, its anchor, its heartbeats and the control table are the real ones; only the KCL is not:
a stand-in says of each shard that the newest heartbeat has come through, so that `ready` hangs on the settings alone.
"""

import threading
import time

import msgspec
import pytest

from daemon.app import Parts
from daemon.beside import Beside
from daemon.config import Config
from daemon.control import Proof, ShardState, shards_of
from daemon.demo.source_table import create, enable_stream
from daemon.lag import SIBLING_SECONDS
from daemon.service import Service
from daemon.source import shards
from daemon.target_settings import LOOK_SECONDS

pytestmark = [pytest.mark.server, pytest.mark.timeout(120)]
TURNS_MAX = 300
GRACE_SECONDS = 4 * 86_400


class Ahead:
    """The clock, late enough that no shard is young; the pause of the guard is skipped instead of waited for."""

    def __init__(self):
        self.skipped = 0.0

    def time(self):
        return time.time() + 2 * SIBLING_SECONDS

    def monotonic(self):
        return time.monotonic() + self.skipped

    def sleep(self, seconds):
        time.sleep(seconds)


class Tail:
    """In the place of the KCL: every shard of the stream is owned, and has applied the newest heartbeat."""

    pid = 0

    def __init__(self, known):
        self._known = known

    def poll(self):
        return None

    def stop(self, grace_seconds):  # noqa: ARG002  the protocol's
        return 0

    def read(self):
        proof = self._known.control.get("proof", Proof)
        stream = shards.describe(self._known.streams, self._known.facts.stream.arn)
        for shard in stream.shards:
            seen = ShardState(1, heartbeat_round=proof[0].round if proof else 0, owner="here")
            self._known.control.update(
                shards_of(1) + shard,
                ShardState,
                lambda known, seen=seen: msgspec.structs.replace(known or seen, heartbeat_round=seen.heartbeat_round),
            )


class InThreads:
    """daemon.processes.Processes whose only child is a Tail; work beside the loop is in threads, as always."""

    def __init__(self, known):
        self._known = known
        self.tail = Tail(known)

    def check(self):
        """Nothing needs a JVM."""

    def kcl(self):
        return self.tail

    def beside(self, name, act, every_seconds=0.0):
        return Beside(name, act, every_seconds, self._known.clock)


class Running:
    """A service, turned by hand."""

    def __init__(self, config):
        self.known = Parts(config)
        self.known.clock = self.clock = Ahead()
        self._processes = InThreads(self.known)
        self.service = Service(self.known, self._processes)
        self.service.prepare()
        assert self.service.begun()

    def turned_until(self, holds):
        """The document as soon as it holds, the guard's pause skipped each time."""
        for _ in range(TURNS_MAX):
            self._processes.tail.read()
            self.service.turn()
            assert self.service.not_ready() is None
            found = self.service.published
            if found is not None and holds(found):
                return found
            self.clock.skipped += LOOK_SECONDS
            time.sleep(0.05)
        raise AssertionError(f"still {found}")


@pytest.fixture
def running(client, dynamodb, cassandra, session, fresh_name, tmp_path):
    name = fresh_name()
    create(client, name)
    enable_stream(client, name)
    made = Running(
        Config(
            migration=name,
            mode="tail",
            source={"table": name, "region": "us-east-1", "endpoint_url": dynamodb.endpoint_url},
            target={
                "kind": "cassandra",
                "contact_points": [cassandra.host],
                "port": cassandra.port,
                "local_datacenter": "datacenter1",
                "keyspace": "moved",
                "table": name,
                "create_table": True,
            },
            ready={"max_lag_seconds": 30, "stable_for_seconds": 0},
            control={"table": f"{name}-control"},
            dead_letters={"to": str(tmp_path)},
        )
    )
    yield made, lambda grace: session.execute(f"ALTER TABLE moved.{name} WITH gc_grace_seconds = {grace}")
    made.service.end()
    for thread in threading.enumerate():
        if thread.name == "target-settings":
            thread.join(20)
    for part in ("dynamodb", "streams", "s3"):
        getattr(made.known, part).close()


def ready(document):
    return document.ready.readers


def safe(document):
    (found,) = [condition for condition in document.conditions if condition.type == "TargetSafe"]
    return found


def test_ready_falls_when_somebody_shortens_gc_grace_and_comes_back_when_it_is_mended(running):
    move, alter = running
    epoch = move.turned_until(ready).epoch
    alter(60)
    fallen = move.turned_until(lambda d: not safe(d).status)
    assert not ready(fallen)
    assert "gc_grace_seconds is 60" in safe(fallen).message
    assert f'ALTER TABLE "moved"."{move.known.config.source.table}" WITH gc_grace_seconds' in safe(fallen).message
    assert "TargetSafe" in fallen.message
    assert all(condition.status for condition in fallen.conditions if condition.type != "TargetSafe")
    alter(GRACE_SECONDS)
    mended = move.turned_until(ready)
    assert safe(mended).status
    assert mended.epoch >= epoch


def test_every_dangerous_setting_keeps_ready_away_until_the_last_is_mended(running):
    move, alter = running
    move.turned_until(ready)
    alter(0)
    move.turned_until(lambda d: not ready(d))
    # A default time to live would take moved rows away: another setting, the same condition.
    alter(f"{GRACE_SECONDS} AND default_time_to_live = 600")
    told = move.turned_until(lambda d: "default_time_to_live is 600" in safe(d).message)
    assert not ready(told)
    alter(f"{GRACE_SECONDS} AND default_time_to_live = 0")
    move.turned_until(ready)
