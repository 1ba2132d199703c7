"""The driver's own way, while the node is busy: fewer at a time, and what it refused goes again."""

import pytest
from cassandra import InvalidRequest, OperationTimedOut
from cassandra.protocol import OverloadedErrorMessage
from cassandra.query import PreparedStatement

from sinks.cassandra.layout import Mutation, step
from sinks.cassandra.sink import sent_by
from sinks.cassandra.transport import StockTransport

BUSY = OverloadedErrorMessage(0x1001, "busy", None)


class Session:
    """Answers each round with what `verdict` says of each statement's cells."""

    def __init__(self, verdict):
        self._verdict, self.rounds = verdict, []

    def prepare(self, text):
        return PreparedStatement([], b"id", None, text, None, 4, None, None)

    def execute_concurrent(self, statements, concurrency, raise_on_first_error):
        assert not raise_on_first_error
        self.rounds.append((len(statements), concurrency))
        found = [self._verdict(cells_of(statement), len(self.rounds)) for statement, _ in statements]
        return [(error is None, error) for error in found]


def cells_of(statement):
    """Of a bound statement, or of all those in a batch."""
    if hasattr(statement, "values"):
        return [tuple(statement.values)]
    return [tuple(cells) for _, _, cells in statement._statements_and_parameters]


def rows(*partitions):
    return [Mutation(p, (step(0, (p, str(n).encode())),)) for n, p in enumerate(partitions)]


def transport(session, seconds=1000.0):
    time = {"now": 0.0}

    def sleep(pause):
        time["now"] += pause

    return StockTransport(session, ["INSERT"], 64, seconds, clock=lambda: time["now"], sleep=sleep)


def test_what_a_busy_node_refused_goes_again_with_fewer_at_a_time():
    session = Session(lambda _, turn: BUSY if turn < 4 else None)
    assert transport(session).write(rows(b"a", b"b", b"c")) == [None] * 3
    assert session.rounds == [(3, 64), (3, 32), (3, 16), (3, 8)]


def test_a_node_that_stays_busy_is_given_up_when_the_time_is_over():
    session = Session(lambda *_: BUSY)
    assert transport(session, 5.0).write(rows(b"a", b"b")) == [BUSY] * 2
    assert 3 < len(session.rounds) < 20


def test_a_request_that_was_waited_for_in_full_is_not_sent_again():
    late = OperationTimedOut()
    session = Session(lambda *_: late)
    way = transport(session)
    assert way.write(rows(b"a")) == [late]
    assert way.write(rows(b"a")) == [late]
    assert session.rounds == [(1, 64), (1, 32)]


def test_rows_of_one_partition_travel_together_and_only_the_guilty_one_is_rejected():
    no = InvalidRequest("too large")
    session = Session(lambda cells, _: no if (b"same", b"3") in cells else None)
    assert transport(session).write(rows(*[b"same"] * 5, b"other")) == [None, None, None, no, None, None]
    assert [count for count, _ in session.rounds] == [2, 5]


def test_a_row_that_is_refused_while_others_are_busy_is_told_once():
    no = InvalidRequest("too large")
    session = Session(lambda cells, turn: no if (b"a", b"0") in cells else (BUSY if turn == 1 else None))
    assert transport(session).write(rows(b"a", b"b")) == [no, None]
    assert [count for count, _ in session.rounds] == [2, 1]


@pytest.mark.parametrize("way", ["driver"])
def test_the_drivers_way_is_there_for_who_asks_for_it(way):
    from sinks.cassandra.options import CassandraOptions

    place = {"contact_points": ["a"], "local_datacenter": "d", "keyspace": "k", "table": "t"}
    assert isinstance(sent_by(Session(None), ["INSERT"], CassandraOptions(**place, transport=way)), StockTransport)
    assert CassandraOptions(**place).transport == "lane"
