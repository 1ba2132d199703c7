"""The routes as feature flags: the protocol, and the real OpenFeature SDK with its real OFREP provider."""

import json
import socket
import time

import pytest
from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import Reason
from served import published, several
from served import served as one_served

from daemon.routes import Routes, reads_from
from daemon.server import bounds
from daemon.signal.document import VALID_SECONDS

ONE, ALL = "/ofrep/v1/evaluate/flags/orders.reads", "/ofrep/v1/evaluate/flags"
READERS = [f"reader-{n}" for n in range(60)]


@pytest.fixture(scope="module")
def served():
    with one_served() as made:
        yield made


@pytest.fixture
def flags(served):
    """A client of the real SDK."""
    provider = OFREPProvider(served.url)
    api.set_provider(provider)
    yield api.get_client()
    api.clear_providers()
    provider.session.close()


def post(served, path, body=b"{}", **headers):
    answer = served.ask(path, method="POST", body=body, headers={"Content-Type": "application/json", **headers})
    return answer.status, json.loads(answer.body) if answer.body else None


def context(key):
    return json.dumps({"context": {"targetingKey": key, "more": [1]}}).encode()


@pytest.mark.parametrize(
    ("routes", "reads", "writes"),
    [
        (Routes(), "source", "source"),
        (Routes(100), "target", "source"),
        (Routes(100, writes_fenced=True), "target", "fenced"),
        (Routes(100, "target"), "target", "target"),
    ],
)
def test_an_sdk_follows_the_routes(served, flags, routes, reads, writes):
    served.document = published(routes=routes, epoch=7)
    told = flags.get_string_details("orders.reads", "?")
    assert (told.value, told.variant, told.reason) == (reads, reads, Reason.STATIC)
    assert (told.flag_metadata["epoch"], told.flag_metadata["phase"]) == (7, "replicating")
    assert flags.get_string_value("orders.writes", "?") == writes


def test_an_sdk_sends_so_many_readers_to_the_target_and_each_always_to_the_same_side(served, flags):
    served.document = published(routes=Routes(reads_percent=30))
    asked = [flags.get_string_details("orders.reads", "?", EvaluationContext(reader)) for reader in READERS]
    assert {one.reason for one in asked} == {Reason.SPLIT}
    assert [one.value for one in asked] == [reads_from(Routes(30), reader) for reader in READERS]
    assert 0 < sum(one.value == "target" for one in asked) < len(READERS)
    before = {reader for reader, one in zip(READERS, asked, strict=True) if one.value == "target"}
    served.document = published(routes=Routes(reads_percent=60))
    after = {r for r in READERS if flags.get_string_value("orders.reads", "?", EvaluationContext(r)) == "target"}
    assert before < after


def test_an_sdk_gets_the_error_that_the_protocol_has_for_it_and_its_default(served, flags):
    served.document = published(routes=Routes(reads_percent=30))
    without = flags.get_string_details("orders.reads", "default")
    assert (without.value, without.error_code) == ("default", "TARGETING_KEY_MISSING")
    unknown = flags.get_string_details("orders.raeds", "default")
    assert (unknown.value, unknown.error_code) == ("default", "FLAG_NOT_FOUND")
    assert "orders.reads" in unknown.error_message
    assert flags.get_boolean_details("orders.writes", default_value=False).error_code == "TYPE_MISMATCH"


def test_an_sdk_keeps_its_last_value_when_the_service_knows_nothing_yet(served, flags):
    served.document = published(routes=Routes(100))
    last = flags.get_string_value("orders.reads", "source")
    served.document = None
    again = flags.get_string_details("orders.reads", last)
    assert (again.value, again.error_code) == ("target", "GENERAL")


def test_a_route_does_not_expire_and_its_age_is_told(served, flags):
    old = time.time() - VALID_SECONDS - 60
    served.document = published(now=old, routes=Routes(100, "target"))
    told = flags.get_string_details("orders.reads", "?")
    assert (told.value, told.flag_metadata["stale"]) == ("target", True)
    assert told.flag_metadata["age_seconds"] >= VALID_SECONDS + 60
    assert served.ask("/v1/ready/readers").status == 503
    served.document = published(routes=Routes(100, "target"))
    assert not flags.get_string_details("orders.reads", "?").flag_metadata["stale"]


def test_each_table_of_several_has_flags_of_its_own_and_the_whole_has_what_holds_for_all(served, flags):
    served.document = several(published(table="a.b", routes=Routes(100)), published(table="c", routes=Routes(0)))
    told = [flags.get_string_value(f"shop.{key}", "?") for key in ("a.b.reads", "c.reads", "reads")]
    assert told == ["target", "source", "source"]


def test_all_flags_at_once(served):
    served.document = published(routes=Routes(50), epoch=3)
    status, told = post(served, ALL, context("me"))
    assert status == 200
    assert [flag["key"] for flag in told["flags"]] == [
        "orders.reads",
        "orders.writes",
        "orders.customers.reads",
        "orders.customers.writes",
    ]
    assert {flag["metadata"]["epoch"] for flag in told["flags"]} == {3}
    without = post(served, ALL)[1]["flags"]
    assert [flag.get("errorCode", flag.get("value")) for flag in without] == ["TARGETING_KEY_MISSING", "source"] * 2


def test_all_flags_are_not_sent_again_before_one_has_changed(served):
    served.document = published(now=time.time() - 2, routes=Routes(50))
    body = context("me")
    tag = served.ask(ALL, method="POST", body=body).headers["ETag"]
    served.document = published(routes=Routes(50))  # only the age is another
    assert post(served, ALL, body, **{"If-None-Match": tag}) == (304, None)
    served.document = published(routes=Routes(51), epoch=1)
    assert post(served, ALL, body, **{"If-None-Match": tag})[0] == 200
    served.document = published(now=time.time() - VALID_SECONDS - 1, routes=Routes(50))
    assert post(served, ALL, body, **{"If-None-Match": tag})[0] == 200


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", None),
        (b"{}", None),
        (b'{"context": {}}', None),
        (b'{"context": null}', None),
        (b'{"context": {"targetingKey": null}}', None),
        (b"{", "PARSE_ERROR"),
        (b"[]", "PARSE_ERROR"),
        (b'"\\ud800"', "PARSE_ERROR"),
        (b"\xff\xfe", "PARSE_ERROR"),
        (b'{"context": []}', "INVALID_CONTEXT"),
        (b'{"context": "me"}', "INVALID_CONTEXT"),
        (b'{"context": {"targetingKey": 7}}', "INVALID_CONTEXT"),
        (b'{"context": ' + b"[" * 30_000 + b"]" * 30_000 + b"}", "INVALID_CONTEXT PARSE_ERROR"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_wrong_with_a_request_is_told_by_the_protocols_code(served, body, code):
    served.document = published(routes=Routes(100))
    status, told = post(served, ONE, body)
    if code is None:
        assert (status, told["value"]) == (200, "target")
    else:
        assert (status, told["key"]) == (400, "orders.reads")
        assert told["errorCode"] in code
    assert post(served, ALL, body)[0] == status


def test_a_flag_that_is_not_known_is_404_whatever_it_is_called(served):
    served.document = published()
    for key in ("nothing", "orders.reads/more", "%2e%2e", "%00", "%ff", "orders"):
        status, told = post(served, f"{ALL}/{key}")
        assert (status, told["errorCode"]) == (404, "FLAG_NOT_FOUND")


def test_before_anything_is_known_no_route_is_told(served):
    served.document = None
    status, told = post(served, ONE)
    assert (status, told["errorCode"]) == (503, "PROVIDER_NOT_READY")
    assert "value" not in told
    assert post(served, ALL)[0] == 503


def test_a_body_that_is_too_long_is_refused(served):
    served.document = published()
    assert post(served, ONE, b" " * (bounds.BODY_BYTES_MAX + 1))[0] == 413


def test_a_body_that_does_not_come_is_not_waited_for(served):
    served.document = published()
    with socket.create_connection(("127.0.0.1", served.port), timeout=60) as client:
        client.sendall(f"POST {ONE} HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n{{".encode())
        assert client.recv(100).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_flags_are_asked_for_by_post_alone(served, method):
    assert served.ask(ONE, method=method, body=b"{}").status == 405
    assert served.ask(ALL, method=method, body=b"{}").status == 405
