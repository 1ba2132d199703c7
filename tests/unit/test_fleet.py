import threading
from types import SimpleNamespace

import pytest
from receiver import Receiver

from daemon import waiting
from daemon.config import load_all
from daemon.control import Migration
from daemon.cutover import Limits, Observation
from daemon.fleet import Fleet
from daemon.metrics import ProcessHealth
from daemon.phase import Phase
from daemon.preflight import CheckFailed
from daemon.signal.document import Progress, Tail, document

CONFIG = """
migration: shop
source: {region: eu-west-1}
backfill: {from: scan, tables_at_once: 2}
dead_letters: {to: /letters}
target: {kind: dynamodb, region: us-east-1}
signal: {file: FOLDER/signal.json}
tables:
"""
NAMES = ("orders", "customers", "carts", "stock")


class Table:
    """As much of daemon.service.Service as a fleet asks for."""

    def __init__(self, name, may_load, did):
        self.table, self.may_load, self.did = name, may_load, did
        self.phase, self.published, self.fault = Phase.CREATED, None, None
        self.letters, self.leads = 0, True

    def _refused(self, step):
        self.did.append((step, self.table))
        if self.fault == step:
            raise CheckFailed(f"{step} says no")

    def prepare(self):
        self._refused("prepare")

    def check(self):
        self._refused("check")

    def begun(self):
        self.did.append(("begun", self.table))
        self.phase = Phase.BACKFILLING
        return True

    def turn(self):
        seen = Observation(1.0, 1, 1, 1, 1, None, 0.5, "", None, "one waits" if self.letters else None)
        letters = {"open": self.letters, "settled": 0, "retried": 0, "waived": 0}
        progress = Progress(1, 1.0, Tail(*[0] * 7), letters)
        made = Migration(phase=self.phase, mode="backfill")
        self.published = document(f"shop.{self.table}", made, seen, Limits(1, 1), progress, self.table)

    def health(self):
        return ProcessHealth(leader=self.leads, jvm_restarts=1, worker_restarts=2, observed_at=3.0)

    def not_ready(self):
        return self.fault

    def stop(self):
        self.did.append(("stop", self.table))

    def end(self):
        self.did.append(("end", self.table))


@pytest.fixture
def fleet(tmp_path):
    tables = "".join(f"  - {{source: {{table: {name}}}, target: {{table: {name}-moved}}}}\n" for name in NAMES)
    path = tmp_path / "moveout.yaml"
    path.write_text(CONFIG.replace("FOLDER", str(tmp_path)) + tables)
    did = []
    made = Fleet(load_all(path)[0], lambda may_load: [Table(name, may_load, did) for name in NAMES])
    return SimpleNamespace(fleet=made, tables=made.tables, did=did, signal=tmp_path / "signal.json")


def loading(world):
    return [table.table for table in world.tables if table.may_load(table)]


def test_only_so_many_tables_load_at_once_in_the_order_of_the_file(fleet):
    fleet.fleet._prepare()
    assert loading(fleet) == []
    fleet.fleet.turn()
    assert loading(fleet) == ["orders", "customers"]
    fleet.tables[0].phase = Phase.REPLICATING
    assert loading(fleet) == ["customers", "carts"]


def test_a_table_that_waits_for_its_export_does_not_keep_the_others_from_loading(fleet):
    fleet.fleet._prepare()
    fleet.fleet.turn()
    fleet.tables[0].phase = Phase.ANCHORED
    assert loading(fleet) == ["customers", "carts"]


def test_all_that_stands_in_the_way_of_any_table_is_told_at_once_and_nothing_is_touched(fleet):
    fleet.tables[1].fault, fleet.tables[3].fault = "prepare", "check"
    with pytest.raises(CheckFailed) as told:
        fleet.fleet._prepare()
    assert str(told.value) == "customers: prepare says no\nstock: check says no"
    assert "begun" not in {step for step, _ in fleet.did}


def test_nothing_is_published_before_every_table_has_spoken(fleet):
    fleet.fleet._prepare()
    fleet.fleet.turn()
    assert fleet.fleet.document() is None
    fleet.fleet.turn()
    assert [table.table for table in fleet.fleet.document().tables] == list(NAMES)
    assert fleet.signal.exists()


def test_it_ends_when_every_table_is_loaded_and_not_before(fleet):
    fleet.fleet._prepare()
    for table in fleet.tables:
        fleet.fleet.turn()
        assert not fleet.fleet._finished()
        fleet.fleet.turn()
        table.phase = Phase.LOADED
    assert fleet.fleet._finished()


def test_an_end_with_refused_items_is_no_success(fleet):
    fleet.fleet._prepare()
    fleet.fleet.turn()
    fleet.tables[2].letters = 3
    for table in fleet.tables:
        table.phase = Phase.LOADED
    fleet.fleet.turn()
    with pytest.raises(CheckFailed, match=r"3 item\(s\) that the target refuses"):
        fleet.fleet._refuse_open_letters()


def test_whoever_polls_for_the_end_still_sees_it(fleet):
    # The process ends by itself: without a moment in which it is said, `moveout wait` found nobody.
    assert fleet.fleet._last_words() == 0
    fleet.fleet._prepare()
    fleet.fleet.turn()
    for table in fleet.tables:
        table.phase = Phase.LOADED
    fleet.fleet.turn()
    assert fleet.fleet._last_words() > 2 * waiting.POLL_SECONDS


def test_a_signal_file_that_cannot_be_written_makes_this_replica_unready_and_ends_nothing(fleet):
    fleet.signal.mkdir()
    fleet.fleet._prepare()
    fleet.fleet.turn()
    fleet.fleet.turn()
    assert "signal.file" in fleet.fleet._not_ready()
    fleet.signal.rmdir()
    fleet.fleet.turn()
    assert fleet.fleet._not_ready() is None


def test_why_it_carries_no_data_is_told_with_the_name_of_the_table(fleet):
    assert fleet.fleet._not_ready() is None
    fleet.tables[2].fault = "the KCL is not running"
    assert fleet.fleet._not_ready() == "carts: the KCL is not running"


def test_what_is_published_each_turn_is_what_the_page_begins_with(fleet):
    assert fleet.fleet.history.samples() == ()
    fleet.fleet.turn()
    fleet.fleet.turn()
    assert [(sample.at, sample.items_done) for sample in fleet.fleet.history.samples()] == [(1.0, 4)]


class Records:
    """The control table's records of one migration."""

    def __init__(self):
        self.held, self.name = {}, None

    def of(self, name):
        self.name = name
        return self

    def get(self, record, _):
        return self.held.get(record)

    def put(self, record, value, revision):
        self.held[record] = (value, revision + 1)

    def update(self, record, kind, change):
        value, revision = self.get(record, kind) or (None, 0)
        self.put(record, change(value), revision)
        return self.held[record][0]


@pytest.fixture
def hooked(tmp_path):
    """A fleet of one table with a hook and a file."""
    with Receiver() as receiver:
        path = tmp_path / "moveout.yaml"
        hook = f"hooks: [{{on: [phase], webhook: {{url: '{receiver.url}'}}}}]\n"
        text = (
            hook + CONFIG.replace("FOLDER", str(tmp_path)) + "  - {source: {table: orders}, target: {table: moved}}\n"
        )
        path.write_text(text)
        records = Records()
        made = Fleet(
            load_all(path)[0],
            lambda may_load: [Table("orders", may_load, [])],
            SimpleNamespace(control_of=records.of),
        )
        made._prepare()
        yield SimpleNamespace(fleet=made, receiver=receiver, records=records, signal=tmp_path / "signal.json")


def test_hooks_are_told_by_the_replica_that_leads_and_kept_beside_its_lease(hooked):
    for _ in range(3):
        hooked.fleet.turn()
    assert hooked.receiver.came.acquire(timeout=30)
    for thread in threading.enumerate():
        if thread.name == "hook#0":
            thread.join(30)
    assert [request.event["subject"] for request in hooked.receiver.requests] == ["backfilling"]
    assert hooked.records.name == "shop"
    assert hooked.records.held["hook#0"][0].pending == ()


def test_a_replica_that_does_not_lead_publishes_and_tells_nothing(hooked):
    hooked.fleet.tables[0].leads = False
    for _ in range(3):
        hooked.fleet.turn()
    assert hooked.fleet.document() is not None
    assert not hooked.signal.exists()
    assert hooked.records.held == {}
