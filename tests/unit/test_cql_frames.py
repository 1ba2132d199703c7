"""Bytes of the CQL protocol: what we send is what the driver would, what we read does not depend on how it is cut."""

import itertools
import struct

import pytest
from fake_cql import FakeCql, done, error, reply, string, warned

from sinks.cassandra.batches import together
from sinks.cassandra.lane.dial import Access, dial
from sinks.cassandra.lane.frames import ERROR, RESULT, Malformed, Packer, supported
from sinks.cassandra.lane.refusals import refusal
from sinks.cassandra.lane.replies import Reader, Reply
from sinks.cassandra.lane.ring import Node, Ring, Sharding, sharding, token
from sinks.cassandra.layout import Mutation, step
from sinks.cassandra.window import Window, pause_seconds


def read(*pieces):
    """The streams of writes that are done, then the other replies."""
    reader = Reader()
    found = [reader.taken(piece) for piece in pieces]
    return [stream for done, _ in found for stream in done] + [reply for _, others in found for reply in others]


ANSWERS = (
    done(1) + done(2) + warned(3) + error(4, 0x2200, "too large") + done(5) + reply(6, RESULT, struct.pack(">i", 2))
)


def expected():
    refused = struct.pack(">i", 0x2200) + string("too large")
    return [1, 2, 3, 5, Reply(4, ERROR, refused), Reply(6, RESULT, struct.pack(">i", 2))]


def test_replies_are_the_same_wherever_they_are_cut():
    assert read(ANSWERS) == expected()
    for cut in range(len(ANSWERS)):
        assert read(ANSWERS[:cut], ANSWERS[cut:]) == expected()
    assert read(*[bytes([byte]) for byte in ANSWERS]) == expected()


def test_a_frame_of_thirteen_bytes_that_is_no_done_write_is_not_taken_for_one():
    for other in (reply(9, ERROR, VOID), reply(9, RESULT, struct.pack(">i", 4))):
        (first, second) = read(done(1) + other)
        assert (first, second.stream) == (1, 9)


VOID = struct.pack(">i", 1)


def test_a_trace_and_a_payload_are_read_past():
    payload = struct.pack(">H", 1) + string("tablets-routing-v1") + struct.pack(">i", 3) + b"abc"
    assert read(reply(7, RESULT, bytes(16) + payload + VOID, flags=0x06) + done(8)) == [7, 8]


@pytest.mark.parametrize(
    "junk",
    [b"HTTP/1.1 400 Bad Request", b"\x85" + done(1)[1:], reply(1, RESULT, b"\x00\xff", flags=8), reply(1, RESULT, b"")],
)
def test_what_is_no_reply_is_malformed(junk):
    with pytest.raises(Malformed):
        read(junk)


def test_a_request_is_the_bytes_that_the_driver_sends():
    from cassandra.protocol import ExecuteMessage, _ProtocolHandler

    cells = (b"k", None, b"x" * 5000, b"")
    message = ExecuteMessage(b"id", list(cells), 6)
    message.skip_meta = False
    theirs = _ProtocolHandler.encode_message(message, 77, 4, None, allow_beta_protocol_version=False)
    assert b"".join(Packer([b"other", b"id"], 6).request([Mutation(b"k", (step(1, cells),))], 77)) == theirs


def test_a_batch_is_the_bytes_that_the_driver_sends():
    from cassandra.protocol import BatchMessage, _ProtocolHandler
    from cassandra.query import BatchType

    steps = (step(0, (b"1", None)), step(1, (b"22",)))
    queries = [(True, b"one", [b"1", None]), (True, b"two", [b"22"])]
    theirs = _ProtocolHandler.encode_message(
        BatchMessage(BatchType.UNLOGGED, queries, 6), 5, 4, None, allow_beta_protocol_version=False
    )
    assert b"".join(Packer([b"one", b"two"], 6).request([Mutation(b"k", steps)], 5)) == theirs


def test_what_a_node_says_of_itself_is_read():
    said = struct.pack(">H", 2) + string("A") + struct.pack(">H", 2) + string("1") + string("2")
    assert supported(said + string("B") + struct.pack(">H", 0)) == {"A": ["1", "2"], "B": []}


@pytest.mark.parametrize(
    "code", [0x0000, 0x0100, 0x1000, 0x1001, 0x1002, 0x1100, 0x1500, 0x2000, 0x2100, 0x2200, 0x2300, 0x2500]
)
def test_every_code_has_an_exception_with_the_nodes_own_words(code):
    found = refusal(error(1, code, "in its own words")[9:])
    assert (found.code, found.message) == (code, "in its own words")


class TestWindow:
    def test_it_halves_for_a_refusal_and_grows_back_to_its_ceiling(self):
        window = Window(64)
        window.overloaded(0)
        assert window.allowed == 32
        window.answered(32)
        assert window.allowed == 33
        for _ in range(100):
            window.answered(64)
        assert window.allowed == 64

    def test_all_refusals_of_one_burst_halve_it_once(self):
        window = Window(64)
        for in_flight in range(63, -1, -1):
            window.overloaded(in_flight)
        assert window.allowed == 32
        window.overloaded(31)
        assert window.allowed == 16

    def test_it_never_closes(self):
        window = Window(64, floor=4)
        for _ in range(20):
            window.overloaded(0)
        assert (window.allowed, window.share) == (4, 4 / 64)
        assert Window(1).allowed == 1

    def test_pauses_grow_to_a_bound_and_are_spread(self):
        assert [pause_seconds(n, 0.5) for n in range(7)] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
        assert pause_seconds(0, 0.0) < pause_seconds(0, 0.9)


def row(partition, size=1):
    return Mutation(partition, (step(0, (b"x" * size, None)),))


def test_what_travels_together_is_of_one_partition_and_every_row_travels_once():
    rows = [row(b"ab"[n % 2 : n % 2 + 1] if n % 3 else str(n).encode(), 700 * n) for n in range(100)]
    requests = [places for places, _ in together(rows)]
    assert sorted(itertools.chain(*requests)) == list(range(100))
    assert all(len({rows[place].partition for place in places}) == 1 for places in requests)
    sizes = [sum(700 * place for place in places) for places in requests]
    assert all(size <= 48 * 1024 or len(places) == 1 for size, places in zip(sizes, requests, strict=True))
    assert max(map(len, requests)) > 3


class TestRing:
    NODES = (Node("a", 1), Node("b", 1), Node("c", 1))

    def test_a_partition_lies_with_the_first_token_at_or_after_its_own(self):
        own = token(b"some key")
        a, b, c = [(node,) for node in self.NODES]
        assert Ring(self.NODES, [own - 1, own, own + 1], [a, b, c]).replicas(b"some key") == b
        assert Ring(self.NODES, [own - 1, own + 1], [a, c]).replicas(b"some key") == c
        assert Ring(self.NODES, [own - 2, own - 1], [b, c]).replicas(b"some key") == b  # around
        assert Ring(self.NODES).replicas(b"some key") == ()

    def test_a_token_is_the_servers_own(self):
        # SELECT token(id) where id is x, on Cassandra 5.0.9
        assert token(b"x") == 7860725293736722151

    def test_a_core_is_chosen_as_scylladb_documents_it(self):
        told = {
            "SCYLLA_NR_SHARDS": ["4"],
            "SCYLLA_SHARD": ["2"],
            "SCYLLA_SHARDING_ALGORITHM": ["biased-token-round-robin"],
            "SCYLLA_SHARDING_IGNORE_MSB": ["12"],
            "SCYLLA_SHARD_AWARE_PORT": ["19042"],
        }
        found = sharding(told, encrypted=False)
        assert found == Sharding(4, 12, 19042, 2)
        biased = ((token(b"x") + 2**63) * 2**12) % 2**64
        assert found.of(b"x") == biased * 4 // 2**64
        assert sharding({}, encrypted=False) is None
        assert sharding(told, encrypted=True).port is None

    def test_the_source_port_says_which_core_is_meant(self):
        with FakeCql() as node:
            access, known = Access(["INSERT"], 6, 5.0), Sharding(7, 12, node.port, 0)
            line = dial(node.node, access, 3, known)
            assert line.socket.getsockname()[1] % 7 == 3
            line.socket.close()
