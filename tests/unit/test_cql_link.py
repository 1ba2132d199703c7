"""One connection of the CQL lane, with a socket that takes all and answers what it is told to."""

from fake_cql import done

from sinks.cassandra.lane.dial import Access, Line
from sinks.cassandra.lane.frames import HEAD_BYTES, STREAMS
from sinks.cassandra.lane.link import SEND_ROWS, Link, Request
from sinks.cassandra.lane.ring import Node
from sinks.cassandra.layout import Mutation, step
from sinks.cassandra.window import Window

ROW = Mutation(b"p", (step(0, (b"p",)),))


class Answering:
    """Every request but the very first is done at once."""

    def __init__(self):
        self.first, self.streams, self._answers = None, [], b""

    def send(self, out):
        at = 0
        while at < len(out):
            stream = int.from_bytes(out[at + 2 : at + 4])
            self.streams.append(stream)
            if self.first is None:
                self.first = stream
            else:
                self._answers += done(stream)
            at += HEAD_BYTES + int.from_bytes(out[at + 5 : at + 9])
        return len(out)

    def recv(self, _):
        answers, self._answers = self._answers, b""
        if not answers:
            raise BlockingIOError
        return answers


def test_the_stream_of_a_request_that_waits_is_not_given_out_again():
    socket = Answering()
    link = Link(Line(Node("a", 1), socket, [b"id"], None), Access(["INSERT"], 6, 10.0), Window(512), 2**22)
    rows = 2 * STREAMS + 3 * SEND_ROWS // 2
    requests = [Request((place,), (ROW,)) for place in range(rows)]
    link.waiting.extend(requests)
    while link.waiting:
        link.send(0.0)
        link.receive()
    assert link.outcome().done == rows - 1
    assert link.unanswered() == [requests[0]]
    assert (socket.streams.count(socket.first), len(socket.streams)) == (1, rows)
    assert max(socket.streams) < STREAMS
