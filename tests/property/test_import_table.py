"""Would ImportTable be a sound way in? Every order of a short history, for each thing that an import could bring.

ImportTable stores what the export's files hold, which has no version. Three ways to go on from there are compared:
two lose data, and the third, files into which each item's version was written first, is the load that we have.
"""

import itertools

import msgspec
import pytest
from simulation.dynamodb_store import DynamoStore
from simulation.targets import SimulatedDynamoDb

from sinks.change import Change, Item, Key, KeyAttribute, KeySchema

KEYS = KeySchema(KeyAttribute("id", "S"))
KEY = Key("x")
BACKFILL = 5
# A key's whole history: what each event left, None for a deletion. Event n has the version 10 * n.
HISTORIES = [
    events for length in range(4) for events in itertools.product(*[(f"text {n}", None) for n in range(length)])
]


def put(version, text):
    return Change(KEY, version, Item(msgspec.json.encode({"id": {"S": "x"}, "text": {"S": text}})))


def changes(events):
    return [Change(KEY, 10 * n, None) if text is None else put(10 * n, text) for n, text in enumerate(events, 1)]


def deliveries(tail):
    """Every order of a tail in which each change comes once, and every one with a duplicate of one of them."""
    for more in ((), *((change,) for change in tail)):
        yield from set(itertools.permutations([*tail, *more])) if len(tail) < 3 else itertools.permutations(tail)


def cases():
    """The exported state, what of the stream follows, and what must be there at the end."""
    for events in HISTORIES:
        for exported in range(len(events) + 1):
            state = events[exported - 1] if exported else None
            for begin in range(exported + 1):  # the stream may be read from before the export on
                yield state, changes(events)[begin:], events[-1] if events else None


def target(imported, version):
    """An open sink on a table as an import leaves it; nothing is applied before it is COMPLETED."""
    store = DynamoStore()
    sink = SimulatedDynamoDb(store, KEYS)
    sink.open()
    if imported is not None:
        item = {"id": {"S": "x"}, "text": {"S": imported}}
        hidden = {} if version is None else {"moveout:version": {"N": str(version)}}
        store.items("orders")[KEY] = item | hidden
    return store, sink


def text_of(store):
    held = store.items("orders").get(KEY)
    return None if held is None else held["text"]["S"]


def wrong(version, application=None):
    """Of all cases those that end wrong; `application`: what it puts when all is applied, before a late duplicate."""
    found = []
    for state, tail, expected in cases():
        for delivery in deliveries(tail):
            store, sink = target(state, version)
            for change in delivery:
                assert list(sink.apply([change])) == []
            if application is not None and tail:
                store.items("orders")[KEY] = {"id": {"S": "x"}, "text": {"S": application}}
                sink.apply([tail[0]])
            if text_of(store) != (application if application is not None and tail else expected):
                found.append((state, delivery))
    return found


def test_items_without_a_version_lose_what_the_tail_brings():
    """As the sink is: an item without a version is the application's, and is left alone."""
    found = wrong(version=None)
    assert ("text 0", (put(20, "text 1"),)) in found


def test_files_with_versions_are_exact_in_every_order():
    assert wrong(version=BACKFILL) == []


def test_files_with_versions_leave_the_applications_writes_alone():
    assert wrong(version=BACKFILL, application="written after the switch") == []


def oldest(held, remembered, change):
    """The rule that would take a missing version for the oldest: `held` is (text, version), None where absent."""
    newer_item = held is not None and held[1] is not None and held[1] >= change.version
    if newer_item or remembered >= change.version:
        return held, remembered
    if change.item is None:
        return None, change.version
    return (change.item.attributes()["text"], change.version), remembered


def test_a_missing_version_taken_for_the_oldest_loses_what_the_application_writes_after_the_switch():
    """Without writes of the application it is right in every order, so only that is its price."""
    for state, tail, expected in cases():
        for delivery in deliveries(tail):
            held, remembered = (None if state is None else (state, None)), -1
            for change in delivery:
                held, remembered = oldest(held, remembered, change)
            assert (None if held is None else held[0]) == expected, (state, delivery)
    late = put(10, "b")
    held, _ = oldest(("written after the switch", None), -1, late)
    assert held == ("b", 10)


@pytest.mark.parametrize("change", [put(10, "b"), Change(KEY, 10, None)], ids=["put", "deletion"])
def test_a_tail_that_begins_before_the_import_is_complete_finds_no_table(change):
    """The table cannot be written while it is made: so the tail waits, for as long as the stream remembers."""
    from sinks.sink import SinkMisconfigured

    store, sink = target(None, None)
    del store.tables["orders"]
    with pytest.raises(SinkMisconfigured):
        sink.apply([change])
