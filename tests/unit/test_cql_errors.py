"""Every error that the CQL driver knows has a meaning, and a code has the same one as the class that stands for it."""

import inspect
import ssl
import struct

import cassandra
import pytest
from cassandra import cluster, connection, protocol

from sinks.cassandra.errors import (
    CLASSES,
    CODES,
    CqlError,
    Meaning,
    as_sink_error,
    is_rejection,
    meaning_of,
    meaning_of_code,
)
from sinks.cassandra.options import CassandraOptions
from sinks.cassandra.sink import CassandraSink
from sinks.change import KeyAttribute, KeySchema
from sinks.sink import SinkMisconfigured, SinkUnavailable

UNAVAILABLE, MISCONFIGURED, REJECTED = Meaning
# Not raised for a request of ours: bases of the others, what callers of the driver's own API get, or wrapped ones.
NEVER_OURS = {
    "cassandra.DriverException",
    "cassandra.cluster.NoHostAvailable",
    "cassandra.cluster.UserTypeDoesNotExist",
    "cassandra.cluster.QueryExhausted",
    "cassandra.protocol.InternalError",
}


def raised_by(module):
    for name, known in vars(module).items():
        if inspect.isclass(known) and issubclass(known, Exception) and known.__module__ == module.__name__:
            yield f"{module.__name__}.{name}", known


KNOWN = dict(one for module in (cassandra, cluster, connection, protocol) for one in raised_by(module))
FRAMES = {name: known for name, known in KNOWN.items() if issubclass(known, protocol.ErrorMessage)}
CODED = {name: known for name, known in FRAMES.items() if getattr(known, "error_code", None) is not None}


@pytest.mark.parametrize("name", sorted(KNOWN.keys() - FRAMES.keys() - NEVER_OURS))
def test_every_class_of_the_driver_stands_in_the_table(name):
    assert any(issubclass(KNOWN[name], listed) for listed, _ in CLASSES)


@pytest.mark.parametrize("name", sorted(CODED))
def test_every_code_that_the_driver_knows_stands_in_the_table(name):
    assert CODED[name].error_code in CODES


# What these frames carry besides code and message (native protocol v4, "Error codes").
TIMED_OUT = {"consistency": 1, "received_responses": 0, "required_responses": 1}
INFO = {
    0x1000: {"consistency": 1, "required_replicas": 2, "alive_replicas": 1},
    0x1100: {**TIMED_OUT, "write_type": 0},
    0x1200: TIMED_OUT,
    0x1300: TIMED_OUT,
    0x1400: {"keyspace": "k", "function": "f", "arg_types": []},
    0x1500: TIMED_OUT,
    0x2400: {"keyspace": "k", "table": "t"},
}


@pytest.mark.parametrize("name", sorted(CODED))
def test_a_code_and_the_class_that_the_driver_makes_of_it_mean_the_same(name):
    code = CODED[name].error_code
    frame = CODED[name](code, "said", INFO.get(code, {}))
    assert meaning_of(frame) is meaning_of(CqlError(code, "said")) is meaning_of_code(code, "said") is CODES[code]
    translated = frame.to_exception()
    assert meaning_of(translated) is CODES[code]


SEEN = [
    # As seen on real nodes.
    (cassandra.InvalidRequest("Mutation of 17825844 bytes is too large"), REJECTED),
    (cassandra.Unavailable("", required_replicas=2, alive_replicas=1), UNAVAILABLE),
    (cassandra.WriteTimeout("", write_type=0), UNAVAILABLE),
    (cassandra.WriteFailure("", write_type=0), UNAVAILABLE),
    (cassandra.OperationTimedOut(), UNAVAILABLE),
    (cassandra.Unauthorized("User u has no MODIFY permission"), MISCONFIGURED),
    (cassandra.AuthenticationFailed("Provided username u and/or password are incorrect"), MISCONFIGURED),
    (protocol.SyntaxException(0x2000, "line 1:0", None), MISCONFIGURED),
    (protocol.OverloadedErrorMessage(0x1001, "full", None), UNAVAILABLE),
    (connection.ConnectionShutdown("closed"), UNAVAILABLE),
    (ConnectionResetError("reset"), UNAVAILABLE),
    (TimeoutError("slow"), UNAVAILABLE),
    # A refused certificate is a ValueError and an OSError too: it is about no row, and no retry mends it.
    (ssl.SSLCertVerificationError("hostname mismatch"), MISCONFIGURED),
    (ssl.SSLEOFError("closed in mid-frame"), UNAVAILABLE),
    # The client's own.
    (TypeError("a number"), REJECTED),
    (ValueError("too long"), REJECTED),
    (AttributeError("no encoder"), REJECTED),
    (struct.error("int too large"), REJECTED),
    (RuntimeError("never heard of"), UNAVAILABLE),
]


@pytest.mark.parametrize(("error", "meaning"), SEEN, ids=lambda value: type(value).__name__)
def test_what_was_seen_means_what_a_person_would_say(error, meaning):
    assert meaning_of(error) is meaning
    assert is_rejection(error) is (meaning is REJECTED)


def test_a_code_that_nobody_knows_is_retried_and_no_verdict_on_a_row():
    assert meaning_of_code(0xF000, "ScyllaDB: rate limit reached") is UNAVAILABLE
    assert isinstance(as_sink_error(CqlError(0xF000, "rate limit")), SinkUnavailable)


@pytest.mark.parametrize(
    ("code", "wrapped", "said"),
    [
        (0x0100, cassandra.AuthenticationFailed, "Unable to perform authentication: Cannot achieve consistency level"),
        (0x2100, cassandra.Unauthorized, "Unable to perform authorization of permissions: Operation timed out"),
    ],
)
def test_a_node_that_could_not_look_up_its_roles_is_away_and_not_refusing(code, wrapped, said):
    assert meaning_of_code(code, said) is UNAVAILABLE
    error = wrapped(f'Failed to authenticate: code={code:04x} message="{said}"')
    assert meaning_of(error) is UNAVAILABLE
    assert isinstance(as_sink_error(cluster.NoHostAvailable("", {"a": error})), SinkUnavailable)


@pytest.mark.parametrize(
    ("causes", "expected"),
    [
        ({"a": ConnectionRefusedError(), "b": cassandra.AuthenticationFailed("no")}, SinkMisconfigured),
        ({"a": ConnectionRefusedError(), "b": cassandra.OperationTimedOut()}, SinkUnavailable),
        # What a node said of one row is not said of the cluster.
        ({"a": cassandra.InvalidRequest("too large")}, SinkUnavailable),
        (["127.0.0.1"], SinkUnavailable),
        ({}, SinkUnavailable),
    ],
)
def test_no_host_available_is_what_its_nodes_said(causes, expected):
    assert type(as_sink_error(cluster.NoHostAvailable("none", causes))) is expected


@pytest.mark.parametrize("error", [ValueError("ours"), TypeError("the driver's")])
def test_an_error_of_code_that_is_about_no_row_is_retried_and_visible(error):
    assert "unexpected" in str(as_sink_error(error))
    assert isinstance(as_sink_error(error), SinkUnavailable)


@pytest.mark.parametrize("code", sorted(CODES))
def test_an_error_that_is_no_rejection_is_the_engines_word_for_it(code):
    error = as_sink_error(CqlError(code, "said"))
    assert type(error) is (SinkUnavailable if CODES[code] is UNAVAILABLE else SinkMisconfigured)
    assert "said" in str(error)


class Cluster:
    """A driver that finds no node behind the names: it says so when it is made, and not when it connects."""

    def __init__(self, *_, **__):
        raise cassandra.UnresolvableContactPoints({"cassandra.example": None})


def test_names_that_cannot_be_resolved_are_waited_for_and_said():
    place = {"contact_points": ["cassandra.example"], "local_datacenter": "d", "keyspace": "k", "table": "t"}
    sink = CassandraSink(CassandraOptions(**place), KeySchema(KeyAttribute("id", "S")), cluster=Cluster)
    with pytest.raises(SinkUnavailable, match=r"cassandra\.example:9042 .*contact_points"):
        sink.open()
    sink.close()
