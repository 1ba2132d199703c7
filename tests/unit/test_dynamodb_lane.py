"""The lane's signer, its reading of responses, and its sockets, against a scripted server."""

import contextlib
import datetime as dt
import ipaddress
import json
import socketserver
import ssl
import threading
import time

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, HTTPClientError, NoCredentialsError, ReadTimeoutError
from hypothesis import given, settings
from hypothesis import strategies as st

from sinks.dynamodb.connect import host_of
from sinks.dynamodb.lane.lane import Lane
from sinks.dynamodb.lane.reply import BadReply, reply
from sinks.dynamodb.lane.signature import Keys, Signer

# A socket of ours that is left to the collector fails the test (pyproject.toml lets the driver's pass).
pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
WORDS = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/=", min_size=1, max_size=60)


class At(SigV4Auth):
    """botocore's signer, at a given time."""

    stamp = ""

    def _modify_request_before_signing(self, request):
        request.context["timestamp"] = self.stamp
        super()._modify_request_before_signing(request)


def by_botocore(url, region, keys, second, operation, body):
    headers = {"X-Amz-Target": f"DynamoDB_20120810.{operation}", "Content-Type": "application/x-amz-json-1.0"}
    request = AWSRequest("POST", url, headers=headers, data=body)
    signer = At(Credentials(*keys), "dynamodb", region)
    signer.stamp = dt.datetime.fromtimestamp(second, dt.UTC).strftime("%Y%m%dT%H%M%SZ")
    signer.add_auth(request)
    return dict(request.headers.items())


def headers_of(head):
    line, *rest = head.decode().removesuffix("\r\n\r\n").split("\r\n")
    assert line == "POST / HTTP/1.1"
    found = dict(one.split(": ", 1) for one in rest)
    assert len(found) == len(rest)
    return found


@settings(max_examples=300, deadline=None)
@given(
    url=st.sampled_from(
        [
            "https://dynamodb.eu-north-1.amazonaws.com/",
            "http://127.0.0.1:8000/",
            "https://vpce.example:443/",
            "http://alternator.example:80/",
            "https://vpce.example:8443/",
        ]
    ),
    region=st.sampled_from(["us-east-1", "eu-north-1", "us-gov-west-1"]),
    keys=st.builds(Keys, WORDS, WORDS, st.none() | WORDS),
    second=st.integers(0, 4_000_000_000),
    operation=st.sampled_from(["PutItem", "BatchWriteItem"]),
    bodies=st.lists(st.binary(max_size=300), min_size=1, max_size=3),
)
def test_a_request_is_signed_byte_for_byte_as_botocore_signs_it(url, region, keys, second, operation, bodies):
    signer = Signer(host_of(url), region, lambda: keys, lambda: second)
    for body in bodies:  # the second one is signed with what is kept of the first
        found = headers_of(signer.head(operation, body))
        assert found.pop("Host") == host_of(url)
        assert found.pop("Content-Length") == str(len(body))
        assert found == by_botocore(url, region, keys, second, operation, body)


def test_renewed_credentials_and_the_next_day_are_taken_up_by_the_next_second():
    now, keys = [86_399.0], [Keys("a", "b", None)]
    signer = Signer("h", "r", lambda: keys[0], lambda: now[0])
    for second, known in (
        (86_399, Keys("a", "b", None)),
        (86_400, Keys("a", "b", None)),
        (86_401, Keys("c", "d", "t")),
    ):
        now[0], keys[0] = second + 0.5, known
        found = headers_of(signer.head("PutItem", b"x"))["Authorization"]
        assert found == by_botocore("http://h/", "r", known, second, "PutItem", b"x")["Authorization"]


def response(body=b"{}", status=200, more=""):
    return b"HTTP/1.1 %d Some Words\r\n%bcontent-length: %d\r\n\r\n%b" % (status, more.encode(), len(body), body)


def test_a_response_is_known_as_whole_when_its_last_byte_is_there_and_no_earlier():
    whole = response(b'{"a": 1}', 400, "Connection: keep-alive\r\n")
    assert [reply(whole[:end]) for end in range(len(whole))] == [None] * len(whole)
    assert reply(whole) == (400, b'{"a": 1}', True)


def test_a_response_that_ends_the_connection_says_so():
    assert not reply(response(more="Connection: close\r\n")).lasting


@pytest.mark.parametrize(
    "received",
    [
        b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"SSH-2.0-OpenSSH",
        b"HTTP/1.1 2xx OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 999999999\r\n\r\n",
        response() + b"H",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 20_000,
    ],
)
def test_what_is_no_response_of_dynamodb_is_refused(received):
    with pytest.raises(BadReply):
        reply(received)


class Scripted(socketserver.ThreadingTCPServer):
    """Answers each request with what `answer(body)` returns; None: hangs up."""

    daemon_threads = allow_reuse_address = True
    block_on_close = False

    def __init__(self, answer, tls=None):
        self.answer, self.tls = answer, tls
        self.lock = threading.Condition()
        self.connections = self.now = self.most = 0
        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, *_):
        """A client that hangs up is part of the tests."""


class Handler(socketserver.StreamRequestHandler):
    def setup(self):
        if self.server.tls is not None:
            self.request = self.server.tls.wrap_socket(self.request, server_side=True, do_handshake_on_connect=False)
        super().setup()

    def finish(self):
        with contextlib.suppress(OSError):
            super().finish()
        self.request.close()

    def handle(self):
        with self.server.lock:
            self.server.connections += 1
        while (body := self._body()) is not None:
            with self.server.lock:
                self.server.now += 1
                self.server.most = max(self.server.most, self.server.now)
                self.server.lock.notify_all()
            said = self.server.answer(body)
            with self.server.lock:
                self.server.now -= 1
            if said is None:
                return
            self.wfile.write(said)

    def _body(self):
        if not self.rfile.readline():
            return None
        length = 0
        while (line := self.rfile.readline().strip()) != b"":
            if line.lower().startswith(b"content-length:"):
                length = int(line.split()[1])
        return self.rfile.read(length)


@pytest.fixture
def serve():
    opened = []

    def start(answer=lambda _: response(), *, tls=None, **options):
        server = Scripted(answer, tls[0] if tls else None)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        scheme = "http" if tls is None else "https"
        signer = Signer("h", "r", lambda: Keys("a", "b", None))
        url = f"{scheme}://127.0.0.1:{server.server_address[1]}"
        lane = Lane(url, signer, **{"timeout_seconds": 20.0, "tls": tls[1] if tls else None, **options})
        opened.append((server, lane))
        return server, lane

    yield start
    for server, lane in opened:
        lane.close()
        server.shutdown()
        server.server_close()


def numbered(count):
    return [b"%d" % number for number in range(count)]


def test_answers_come_in_the_order_of_the_requests_whatever_their_own(serve):
    def later_first(body):
        # Each waits for the one behind it: the last of four is the first to be answered.
        with server.lock:
            arrived.add(body)
            server.lock.notify_all()
            behind = b"%d" % (int(body) + 1)
            server.lock.wait_for(lambda: int(body) % 4 == 3 or behind in answered, 10)
            answered.add(body)
            server.lock.notify_all()
        return response(b"[%b]" % body)

    arrived, answered = set(), set()
    server, lane = serve(later_first)
    for _ in range(2):  # the second time over the same sockets
        answered.clear()
        assert lane.send("PutItem", iter(numbered(8)[:4]), 4) == [b"[%b]" % body for body in numbered(4)]
    assert server.connections == 4


def test_no_more_is_in_flight_than_asked_in_number_and_in_bytes(serve):
    server, lane = serve()
    lane.send("PutItem", numbered(200), 3)
    assert server.most <= 3
    server, lane = serve(bytes_in_flight=100)
    lane.send("PutItem", [b"x" * 80] * 50, 16)
    assert server.most == 1


def test_a_body_is_not_asked_for_before_its_turn(serve):
    server, lane = serve()
    made = []

    def bodies():
        for number in range(30):
            made.append(number)
            with server.lock:
                ahead.append(len(made) - done[0])
            yield b"x"

    done, ahead = [0], []

    def counted(_):
        with server.lock:
            done[0] += 1
        return response()

    server.answer = counted
    lane.send("PutItem", bodies(), 2)
    assert max(ahead) <= 4  # two in flight, the one to come, and an answer that is on its way


def test_a_body_larger_than_any_buffer_arrives_whole(serve):
    seen = []
    _, lane = serve(lambda body: seen.append(body) or response())
    large = bytes(range(256)) * 40_000
    assert lane.send("BatchWriteItem", [large, b"small"], 2) == [b"{}", b"{}"]
    assert sorted(seen, key=len) == [b"small", large]


def test_a_connection_that_the_server_has_closed_meanwhile_is_replaced_unnoticed(serve):
    server, lane = serve(lambda body: response(more="" if body == b"0" else "Connection: close\r\n"))
    assert lane.send("PutItem", [b"1", b"1"], 1) == [b"{}", b"{}"]
    assert server.connections == 2
    server.answer = lambda _: response()
    lane.send("PutItem", [b"0"], 1)
    (idle,) = lane._idle
    idle.sock.shutdown(2)  # as if the other side had: the socket is readable, and at its end
    assert lane.send("PutItem", [b"0"], 1) == [b"{}"]


def test_of_many_only_the_request_that_was_cut_off_has_failed(serve):
    _, lane = serve(lambda body: None if body == b"3" else response(b"[%b]" % body))
    outcomes = lane.send("PutItem", numbered(8), 2)
    assert isinstance(outcomes[3], HTTPClientError)
    assert [one for one in outcomes if isinstance(one, bytes)] == [b"[%d]" % n for n in range(8) if n != 3]


def test_of_many_only_the_request_that_is_not_answered_has_timed_out(serve):
    gate = threading.Event()
    _, lane = serve(lambda body: gate.wait(10) and None if body == b"3" else response(), timeout_seconds=0.3)
    outcomes = lane.send("PutItem", numbered(8), 2)
    gate.set()
    assert isinstance(outcomes[3], ReadTimeoutError)
    assert outcomes.count(b"{}") == 7


def test_an_answer_that_is_none_fails_its_request_and_ends_its_connection(serve):
    server, lane = serve(lambda _: b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n")
    (outcome,) = lane.send("PutItem", [b"x"], 1)
    assert "Content-Length" in str(outcome)
    server.answer = lambda _: response()
    assert lane.send("PutItem", [b"x"], 1) == [b"{}"]


def test_a_refusal_is_the_services_error_with_its_fields_and_our_advice(serve):
    body = json.dumps({"__type": "com.amazonaws#ConditionalCheckFailedException", "message": "No", "Item": {"a": 1}})
    _, lane = serve(lambda _: response(body.encode(), 400), explain=lambda code: f"about {code}")
    (error,) = lane.send("PutItem", [b"x"], 1)
    assert isinstance(error, ClientError)
    assert error.response["Item"] == {"a": 1}
    assert "No. about ConditionalCheckFailedException" in str(error)


def test_with_nobody_at_the_address_every_request_has_failed(serve):
    server, lane = serve()
    server.shutdown()
    server.server_close()
    outcomes = lane.send("PutItem", numbered(5), 2)
    assert [type(outcome) for outcome in outcomes] == [HTTPClientError] * 5


def test_without_credentials_every_request_has_failed_with_that(serve):
    def none():
        raise NoCredentialsError

    server, _ = serve()
    lane = Lane(f"http://127.0.0.1:{server.server_address[1]}", Signer("h", "r", none), 1.0)
    assert [type(one) for one in lane.send("PutItem", numbered(3), 2)] == [NoCredentialsError] * 3


def test_nothing_stays_in_flight_when_the_bodies_fail(serve):
    def bodies():
        yield b"1"
        raise KeyError("planted")

    _, lane = serve()
    with pytest.raises(KeyError):
        lane.send("PutItem", bodies(), 4)
    assert (lane._busy, lane._bytes) == (set(), 0)
    assert lane.send("PutItem", [b"x"], 1) == [b"{}"]


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    """A server's context with a certificate of its own, and a client's that trusts it."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "lane")])
    begin = dt.datetime.fromtimestamp(time.time() - 60, dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "key").write_bytes(key.private_bytes(*secret))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "cert", folder / "key")
    return server, ssl.create_default_context(cafile=folder / "cert")


def test_over_tls_large_and_small_arrive_and_answers_of_many_records_are_whole(serve, tls):
    answer = b'"' + b"x" * 200_000 + b'"'
    seen = []
    _, lane = serve(lambda body: seen.append(len(body)) or response(answer), tls=tls)
    assert lane.send("BatchWriteItem", [b"y" * 3_000_000, *numbered(10)], 3) == [answer] * 11
    assert sorted(seen) == [1] * 10 + [3_000_000]


def test_a_server_that_we_do_not_trust_is_not_spoken_to(serve, tls):
    server, lane = serve(tls=(tls[0], ssl.create_default_context()))
    (outcome,) = lane.send("PutItem", [b"x"], 1)
    assert "CERTIFICATE_VERIFY_FAILED" in str(outcome)
    assert server.most == 0
