"""The CQL lane against a node that misbehaves: what was answered as done is stored, what was refused is told."""

import threading

import pytest
from cassandra import OperationTimedOut
from cassandra.cluster import NoHostAvailable
from fake_cql import (
    FakeCql,
    another_stream,
    cut_short,
    forgotten,
    hung_up,
    hung_up_when_stored,
    refused,
    silent,
    stored_with_warnings,
)

from sinks.cassandra.errors import MISCONFIGURED, REJECTED, UNAVAILABLE, as_sink_error, is_rejection, meaning_of
from sinks.cassandra.lane.dial import Access
from sinks.cassandra.lane.lane import LaneTransport, Limits
from sinks.cassandra.lane.ring import Node, Ring
from sinks.cassandra.layout import Mutation, step
from sinks.sink import SinkMisconfigured, SinkUnavailable

# A socket of ours that is left to the collector fails the test (pyproject.toml lets the driver's pass).
pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
STATEMENTS = ("INSERT", "DELETE")


def mutation(n, partition=None, size=3):
    own = f"p{n}".encode() if partition is None else partition
    return Mutation(own, (step(0, (own, str(n).encode(), b"x" * size, None)),))


def mutations(count):
    return [mutation(n) for n in range(count)]


def cells(of):
    return sorted(step.cells for one in of for step in one.steps)


@pytest.fixture
def connect():
    made = []

    def make(node, *, seconds=10.0, limits=Limits(), ring=None, **access):  # noqa: B008
        lane = LaneTransport(ring or node.ring, Access(STATEMENTS, 6, seconds, **access), limits, chance=lambda: 0.0)
        made.append(lane)
        return lane

    yield make
    for lane in made:
        lane.close()


def test_rows_arrive_once_each_and_are_answered_in_their_order(connect):
    with FakeCql() as node:
        sent = mutations(1000)
        assert connect(node).write(sent) == [None] * 1000
        assert sorted(node.cells) == cells(sent)
        assert node.prepares == list(STATEMENTS)


def test_nothing_to_write_is_nothing_to_do(connect):
    with FakeCql() as node:
        assert connect(node).write([]) == []


def test_a_node_is_asked_to_say_when_it_is_overloaded(connect):
    with FakeCql() as node:
        connect(node)
        assert b"THROW_ON_OVERLOAD\x00\x011" in node.startups[0]


@pytest.mark.parametrize(
    "fault", [refused(0x1001), refused(0x1100), hung_up, hung_up_when_stored, cut_short, another_stream]
)
def test_what_a_moment_later_may_go_well_goes_again(connect, fault):
    with FakeCql() as node:
        lane, sent = connect(node), mutations(50)
        node.coming.extend([fault, fault])
        assert lane.write(sent) == [None] * 50
        assert set(node.cells) == set(cells(sent))


def test_warnings_do_not_hide_that_a_row_is_stored(connect):
    with FakeCql() as node:
        node.coming.extend([stored_with_warnings] * 7)
        sent = mutations(20)
        assert connect(node).write(sent) == [None] * 20
        assert sorted(node.cells) == cells(sent)


def test_statements_that_a_node_has_forgotten_are_prepared_again_on_the_same_connection(connect):
    with FakeCql() as node:
        lane, sent = connect(node), mutations(30)
        node.coming.append(forgotten)
        assert lane.write(sent) == [None] * 30
        assert sorted(set(node.cells)) == cells(sent)
        assert (node.connections, node.prepares) == (1, list(STATEMENTS) * 2)


@pytest.mark.parametrize(("code", "meaning"), [(0x2200, REJECTED), (0x2100, MISCONFIGURED), (0x1000, UNAVAILABLE)])
def test_a_refusal_means_what_it_means_from_the_driver_and_only_for_its_row(connect, code, meaning):
    with FakeCql() as node:
        node.coming.append(refused(code))
        first, *others = connect(node).write(mutations(5))
        assert (first.code, meaning_of(first)) == (code, meaning)
        assert others == [None] * 4


@pytest.mark.parametrize("code", [0x1001, 0x1100])
def test_a_node_that_stays_busy_is_given_up_when_the_time_is_over(connect, code):
    with FakeCql() as node:
        node.coming.extend([refused(code)] * 1000)
        (result,) = connect(node, seconds=0.3).write(mutations(1))
        assert result.code == code
        assert isinstance(as_sink_error(result), SinkUnavailable)
        assert 2 <= 1000 - len(node.coming) <= 8


def test_a_request_without_an_answer_is_given_up_and_the_others_are_stored(connect):
    with FakeCql() as node:
        lane, sent = connect(node, seconds=0.3), mutations(20)
        node.coming.append(silent)
        first, *others = lane.write(sent)
        assert isinstance(first, OperationTimedOut)
        assert others == [None] * 19
        assert lane.write(sent) == [None] * 20  # a late answer has no way in


def test_a_node_that_is_gone_is_unavailable_and_a_node_that_is_back_is_used(connect):
    with FakeCql() as node:
        lane, sent = connect(node, seconds=2), mutations(3)
        node.closed_to = True
        node.hang_up()
        failed = lane.write(sent)
        assert all(isinstance(as_sink_error(error), SinkUnavailable) for error in failed)
        assert all(isinstance(error, NoHostAvailable) for error in failed)
        node.closed_to = False
        assert lane.write(sent) == [None] * 3


def test_rows_of_one_partition_travel_in_one_batch_of_bounded_size(connect):
    with FakeCql() as node:
        lane = connect(node)
        small = [mutation(n, b"same") for n in range(70)]
        assert lane.write([*small, mutation(99)]) == [None] * 71
        assert sorted(len(steps) for _, _, steps in node.rows) == [1, 10, 30, 30]
        node.rows.clear()
        large = [mutation(n, b"same", 20_000) for n in range(5)]
        assert lane.write(large) == [None] * 5
        assert sorted(len(steps) for _, _, steps in node.rows) == [1, 2, 2]


def test_of_a_batch_that_is_refused_only_the_guilty_row_is_rejected(connect):
    with FakeCql(refuses=(b"3",)) as node:
        results = connect(node).write([mutation(n, b"same") for n in range(10)])
        assert [place for place, error in enumerate(results) if error is not None] == [3]
        assert is_rejection(results[3])
        assert len(node.cells) == 9


def test_a_mutation_of_several_steps_is_one_batch(connect):
    with FakeCql() as node:
        both = Mutation(b"p", (step(1, (b"1", b"p")), step(0, (b"p", b"s"))))
        assert connect(node).write([both]) == [None]
        ((_, opcode, steps),) = node.rows
        assert (opcode, [cells for _, cells in steps]) == (0x0D, [(b"1", b"p"), (b"p", b"s")])


def test_what_no_batch_can_hold_is_that_rows_fault(connect):
    with FakeCql() as node:
        endless = Mutation(b"p", (step(0, (b"",)),) * 65_536)
        first, second = connect(node).write([endless, mutation(1)])
        assert is_rejection(first)
        assert second is None


def test_no_more_is_in_flight_than_was_allowed(connect):
    with FakeCql() as node:
        assert connect(node, limits=Limits(in_flight=5)).write(mutations(200)) == [None] * 200
        assert node.busiest <= 5
        node.busiest = 0
        sent = [mutation(n, size=10_000) for n in range(50)]
        assert connect(node, limits=Limits(in_flight_bytes=30_000)).write(sent) == [None] * 50
        assert node.busiest <= 4  # the fourth goes while three are a little less


def test_rows_larger_than_the_bytes_in_flight_go_one_by_one(connect):
    with FakeCql() as node:
        sent = [mutation(n, size=3_000_000) for n in range(3)]
        assert connect(node, limits=Limits(in_flight_bytes=1000)).write(sent) == [None] * 3


def test_a_password_is_given_and_a_wrong_or_missing_one_is_a_matter_for_a_person(connect):
    with FakeCql(password=b"secret") as node:
        assert connect(node, credentials=("user", "secret")).write(mutations(1)) == [None]
        for wrong in (("user", "guess"), None):
            with pytest.raises(SinkMisconfigured):
                connect(node, credentials=wrong)


def test_nobody_there_is_unavailable_and_names_the_place(connect):
    with pytest.raises(SinkUnavailable, match=r"127\.0\.0\.1:1\b"):
        connect(None, ring=lambda: Ring([Node("127.0.0.1", 1)]))


def test_what_is_no_cql_node_is_unavailable_and_not_waited_for(connect):
    with FakeCql() as node:
        node._answer = lambda *_: b"HTTP/1.1 400 Bad Request\r\n\r\n"
        with pytest.raises(SinkUnavailable, match="CQL"):
            connect(node)


def test_another_node_takes_the_rows_of_one_that_is_lost(connect):
    with FakeCql() as one, FakeCql() as other:
        ring = Ring([one.node, other.node], [0], [(one.node, other.node)])
        lane, sent = connect(None, ring=lambda: ring), mutations(40)
        assert lane.write(sent) == [None] * 40
        one.closed_to = True
        one.coming.extend([hung_up] * 3)
        assert lane.write(sent) == [None] * 40
        assert set(one.cells) | set(other.cells) == set(cells(sent))
        one.hang_up()
        other.rows.clear()
        assert lane.write(sent) == [None] * 40
        assert set(other.cells) == set(cells(sent))


def test_an_interrupted_batch_leaves_nothing_for_the_next_one(connect):
    class Interrupted(BaseException):
        pass

    def interrupting():
        raise Interrupted

    with FakeCql() as node:
        lane = connect(node)
        node.coming.append(refused(0x1001))
        lane._chance = interrupting
        with pytest.raises(Interrupted):
            lane.write(mutations(50))
        lane._chance = lambda: 0.0
        node.rows.clear()
        assert lane.write(mutations(10)) == [None] * 10
        assert node.connections == 2


def test_threads_may_share_a_lane(connect):
    with FakeCql() as node:
        lane, results = connect(node), {}
        lots = {n: [mutation(n * 1000 + m) for m in range(100)] for n in range(4)}
        threads = [threading.Thread(target=lambda n=n: results.update({n: lane.write(lots[n])})) for n in lots]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == {n: [None] * 100 for n in lots}
        assert sorted(node.cells) == cells([one for lot in lots.values() for one in lot])
