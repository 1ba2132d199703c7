import json
import tracemalloc
from functools import partial

import msgspec
import pytest
from fakes import FlakySink, MemoryControl, no_letters
from scanned_table import ScannedTable, SimulatedTime

from daemon.apply import Ways
from daemon.backfill import BackfillIncomplete, load_share, loading, part_names
from daemon.control import Part, parts_of
from daemon.pace import Pace
from daemon.sections import Scan
from daemon.source import scan
from daemon.source.pages import Sources, pages
from daemon.source.scan import END, Scanner, ScanRefused, Segment, name_of, page_items, segment_of
from sinks.change import Key, KeyAttribute, KeySchema

KEYS = KeySchema(KeyAttribute("id", "S"))
VERSION = 10**15


def scanner(table, limit=None, **options):
    pace = Pace(lambda: limit, lambda: False, lambda: None, table.clock, saved_seconds=0)
    return Scanner(table.send, Scan(**options), KEYS, pace, table.clock.sleep)


def begun(segments=1, number=0):
    part = scan.parts("orders", segments, items=100, size_bytes=1000)[number]
    return msgspec.structs.replace(part, version=VERSION)


class Move:
    """A table's segments, loaded into a memory sink."""

    def __init__(self, table, segments):
        self.table, self.control, self.sink = table, MemoryControl(), FlakySink()
        parts = [begun(segments, number) for number in range(segments)]
        for record, part in part_names(parts, 1).items():
            self.control.put(record, part, 0)

    def load(self, progress=None):
        read = partial(pages, Sources(None, KEYS, scanner=lambda: scanner(self.table)))

        def one(part):
            for so_far in loading(read, part, Ways(self.sink.apply, None, no_letters), 100):
                if progress is not None and not so_far.done:
                    progress(so_far)
                yield so_far

        load_share(self.control, 1, 0, 1, one)

    def parts(self):
        return [part for part, _ in self.control.all(parts_of(1), Part).values()]


def test_every_item_of_every_segment_arrives_once_and_is_accounted_for():
    move = Move(ScannedTable(200), 4)
    move.load()
    assert len(move.sink.changes) == 200
    assert {change.version for change in move.sink.changes.values()} == {VERSION}
    assert [(part.done, part.rows_read, part.items, part.position) for part in move.parts()] == [
        (True, 50, 50, END)
    ] * 4


def test_an_item_is_passed_on_as_the_bytes_that_came():
    table = ScannedTable(1)
    ((key, item),) = next(scanner(table).pages(begun())).rows
    assert (key, item.json) == (Key("0"), b'{"id":{"S":"0"},"x":{"S":"' + b"x" * 40 + b'"}}')


def test_an_empty_segment_is_done_and_says_so():
    move = Move(ScannedTable(1), 2)
    move.load()
    assert [(part.done, part.rows_read) for part in move.parts()] == [(True, 1), (True, 0)]


class Died(BaseException):
    pass


@pytest.mark.parametrize("page", range(1, 8))
def test_a_segment_goes_on_behind_the_page_that_was_accounted_for_and_counts_each_row_once(page):
    move, told = Move(ScannedTable(100), 1), []

    def dies(part):
        told.append(part)
        move.control.update("g1/part#000000", Part, lambda _: part)
        if len(told) == page:
            raise Died

    with pytest.raises(Died):
        move.load(dies)
    before = len(move.table.requests)
    move.load()
    (part,) = move.parts()
    assert (part.done, part.rows_read, part.applied) == (True, 100, 100)
    # Also after the very last page: nothing is read twice.
    assert len(move.table.spent) == len({str(request) for request in move.table.requests})
    assert (told[-1].position == END) == (len(move.table.requests) == before)


def test_what_the_options_ask_for_is_what_is_asked():
    table = ScannedTable(30)
    list(scanner(table, consistent=True, page_items=7).pages(begun(2, 1)))
    first, second, _ = table.requests
    assert first == {
        "TableName": "orders",
        "Segment": 1,
        "TotalSegments": 2,
        "ConsistentRead": True,
        "Limit": 7,
        "ReturnConsumedCapacity": "TOTAL",
    }
    assert second["ExclusiveStartKey"] == {"id": {"S": "13"}}


@pytest.mark.parametrize("fault", ["throttled", "lost", "cut"])
def test_a_table_that_throttles_or_does_not_answer_is_asked_again_for_the_same_page(fault):
    table = ScannedTable(60)
    table.faults = [None, *[fault] * 40, None]
    rows = [key.partition for page in scanner(table).pages(begun()) for key, _ in page.rows]
    assert rows == [str(number) for number in range(60)]
    assert table.requests[1] == table.requests[41]
    # Forty attempts with pauses of up to 15 s, drawn by lot.
    assert 60 < table.clock.now - 1_700_000_000 < 40 * 15


def test_a_refused_right_stops_the_part_with_a_sentence_and_keeps_what_was_read():
    move = Move(ScannedTable(100), 1)
    move.table.faults = [None, None, "refused"]
    with pytest.raises(BackfillIncomplete, match=r"scan:orders#0/1 cannot be read.*dynamodb:Scan"):
        move.load(lambda part: move.control.update("g1/part#000000", Part, lambda _: part))
    (part,) = move.parts()
    assert part.rows_read > 0
    assert part.position
    assert "AccessDenied" in part.error
    move.load()
    assert (move.parts()[0].rows_read, move.parts()[0].error) == (100, None)


def test_who_waits_for_a_throttled_table_ends_when_nobody_wants_it_any_more():
    table = ScannedTable(10)
    table.faults = ["throttled"] * 1000

    def unwanted(_):
        raise Died

    reader = Scanner(table.send, Scan(), KEYS, Pace(lambda: None, lambda: False, lambda: None, table.clock), unwanted)
    with pytest.raises(Died):
        list(reader.pages(begun()))


def test_an_item_without_the_key_is_no_item_of_this_table():
    table = ScannedTable(1)
    table.items[0] = {"other": {"S": "a"}}
    with pytest.raises(ScanRefused, match="without its key"):
        list(scanner(table).pages(begun()))


def test_the_estimate_is_shared_out_and_is_no_promise():
    parts = scan.parts("orders", 3, items=100, size_bytes=1000)
    assert [(part.items, part.size_bytes, part.kind, part.counted) for part in parts] == [(33, 333, "scan", False)] * 3
    assert [part.name for part in parts] == ["scan:orders#0/3", "scan:orders#1/3", "scan:orders#2/3"]


def test_a_name_says_which_segment_it_is():
    segment = Segment("a.b-c_d", 7, 16)
    assert segment_of(name_of(segment)) == segment
    with pytest.raises(ValueError, match="is no part of a scan"):
        segment_of("s3://b/0")


def test_a_page_under_a_limit_costs_about_a_second_of_it():
    assert page_items(None, 100, 50) is None
    assert page_items(10, 0, 0) == scan.FIRST_ITEMS
    assert page_items(10, 100, 50) == 20
    assert page_items(0.1, 1, 50) == 1


def test_a_part_of_a_scan_needs_a_scanner():
    with pytest.raises(ValueError, match="nothing to scan it with"):
        pages(Sources(None, KEYS), begun())


def test_memory_is_one_page_however_large_the_segment():
    item = {"id": {"S": "0"}, "x": {"S": "x" * 300_000}}
    body = json.dumps({"Items": [item] * 4, "LastEvaluatedKey": {"id": {"S": "0"}}}).encode()
    left, clock = [body] * 60, SimulatedTime()
    reader = Scanner(lambda _: left.pop(), Scan(), KEYS, Pace(lambda: None, bool, lambda: None, clock), clock.sleep)
    tracemalloc.start()
    try:
        for page in reader.pages(begun()):
            assert page.size_bytes > 1_000_000
            if not left:
                break
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * len(body)


@pytest.mark.parametrize("consistent", [False, True])
def test_a_server_that_tells_no_read_units_is_held_to_the_rate_by_what_it_sends(consistent):
    told, silent = (ScannedTable(400, item_bytes=2000, page_bytes=10**6) for _ in range(2))
    send = silent.send
    silent.send = lambda request: json.dumps({**json.loads(send(request)), "ConsumedCapacity": None}).encode()
    for table in (told, silent):
        list(scanner(table, limit=20, consistent=consistent).pages(begun()))
    took = [table.clock.now - 1_700_000_000.0 for table in (told, silent)]
    assert took[0] > 3
    assert took[1] == pytest.approx(took[0], rel=0.2)
