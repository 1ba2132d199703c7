"""Who may switch, asked with limits of one's own, held back until the answer changes, and not sent twice."""

import concurrent.futures
import http.client
import json
import socket
import threading
import time

import msgspec
import pytest
from served import published, several
from served import served as one_served

from daemon.phase import Phase
from daemon.routes import Routes
from daemon.server import bounds, changes
from daemon.signal.document import VALID_SECONDS
from daemon.signal.verdict import Question, seconds, why_not

NOW = 1_700_000_000.0
INDEX = "X-Moveout-Index"


@pytest.fixture(scope="module")
def served():
    with one_served() as made:
        yield made


@pytest.fixture
def aside():
    with concurrent.futures.ThreadPoolExecutor(4) as made:
        yield made.submit


@pytest.mark.parametrize(
    ("about", "question", "why"),
    [
        ({}, Question("readers"), None),
        ({}, Question("writers"), "writers may not switch: all is well"),
        ({"writers": True}, Question("writers"), None),
        ({"ready": False}, Question("readers"), "all is well"),
        ({"lag": 1.9}, Question("readers", max_lag_seconds=2), None),
        ({"lag": 2.1}, Question("readers", max_lag_seconds=2), "proven lag is 2.1 s, max_lag is 2 s"),
        ({}, Question("readers", stable_for_seconds=5), None),
        ({}, Question("readers", stable_for_seconds=6), "ready for 5 s, stable_for is 6 s"),
        # A limit that is wider than the service's own says nothing.
        ({"ready": False}, Question("readers", 3600, 0), "all is well"),
    ],
)
def test_a_question_can_only_tighten_what_the_service_decided(about, question, why):
    assert why_not(published(now=NOW, **about), question, NOW) == why


def test_lag_grows_with_the_age_of_the_document():
    document, question = published(now=NOW, lag=1.0), Question("readers", max_lag_seconds=2)
    assert why_not(document, question, NOW + 0.9) is None
    assert why_not(document, question, NOW + 1.1) == "proven lag is 2.1 s, max_lag is 2 s"


def test_an_expired_document_is_a_no_to_every_question():
    document = published(now=NOW, writers=True)
    for question in (Question("readers"), Question("writers"), Question("readers", 3600, 0)):
        assert why_not(document, question, NOW + VALID_SECONDS - 1) is None
        assert "has expired" in why_not(document, question, NOW + VALID_SECONDS + 1)


def test_lag_without_a_bound_is_above_every_limit():
    document = published(now=NOW)
    unbounded = msgspec.structs.replace(document, lag=msgspec.structs.replace(document.lag, seconds=None))
    assert "no bound" in why_not(unbounded, Question("readers", max_lag_seconds=1e9), NOW)


def test_writers_have_an_address_of_their_own(served):
    served.document = published(ready=True, writers=False)
    assert (served.ask("/v1/ready/readers").status, served.ask("/v1/ready/writers").status) == (200, 503)
    served.document = published(ready=True, writers=True)
    assert served.ask("/v1/ready/writers").status == 200


def test_the_answer_says_in_the_words_of_the_question_why_not(served):
    served.document = published(lag=4.0)
    answer = served.ask("/v1/ready/readers?max_lag=2s")
    told = json.loads(answer.body)
    assert (answer.status, told["phase"], told["asked"]["ready"]) == (503, "replicating", False)
    assert told["asked"]["why"].endswith("max_lag is 2 s")
    assert served.ask("/v1/ready/readers?max_lag=1m&stable_for=1s").status == 200


@pytest.mark.parametrize("path", ["/v1/ready/readers", "/v1/ready/writers", "/v1/migration", "/livez", "/metrics"])
def test_head_is_get_without_the_body(served, path):
    served.document = published(writers=True)
    answer = served.ask(path, method="HEAD")
    assert (answer.status, answer.body) == (200, "")
    assert served.ask(path).body


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("max_lag=2", "max_lag is a duration like 500ms, 2s, 1m or 1h, not '2'"),
        ("max_lag=-2s", "max_lag is a duration"),
        ("stable_for=soon", "stable_for is a duration"),
        ("wait=61s", "wait is at most 60s"),
        ("wait=1s&index=-1", "index is the X-Moveout-Index"),
        ("maxlag=2s", "parameter 'maxlag' is not known; known are max_lag, stable_for, wait, index"),
        ("max_lag=2s&max_lag=9s", "max_lag is given 2 times"),
        ("max_lag=%0d%0aX-Evil:1", r"not '\r\nX-Evil:1'"),
    ],
)
def test_a_bad_parameter_is_told_in_one_line(served, query, told):
    served.document = published()
    answer = served.ask(f"/v1/ready/readers?{query}")
    assert answer.status == 400
    assert told in answer.body
    assert answer.body.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "worth"), [("500ms", 0.5), ("2s", 2), ("1m", 60), ("1h", 3600), ("1.5s", 1.5), ("0s", 0)]
)
def test_durations_are_written_as_people_write_them(text, worth):
    assert seconds(text) == pytest.approx(worth)


def test_what_is_known_is_not_sent_again_and_a_no_is_always_sent(served):
    served.document = published(routes=Routes(reads_percent=10))
    first = served.ask("/v1/ready/readers")
    served.document = published(routes=Routes(reads_percent=10), lag=1.2)  # a figure, no decision; since is another
    served.document = msgspec.structs.replace(
        served.document,
        ready=msgspec.structs.replace(served.document.ready, since=json.loads(first.body)["ready"]["since"]),
    )
    again = served.ask("/v1/ready/readers", headers={"If-None-Match": f'"else", {first.headers["ETag"]}'})
    assert (again.status, again.body, again.headers["ETag"]) == (304, "", first.headers["ETag"])
    served.document = published(routes=Routes(reads_percent=20))
    assert served.ask("/v1/ready/readers", headers={"If-None-Match": first.headers["ETag"]}).status == 200
    served.document = published(ready=False)
    for known in (first.headers["ETag"], "*"):
        assert served.ask("/v1/ready/readers", headers={"If-None-Match": known}).status == 503


def test_the_migration_is_sent_again_when_any_figure_has_changed(served):
    served.document = published(now=time.time())
    tag = served.ask("/v1/migration").headers["ETag"]
    assert served.ask("/v1/migration", headers={"If-None-Match": tag}).status == 304
    served.document = published(now=time.time() + 0.5)
    assert served.ask("/v1/migration", headers={"If-None-Match": tag}).status == 200


@pytest.mark.parametrize(
    "later",
    [
        {"epoch": 1},
        {"ready": False},
        {"writers": True},
        {"phase": Phase.SWITCHING},
        {"routes": Routes(reads_percent=1)},
        {"routes": Routes(writes_fenced=True)},
    ],
    ids=str,
)
def test_the_index_rises_with_each_change_of_the_decision_and_with_no_figure(later):
    document = [published(now=NOW)]
    looked = changes.Changes(lambda: document[0], lambda: NOW)
    first = looked.look().revision
    document[0] = published(now=NOW + 0.0001, lag=9.0)
    document[0] = msgspec.structs.replace(document[0], ready=published(now=NOW).ready)
    assert looked.look().revision == first
    document[0] = published(now=NOW, **later)
    assert looked.look().revision == first + 1
    assert looked.look().revision == first + 1


def test_the_index_rises_when_a_document_expires_and_when_one_of_several_tables_changes():
    clock, document = [NOW], [several(published(now=NOW, table="a"), published(now=NOW, table="b"))]
    looked = changes.Changes(lambda: document[0], lambda: clock[0])
    first = looked.look().revision
    document[0] = several(published(now=NOW, table="a"), published(now=NOW, table="b", routes=Routes(50)))
    assert looked.look().revision == first + 1
    clock[0] += VALID_SECONDS + 1
    assert looked.look().revision == first + 2


def test_a_restarted_service_has_a_higher_index():
    # Within a minute a decision does not change 60,000 times.
    old = changes.Changes(lambda: None, lambda: NOW)
    assert changes.Changes(lambda: None, lambda: NOW + 60).look().revision > old.look().revision + 1000


def test_a_held_answer_comes_with_the_change_and_not_before(served, aside):
    served.document = published(ready=False)
    index = served.ask("/v1/migration").headers[INDEX]
    held = aside(served.ask, f"/v1/migration?wait=20s&index={index}")
    with pytest.raises(concurrent.futures.TimeoutError):
        held.result(timeout=0.5)
    served.document = published(ready=True)
    answer = held.result(timeout=15)
    assert json.loads(answer.body)["ready"]["readers"]
    assert int(answer.headers[INDEX]) == int(index) + 1


def test_a_held_answer_comes_at_the_end_of_its_wait_with_the_same_index(served):
    served.document = published(ready=False)
    index = served.ask("/v1/ready/readers").headers[INDEX]
    answer = served.ask(f"/v1/ready/readers?wait=200ms&index={index}")
    assert (answer.status, answer.headers[INDEX]) == (503, index)


@pytest.mark.parametrize("path", ["/v1/ready/readers", "/v1/migration"])
def test_an_index_that_is_not_the_present_one_is_answered_at_once(served, path):
    served.document = published(ready=False)
    index = int(served.ask(path).headers[INDEX])
    for other in (index - 1, index + 1):  # of before, or of another replica
        assert served.ask(f"{path}?wait=60s&index={other}").headers[INDEX] == str(index)


def test_without_an_index_readiness_is_waited_for(served, aside):
    served.document = published(ready=False)
    held = aside(served.ask, "/v1/ready/readers?wait=20s")
    with pytest.raises(concurrent.futures.TimeoutError):
        held.result(timeout=0.3)
    served.document = published(ready=True)
    assert held.result(timeout=15).status == 200
    assert served.ask("/v1/migration?wait=1s").status == 400


def test_a_held_question_with_a_limit_is_answered_when_its_answer_turns(served, aside):
    # No decision changes: the lag has grown above what this client asks for.
    served.document = published(lag=1.0)
    index = served.ask("/v1/ready/readers?max_lag=1h").headers[INDEX]
    held = aside(served.ask, f"/v1/ready/readers?max_lag=1h&wait=20s&index={index}")
    with pytest.raises(concurrent.futures.TimeoutError):
        held.result(timeout=0.3)
    old = served.document
    served.document = msgspec.structs.replace(old, lag=msgspec.structs.replace(old.lag, seconds=3601.0))
    answer = held.result(timeout=15)
    assert (answer.status, answer.headers[INDEX]) == (503, index)


def test_only_so_many_are_held_and_probes_are_still_answered(served):
    served.document = published(ready=False)
    index = served.ask("/v1/migration").headers[INDEX]
    held = []
    for _ in range(changes.WAITING_MAX):
        waiting = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
        waiting.request("GET", f"/v1/migration?wait=30s&index={index}")
        held.append(waiting)
    for _ in range(100):  # the last of them may not have been read yet
        refused = served.ask(f"/v1/migration?wait=100ms&index={index}")
        if refused.status == 503:
            break
    assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
    assert served.ask("/livez").status == served.ask("/v1/migration").status == 200
    served.document = published(ready=True)
    for waiting in held:
        assert waiting.getresponse().status == 200
        waiting.close()
    assert served.ask("/v1/migration?wait=1ms&index=" + served.ask("/v1/migration").headers[INDEX]).status == 200


def test_whoever_waits_and_goes_away_makes_room(served):
    served.document = published(ready=False)
    index = served.ask("/v1/migration").headers[INDEX]
    for _ in range(changes.WAITING_MAX):
        with socket.create_connection(("127.0.0.1", served.port)) as client:
            client.sendall(f"GET /v1/migration?wait=60s&index={index} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    for _ in range(100):
        answer = served.ask(f"/v1/migration?wait=100ms&index={index}")
        if answer.status == 200:
            break
        time.sleep(0.1)
    assert answer.status == 200


def test_whoever_waits_is_answered_when_the_service_ends():
    threads = [thread.name for thread in threading.enumerate()].count("http")
    with one_served() as served:
        served.document = published(ready=False)
        index = served.ask("/v1/migration").headers[INDEX]
        waiting = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
        waiting.request("GET", f"/v1/migration?wait=60s&index={index}")
        served.ask("/livez")  # behind it: the server has read both
    assert waiting.getresponse().status == 200
    waiting.close()
    assert [thread.name for thread in threading.enumerate()].count("http") == threads


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/v1/migration", "/v1/ready/readers", "/v1/tables/customers", "/livez", "/metrics"])
def test_no_method_changes_any_state(served, method, path):
    served.document = published()
    before = served.document
    assert served.ask(path, method=method, body=b"{}").status == 405
    assert served.document == before


def test_every_answer_carries_what_keeps_browsers_from_making_more_of_it(served):
    for path in ("/livez", "/v1/migration", "/nowhere", "/v1/ready/readers?no=1"):
        headers = served.ask(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["Server"] is None
        assert headers["Access-Control-Allow-Origin"] is None


def test_a_slash_too_many_leads_nowhere_and_to_no_other_host(served):
    answer = served.ask("/v1/migration/", headers={"Host": "evil.example"})
    assert (answer.status, answer.headers["Location"]) == (404, None)


def test_an_address_and_headers_that_are_too_long_are_refused(served):
    served.document = published()
    assert served.ask("/v1/migration?index=" + "1" * bounds.TARGET_BYTES_MAX).status == 414
    many = {f"X-{n}": "x" * 4000 for n in range(5)}
    assert served.ask("/v1/migration", headers=many).status in (400, 431)


def test_a_client_that_says_nothing_or_too_little_is_let_go(served):
    # Ten seconds at most; the test ends when the server closes, whenever that is.
    for spoken in (b"", b"GET /livez HT"):
        with socket.create_connection(("127.0.0.1", served.port), timeout=60) as client:
            client.sendall(spoken)
            try:
                answer = client.recv(100)
            except ConnectionResetError:
                answer = b""
            assert answer == b""
