"""The scan against DynamoDB Local: the bytes that a server really sends, its segments, its read units."""

import json
import threading
import time

import pytest

from daemon import backfill, worker
from daemon.app import Parts
from daemon.config import Config
from daemon.control import Migration, Part, Settings, parts_of
from daemon.demo.dataset import items
from daemon.demo.source_table import create, enable_stream, load
from daemon.demo.wire import Wire
from daemon.phase import Phase
from daemon.plan import plan
from daemon.preflight import CheckFailed
from daemon.settings import change, replaced
from daemon.source.export import OVERLAP_SECONDS
from daemon.source.keys import key_reader
from sinks.attributes import decode_item
from sinks.memory import MemorySink

pytestmark = pytest.mark.server
ITEMS = 400


class Died(BaseException):
    pass


class Counted:
    """sinks.dynamodb.call.Calls, and when each page's read units were consumed, as the server counts them."""

    def __init__(self, calls, told):
        self._calls, self._told = calls, told

    def raw(self, operation, request):
        at = time.monotonic()
        answer = self._calls.raw(operation, request)
        self._told.append((at, json.loads(answer)["ConsumedCapacity"]["CapacityUnits"]))
        return answer

    def close(self):
        self._calls.close()


class IntoMemory(Parts):
    """A move whose target is a memory; a test may see each request of the scan."""

    def __init__(self, config):
        super().__init__(config)
        self.target = MemorySink()
        self.spent = []

    def calls(self):
        return Counted(super().calls(), self.spent)

    def sink(self, *, may_create=True, writers=None):  # noqa: ARG002  as Parts has it
        return self.target


class Source:
    def __init__(self, dynamodb, client, name, *, read_units=None, **backfill):
        create(client, name)
        if read_units is not None:
            throughput = {"ReadCapacityUnits": read_units, "WriteCapacityUnits": 1000}
            client.update_table(TableName=name, BillingMode="PROVISIONED", ProvisionedThroughput=throughput)
        wire = Wire(dynamodb.endpoint_url)
        self.items = list(items(1, ITEMS))
        load(wire, name, self.items)
        wire.close()
        enable_stream(client, name)
        self.known = IntoMemory(
            Config(
                migration=name,
                source={"table": name, "region": "us-east-1", "endpoint_url": dynamodb.endpoint_url},
                backfill={"from": "scan", "clock_margin_seconds": 0, **backfill},
                target={"kind": "dynamodb", "table": "moved", "region": "us-east-1"},
                control={"table": f"{name}-control"},
                dead_letters={"to": "/nowhere"},
            )
        )
        self.control = self.known.control
        self.control.create_table()

    def begin(self):
        """What the anchor writes down."""
        made = plan(self.known)
        for record, part in backfill.part_names(made.parts, 1).items():
            self.control.put(record, part, 0)
        begun = Migration(phase=Phase.BACKFILLING, backfill_version=made.version, generation=1)
        self.control.put("migration", begun, 0)
        return made

    def parts(self):
        return [part for part, _ in self.control.all(parts_of(1), Part).values()]


@pytest.fixture
def source(dynamodb, client, fresh_name):
    made = []

    def make(**options):
        made.append(Source(dynamodb, client, fresh_name(), **options))
        return made[-1]

    yield make
    for table in made:
        for part in ("dynamodb", "streams", "s3"):
            getattr(table.known, part).close()


def by_key(table):
    read = key_reader(table.known.keys)
    return {read(json.dumps(item).encode()): decode_item(json.dumps(item).encode()) for item in table.items}


def test_every_item_arrives_as_it_is_over_all_segments_and_workers(source):
    table = source(scan={"segments": 5, "page_items": 17})
    made = table.begin()
    worker.run(table.known, 0, 2)
    assert {part.done for part in table.parts()} == {True, False}
    worker.run(table.known, 1, 2)
    assert {key: change.item.attributes() for key, change in table.known.target.changes.items()} == by_key(table)
    assert {change.version for change in table.known.target.changes.values()} == {made.version}
    assert sum(part.rows_read for part in table.parts()) == ITEMS
    assert all(part.done and part.items == part.rows_read for part in table.parts())
    assert time.time() - OVERLAP_SECONDS - 60 < made.version / 1e6 < time.time() - OVERLAP_SECONDS


def test_a_worker_that_dies_in_the_middle_of_a_segment_is_resumed_and_each_row_is_counted_once(source):
    table = source(scan={"segments": 1, "page_items": 50})
    table.begin()
    seen = []

    def dies(part):
        seen.append(part)
        table.control.update("g1/part#000000", Part, lambda _: part)
        if len(seen) == 3:
            raise Died

    with worker.opened(table.known, 1) as sink, worker.reading(table.known, 1) as sources, pytest.raises(Died):
        worker.load_one(table.known, sink, table.parts()[0], dies, sources=sources)
    assert table.parts()[0].rows_read == 150
    worker.run(table.known, 0, 1)
    (part,) = table.parts()
    assert (part.done, part.rows_read, part.applied) == (True, ITEMS, ITEMS)
    assert len(table.known.target.changes) == ITEMS


def obeyed(told, units_per_second):
    """Between any two pages no more was spent than the limit allows in that time."""
    for first in range(len(told)):
        for last in range(first, len(told)):
            allowed = units_per_second * (told[last][0] - told[first][0])
            assert sum(units for _, units in told[first:last]) <= allowed + 0.1
    return sum(units for _, units in told[:-1]) / (told[-1][0] - told[0][0])


def test_the_sum_of_consumed_capacity_over_time_obeys_and_uses_the_limit(source):
    table = source(scan={"segments": 2, "read_units_per_second": 20, "page_items": 20})
    table.begin()
    told = table.known.spent
    worker.run(table.known, 0, 1)
    assert 20 * 0.7 < obeyed(told, 20) <= 20 * 1.01
    assert len(table.known.target.changes) == ITEMS


def test_a_worker_takes_its_share_of_the_tables_percentage(source):
    table = source(read_units=400, scan={"segments": 2, "read_percent": 20})
    table.begin()
    told = table.known.spent
    worker.run(table.known, 0, 2)
    assert obeyed(told, 40) > 40 * 0.6


def test_a_limit_that_is_set_while_it_runs_is_obeyed_from_then_on(source):
    table = source(scan={"segments": 1, "read_units_per_second": 20, "page_items": 10})
    table.begin()
    told = table.known.spent
    pages = []

    def halfway(part):
        pages.append(part)
        if part.rows_read >= ITEMS // 2 and not table.control.get("settings", Settings):
            change(table.control, replaced(read_units_per_second=100.0))

    with worker.opened(table.known, 1) as sink, worker.reading(table.known, 1) as sources:
        worker.load_one(table.known, sink, table.parts()[0], halfway, sources=sources)
    obeyed(told, 100)
    begun = [page for page in told if page[0] < told[0][0] + 2]
    obeyed(begun, 20)


def test_a_paused_backfill_reads_nothing_until_it_is_resumed(source):
    table = source(scan={"segments": 2})
    table.begin()
    change(table.control, replaced(backfill_paused=True))
    told = table.known.spent
    working = threading.Thread(target=worker.run, args=(table.known, 0, 1))
    working.start()
    time.sleep(2.5)
    assert (told, working.is_alive()) == ([], True)
    change(table.control, replaced(backfill_paused=False))
    working.join(30)
    assert len(table.known.target.changes) == ITEMS


def test_a_percentage_of_a_table_that_tells_no_capacity_is_refused_with_what_to_set(source):
    table = source(scan={"read_percent": 50})
    with pytest.raises(CheckFailed, match=r"backfill\.scan\.read_units_per_second"):
        plan(table.known)


def test_a_stream_of_a_moment_ago_is_refused_with_how_long_to_wait(source):
    table = source()
    table.known.config = table.known.config.model_copy(
        update={"backfill": table.known.config.backfill.model_copy(update={"clock_margin_seconds": 120})}
    )
    with pytest.raises(CheckFailed, match=r"Start again in 1[012]\d s"):
        plan(table.known)
