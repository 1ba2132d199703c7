"""A sink around a sink tells the truth about the sink in it, and measures what goes in."""

import itertools

import pytest
from sink_contract import TEXT_KEYS, SinkContract

from daemon.metered import Meter, Metered
from daemon.retry import Retrying
from sinks.cassandra.options import CassandraOptions
from sinks.cassandra.sink import CassandraSink
from sinks.change import Change, Key
from sinks.dynamodb.options import DynamoDbOptions
from sinks.dynamodb.sink import DynamoDbSink
from sinks.jsonl.options import JsonlOptions
from sinks.jsonl.sink import JsonlSink
from sinks.memory import MemorySink
from sinks.sink import Rejection, SinkUnavailable
from sinks.wrapping import OPTIONAL

CHANGE = Change(Key("a", "b"), 1, None)
CQL = CassandraOptions(contact_points=["a"], local_datacenter="d", keyspace="k", table="t")
SINKS = [
    MemorySink(),
    CassandraSink(CQL, TEXT_KEYS),
    DynamoDbSink(DynamoDbOptions(kind="dynamodb", table="orders", region="us-east-1"), TEXT_KEYS),
    JsonlSink(JsonlOptions(kind="jsonl", to="/nowhere"), TEXT_KEYS),
]


def retrying(sink):
    return Retrying(sink, on_trouble=lambda _: None, wanted=lambda: True)


def metered(sink):
    return Metered(sink, Meter())


WRAPPERS = {"retrying": retrying, "metered": metered, "both": lambda sink: retrying(metered(sink))}


@pytest.mark.parametrize("protocol", OPTIONAL, ids=lambda protocol: protocol.__name__)
@pytest.mark.parametrize("sink", SINKS, ids=lambda sink: type(sink).__name__)
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_wrapper_can_do_what_its_inner_sink_can_and_no_more(wrapper, sink, protocol):
    assert isinstance(WRAPPERS[wrapper](sink), protocol) == isinstance(sink, protocol)


def test_the_sinks_above_differ_in_what_they_can_do():
    for protocol in OPTIONAL[:3]:
        assert {isinstance(sink, protocol) for sink in SINKS} == {True, False}


@pytest.mark.parametrize("wrapper", WRAPPERS)
class TestWrapped(SinkContract):
    @pytest.fixture
    def make_sink(self, wrapper):
        tables = []

        def make(_keys, *, fresh=True):
            if fresh:
                tables.append(MemorySink())
            return WRAPPERS[wrapper](tables[-1])

        return make


class Answers:
    """A sink that answers as told."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def open(self):
        pass

    def apply(self, _changes):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    load = apply

    def settle(self):
        return 0

    def close(self):
        pass


def test_what_is_sent_is_counted_and_an_attempt_that_failed_is_no_batch():
    meter, clock = Meter(), itertools.count(step=2)
    sink = Metered(Answers([], SinkUnavailable("x"), [Rejection(CHANGE, "odd")]), meter, lambda: float(next(clock)))
    sink.apply([CHANGE, CHANGE])
    with pytest.raises(SinkUnavailable):
        sink.load([CHANGE])
    assert list(sink.load([CHANGE])) == [Rejection(CHANGE, "odd")]
    assert meter == Meter(batches=2, changes=3, rejections=1, failures=1, seconds=6.0)
