"""What becomes of requests that are not taken at once, and how fast they go: over a scripted exchange."""

import json
from decimal import Decimal

import pytest
from botocore.exceptions import ClientError, HTTPClientError
from hypothesis import given, settings
from hypothesis import strategies as st
from sink_contract import TEXT_KEYS, deleted, put

from daemon.control import Settings
from daemon.write_limit import allowed
from sinks.change import Key
from sinks.dynamodb import target
from sinks.dynamodb.batches import BODY_BYTES_MAX, WRITES_MAX, parcels, write
from sinks.dynamodb.capacity import WRITES, Capacity, consumed, of_table
from sinks.dynamodb.connect import Connected
from sinks.dynamodb.options import DynamoDbOptions
from sinks.dynamodb.rounds import PAUSES_SECONDS
from sinks.dynamodb.throughput import Throughput, Window
from sinks.sink import SinkMisconfigured, SinkUnavailable

OK = b'{"UnprocessedItems":{}}'


def failed(code):
    return ClientError({"Error": {"Code": code, "Message": "scripted"}}, "Scripted")


class Scripted:
    """An exchange: `answer(operation, request)` says what becomes of each, `sent` is what came, round by round."""

    def __init__(self, answer):
        self.answer, self.sent, self.in_flight = answer, [], []

    def send(self, operation, bodies, in_flight):
        requests = [json.loads(body) for body in bodies]
        self.sent.append(requests)
        self.in_flight.append(in_flight)
        return [self.answer(operation, request) for request in requests]

    def close(self):
        """Nothing is open."""


class Nothing:
    def shutdown(self):
        """No thread."""

    close = shutdown


def opened(answer, *, limit=lambda _: None, **options):
    """A sink over it, and its pauses."""
    known = DynamoDbOptions(kind="dynamodb", table="abc", region="r", **options)
    exchange, pauses = Scripted(answer), []
    at = Connected(Nothing(), Nothing(), exchange, sleep=pauses.append)
    sink = target.sink(known, TEXT_KEYS, lambda *_: at, limit)
    sink.open()
    return sink, exchange, pauses


def ordered(answer, **options):
    return opened(answer, mode="ordered", **options)


def names(request):
    """The sort keys of a batch's items."""
    entries = request["RequestItems"]["abc"]
    bodies = [body for entry in entries for body in entry.values()]
    return [(body.get("Item") or body["Key"])["order"]["S"] for body in bodies]


def rows(count, **attributes):
    return [put(Key("k", str(n)), 1, **attributes) for n in range(count)]


def test_what_came_back_unprocessed_is_sent_again_after_a_pause_and_nothing_else():
    def half_of_a_full_one(_, request):
        entries = request["RequestItems"]["abc"]
        return json.dumps({"UnprocessedItems": {"abc": entries[1:]} if len(entries) > 2 else {}}).encode()

    sink, exchange, pauses = ordered(half_of_a_full_one)
    assert list(sink.apply([*rows(4), deleted(Key("k", "4"), 1)])) == []
    assert [names(request) for sent in exchange.sent for request in sent] == [
        ["0", "1", "2", "3", "4"],
        ["1", "2", "3", "4"],
        ["2", "3", "4"],
        ["3", "4"],
    ]
    assert len(pauses) == 3
    assert exchange.in_flight[0] > exchange.in_flight[-1] >= 1


def test_no_batch_holds_a_key_twice_and_none_is_larger_than_dynamodb_takes():
    sink, exchange, _ = ordered(lambda *_: OK)
    sink.apply([change for _ in range(3) for change in rows(60)])
    sizes = [len(request["RequestItems"]["abc"]) for request in exchange.sent[0]]
    assert sizes == [25, 25, 10]
    large = list(parcels(write(TEXT_KEYS, change) for change in rows(30, big="x" * 390_000)))
    assert max(sum(len(one.json) for one in parcel) for parcel in large) <= BODY_BYTES_MAX
    assert sum(map(len, large)) == 30
    assert max(map(len, large)) < WRITES_MAX


@settings(max_examples=60, deadline=None)
@given(st.sets(st.integers(0, 59)))
def test_of_a_batch_that_is_refused_as_a_whole_exactly_the_guilty_are_rejected(guilty):
    stored = []

    def refusing(_, request):
        if any(int(name) in guilty for name in names(request)):
            return failed("ValidationException")
        stored.extend(map(int, names(request)))
        return OK

    sink, _, pauses = ordered(refusing)
    rejected = {int(rejection.change.key.sort) for rejection in sink.apply(rows(60))}
    assert rejected == guilty
    assert sorted(stored) == sorted(set(range(60)) - guilty)
    assert pauses == []


@pytest.mark.parametrize("mode", ["exact", "ordered"])
@pytest.mark.parametrize(
    "error",
    [
        failed("ProvisionedThroughputExceededException"),
        failed("HTTP503"),
        failed("TransactionConflictException"),
        HTTPClientError(error=OSError("cut off")),
    ],
    ids=str,
)
def test_what_never_passes_is_unavailable_after_all_pauses_with_what_is_left(mode, error):
    def not_the_second(_, request):
        return error if '"k1"' in json.dumps(request) else OK if mode == "ordered" else b"{}"

    sink, exchange, pauses = opened(not_the_second, mode=mode)
    changes = [put(Key(f"k{n}", "1"), 1) for n in range(2)]
    with pytest.raises(SinkUnavailable) as told:
        sink.load(changes) if mode == "exact" else sink.apply(changes)
    assert told.value.left == (changes[1:] if mode == "exact" else changes)
    assert len(exchange.sent) >= len(pauses) >= len(PAUSES_SECONDS) - 1
    assert all(0 <= pause <= most for pause, most in zip(pauses[-7:], PAUSES_SECONDS[1:], strict=True))


def test_what_no_retry_can_help_is_told_at_once():
    sink, exchange, pauses = ordered(lambda *_: failed("AccessDeniedException"))
    with pytest.raises(SinkMisconfigured):
        sink.apply(rows(1))
    assert (len(exchange.sent), pauses) == (1, [])


def test_a_load_sends_the_items_own_bytes_with_the_version_and_the_condition():
    sink, exchange, _ = opened(lambda *_: b"{}")
    sink.load([put(Key("a", "b"), 7, n=Decimal("1E-130"))])
    (request,) = exchange.sent[0]
    assert request == {
        "TableName": "abc",
        "ConditionExpression": "attribute_not_exists(#k) OR #v < :v",
        "ExpressionAttributeNames": {"#k": "customer", "#v": "moveout:version"},
        "ExpressionAttributeValues": {":v": {"N": "1700000000000007"}},
        "Item": {
            "customer": {"S": "a"},
            "order": {"S": "b"},
            "n": {"N": "0." + "0" * 129 + "1"},
            "moveout:version": {"N": "1700000000000007"},
        },
    }


class Time:
    def __init__(self):
        self.now = 0.0

    def sleep(self, seconds):
        self.now += seconds


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 500), st.lists(st.integers(1, 40), min_size=1, max_size=60), st.randoms(use_true_random=False))
def test_the_units_that_were_used_never_pass_the_limit_by_more_than_its_second_and_one_request(limit, sizes, chance):
    clock = Time()
    throughput = Throughput(lambda: limit, clock.sleep, lambda: clock.now)
    used, left = 0.0, [float(size) for size in sizes]
    while left:
        count = throughput.admitted(left)
        expected = sum(left[:count])
        measured = expected * chance.choice((0.5, 1.0))
        throughput.corrected(expected, measured)
        used += measured
        left = left[count:]
        assert used <= limit * (clock.now + 1) + max(sizes)


def test_a_limit_that_is_raised_while_it_waits_is_obeyed():
    clock, limits = Time(), iter([1.0, 1.0, 1000.0, 1000.0, 1000.0])
    throughput = Throughput(lambda: next(limits), clock.sleep, lambda: clock.now)
    throughput.corrected(0.0, 500.0)
    assert throughput.admitted([1.0, 1.0]) == 2
    assert clock.now < 5


def test_what_the_service_says_it_took_is_what_counts():
    def dear(_, request):
        units = 10.0 * len(request["RequestItems"]["abc"])
        return json.dumps({"UnprocessedItems": {}, "ConsumedCapacity": [{"CapacityUnits": units}]}).encode()

    sink, exchange, _ = ordered(dear, limit=lambda _: 1e6)
    clock = Time()
    sink._rounds._throughput = sink._throughput = Throughput(lambda: 100.0, clock.sleep, lambda: clock.now)
    sink.apply(rows(100))
    assert exchange.sent[0][0]["ReturnConsumedCapacity"] == "TOTAL"
    assert clock.now >= (1000 - 100 - 250) / 100  # less the first second's and the last request's


def test_a_window_is_halved_by_throttling_grows_by_one_and_keeps_within_its_bounds():
    window = Window(8)
    window.passed()
    assert window.size == 8
    window.throttled()
    assert window.size == 4
    window.passed()
    assert window.size == 5
    for _ in range(9):
        window.throttled()
    assert window.size == 1


def test_the_write_capacity_is_the_tables_own_word():
    on_demand = {"BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"}}
    assert of_table({"ProvisionedThroughput": {"WriteCapacityUnits": 50}}, WRITES).units == 50
    assert of_table({**on_demand, "WarmThroughput": {"WriteUnitsPerSecond": 4000}}, WRITES).units == 4000
    assert of_table(on_demand, WRITES).units is None
    assert consumed({"ConsumedCapacity": {"CapacityUnits": 2.0}}) == 2.0
    assert consumed({}) == 0.0


@pytest.mark.parametrize(
    ("configured", "set_", "units"),
    [
        ({}, {}, None),
        ({"write_units_per_second": 7.0}, {}, 7.0),
        ({"write_percent": 50.0}, {}, 100.0),
        ({"write_percent": 50.0}, {"write_units_per_second": 3.0}, 3.0),
        ({"write_units_per_second": 7.0}, {"write_percent": 10.0}, 20.0),
    ],
)
def test_what_a_person_sets_goes_before_what_is_configured(configured, set_, units):
    options = DynamoDbOptions(kind="dynamodb", table="abc", region="r", **configured)
    assert allowed(options, Settings(**set_), Capacity(200.0, "provisioned")) == units


def test_a_percentage_of_nothing_is_refused_with_what_to_set_instead():
    options = DynamoDbOptions(kind="dynamodb", table="abc", region="r", write_percent=50)
    with pytest.raises(SinkMisconfigured, match="write_units_per_second"):
        allowed(options, Settings(), Capacity(None, "on demand"))


def test_a_batch_is_not_taken_for_stored_when_what_is_unprocessed_is_not_known_again():
    strange = [{"DeleteRequest": {"Key": {"customer": {"S": "nobody"}, "order": {"S": "asked"}}}}]
    answers = [json.dumps({"UnprocessedItems": {"abc": strange}}).encode(), OK]
    sink, exchange, _ = ordered(lambda *_: answers.pop(0))
    assert list(sink.apply(rows(3))) == []
    assert names(exchange.sent[0][0]) == names(exchange.sent[1][0])
