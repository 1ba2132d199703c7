"""Which replica's workers load."""

import random
from types import SimpleNamespace

import msgspec
from fakes import MemoryControl
from served import published
from unit.managed_export import Clock, configured

from daemon.control import Migration, Part, Settings
from daemon.phase import Phase
from daemon.routes import Routes
from daemon.service import Service
from daemon.signal.document import Document
from daemon.switching import Step, Switch


class Worker:
    pid = 1

    def __init__(self):
        self.code = None

    def poll(self):
        return self.code

    def stop(self, grace_seconds):  # noqa: ARG002  the protocol's
        self.code = -15
        return self.code


class Children:
    """daemon.processes.Processes, of which only the workers are started."""

    def __init__(self):
        self.workers = []

    def worker(self, _index, _of):
        self.workers.append(Worker())
        return self.workers[-1]

    def kcl(self):
        raise AssertionError("mode is backfill")

    def beside(self, *_):
        return SimpleNamespace(done=False, start=lambda: None)


def test_a_replica_that_leads_no_more_stops_its_workers_for_the_next_leader_has_its_own():
    # Both kept running: a rate that is said to be for all workers together was used twice.
    control, children = MemoryControl(), Children()
    begun = Migration(phase=Phase.BACKFILLING, mode="backfill", generation=1, parts=1, backfill_version=5)
    control.put("migration", begun, 0)
    control.put("g1/part#000000", Part("s3://b/1", "", 10, version=5), 0)
    known = SimpleNamespace(
        config=configured().model_copy(update={"mode": "backfill"}),
        control=control,
        clock=Clock(),
        chance=random.Random(1),
        settings=SimpleNamespace(now=Settings),
    )
    leads = SimpleNamespace(held=lambda: True)
    service = Service(known, children, leads)
    for _ in range(2):
        known.clock.now += 1
        service.turn()
    assert [worker.poll() for worker in children.workers] == [None, None]
    leads.held = lambda: False
    service.turn()
    assert [worker.poll() for worker in children.workers] == [-15, -15]
    leads.held = lambda: True
    for _ in range(2):
        known.clock.now += 1
        service.turn()
    assert [worker.poll() for worker in children.workers] == [-15, -15, None, None]


def test_a_leader_that_was_asleep_does_not_put_an_old_route_in_the_place_of_a_newer_one():
    # Nothing had changed by its own record, so nothing was saved, and no compare-and-set stood in its way.
    control = MemoryControl()
    begun = Migration(phase=Phase.BACKFILLING, mode="backfill", generation=1, parts=1, backfill_version=5, epoch=5)
    control.put("migration", begun, 0)
    control.put("g1/part#000000", Part("s3://b/1", "", 10, version=5), 0)
    newer = msgspec.structs.replace(published(), epoch=8, routes=Routes(100, "target"))
    control.put("signal", newer, 0)
    known = SimpleNamespace(
        config=configured().model_copy(update={"mode": "backfill"}),
        control=control,
        clock=Clock(),
        chance=random.Random(1),
        settings=SimpleNamespace(now=Settings),
    )
    service = Service(known, Children(), SimpleNamespace(held=lambda: True))
    service.turn()
    assert control.get("signal", Document)[0].epoch == 8
    assert service.published.routes.writes == "target"


def test_behind_a_sealed_commit_nothing_is_left_to_read_and_a_replica_is_ready_without_the_kcl():
    control = MemoryControl()
    switch = Switch("one", Step.DONE, 0.0, 9.0, sealing=True)
    control.put("migration", Migration(phase=Phase.SWITCHED, generation=1, switch=switch), 0)
    known = SimpleNamespace(config=configured(), control=control, clock=Clock(), chance=random.Random(1))
    service = Service(known, Children(), SimpleNamespace(held=lambda: False))  # to start the KCL raises
    service.turn()
    assert service.not_ready() is None
