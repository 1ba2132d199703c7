"""Which replica's workers load."""

import random
from types import SimpleNamespace

from fakes import MemoryControl
from unit.managed_export import Clock, configured

from daemon.control import Migration, Part, Settings
from daemon.phase import Phase
from daemon.service import Service
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


def test_behind_a_sealed_commit_nothing_is_left_to_read_and_a_replica_is_ready_without_the_kcl():
    control = MemoryControl()
    switch = Switch("one", Step.DONE, 0.0, 9.0, sealing=True)
    control.put("migration", Migration(phase=Phase.SWITCHED, generation=1, switch=switch), 0)
    known = SimpleNamespace(config=configured(), control=control, clock=Clock(), chance=random.Random(1))
    service = Service(known, Children(), SimpleNamespace(held=lambda: False))  # to start the KCL raises
    service.turn()
    assert service.not_ready() is None
