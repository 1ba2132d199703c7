"""The port under random requests: never a 500, never a traceback, never a secret, and afterwards it still answers."""

import json
import logging
import socket

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from served import published, several
from served import served as one_served

from daemon.phase import Phase
from daemon.routes import Routes

SECRET = "hunter2-very-secret"
PATHS = [
    "/",
    "/livez",
    "/readyz",
    "/metrics",
    "/v1/migration",
    "/v1/ready/readers",
    "/v1/ready/writers",
    "/v1/tables/a",
    "/v1/tables/",
    "/ofrep/v1/evaluate/flags",
    "/ofrep/v1/evaluate/flags/shop.reads",
    "/ofrep/v1/evaluate/flags/shop.a.writes",
]
DOCUMENTS = [
    None,
    published(now=1.0),
    published(ready=False, phase=Phase.NEEDS_RESYNC),
    several(published(table="a", routes=Routes(40)), published(table="b", writers=True)),
]
# The server sends these as they stand, so that no client of ours makes them well-formed first.
target = st.builds(
    lambda path, more, query: path + more + (b"?" + query if query else b""),
    st.sampled_from([path.encode() for path in PATHS]),
    st.sampled_from([b"", b"", b"", b"/", b"/../..", b"%00", b"%ff%fe", b"%", b"%2e%2e%2f", b"//evil.example/"])
    | st.binary(max_size=20),
    st.sampled_from(
        [
            b"",
            b"max_lag=2s",
            b"max_lag=9999999999999s",
            b"wait=1ms&index=0",
            b"index=" + b"9" * 30,
            b"wait=0s",
            b"stable_for=1m&max_lag=",
            b"=&&==",
            b"max_lag=%ff",
        ]
    )
    | st.binary(max_size=40),
)
method = st.sampled_from([b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"CONNECT", b"BREW"])
leaf = st.none() | st.booleans() | st.floats() | st.text(max_size=8) | st.integers()
nested = st.recursive(leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))
body = st.binary(max_size=200) | st.builds(
    lambda key, context: json.dumps({key: context}).encode(),
    st.sampled_from(["context", "contxt"]),
    nested | st.fixed_dictionaries({"targetingKey": nested}),
)
header = st.sampled_from(
    [
        b"If-None-Match: *",
        b'If-None-Match: W/"x", "y',
        b"If-None-Match: ,,,",
        b"Content-Type: text/plain",
        b"Transfer-Encoding: chunked",
        b"Content-Length: -1",
        b"Content-Length: 99999999999999999999",
        b"Expect: 100-continue",
        b"Upgrade: websocket\r\nConnection: Upgrade",
        b"Authorization: Bearer " + SECRET.encode(),
        b"Host:",
        b"Range: bytes=0-1",
    ]
) | st.binary(max_size=30)


@pytest.fixture(scope="module")
def server():
    with one_served() as made:
        yield made


def exchanged(port, request):
    """All that the server answers until it or we have nothing more to say."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        try:
            client.sendall(request)
            client.shutdown(socket.SHUT_WR)
            while part := client.recv(65536):
                answer += part
        except ConnectionError:
            pass
    return answer


def statuses(answer):
    lines = [part.split(b"\r\n", 1)[0] for part in answer.split(b"HTTP/1.1 ")[1:]]
    return [int(line.split(b" ")[0]) for line in lines]


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(method, target, st.lists(header, max_size=3), body, st.sampled_from(DOCUMENTS))
def test_no_request_is_answered_with_a_fault_of_ours(server, caplog, method, target, headers, body, document):
    server.document = document
    length = b"Content-Length: %d" % len(body)
    lines = [method + b" " + target + b" HTTP/1.1", b"Host: h", b"Connection: close", length, *headers]
    with caplog.at_level(logging.ERROR):
        caplog.clear()
        answer = exchanged(server.port, b"\r\n".join(lines) + b"\r\n\r\n" + body)
    assert caplog.records == []
    assert set(statuses(answer)) <= {100, 200, 304, 400, 404, 405, 408, 413, 414, 431, 501, 503}
    if 503 in statuses(answer):
        assert document is None or b"/v1/ready/" in target
    assert b"Traceback" not in answer
    assert b'File "' not in answer
    assert SECRET.encode() not in answer
    assert server.get("/livez")[0] == 200


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(min_size=1, max_size=300))
def test_what_is_no_http_at_all_harms_nobody(server, caplog, spoken):
    with caplog.at_level(logging.ERROR):
        caplog.clear()
        answer = exchanged(server.port, spoken)
    assert caplog.records == []
    assert set(statuses(answer)) <= {400, 404, 405}
    assert server.get("/livez")[0] == 200
