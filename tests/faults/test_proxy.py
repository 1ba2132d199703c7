import socket
import socketserver
import threading
import time

import pytest
from faults.proxy import FaultProxy

PATIENCE_SECONDS = 5
SILENCE_SECONDS = 0.2


class Echo(socketserver.ThreadingTCPServer):
    """Sends back what it gets, and remembers it by pieces."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Echoing)
        self.pieces = []
        self.callers = []
        self.heard = threading.Condition()

    @property
    def received(self):
        return b"".join(self.pieces)

    def hang_up(self):
        for caller in self.callers:
            caller.shutdown(socket.SHUT_RDWR)
        self.callers.clear()

    def wait_for(self, content):
        with self.heard:
            assert self.heard.wait_for(lambda: self.received == content, PATIENCE_SECONDS), self.received


class Echoing(socketserver.BaseRequestHandler):
    def handle(self):
        self.server.callers.append(self.request)
        try:
            while piece := self.request.recv(1 << 16):
                with self.server.heard:
                    self.server.pieces.append(piece)
                    self.server.heard.notify_all()
                self.request.sendall(piece)
        except ConnectionError:
            pass


@pytest.fixture
def echo():
    with Echo() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        yield server
        server.shutdown()


@pytest.fixture
def proxy(echo):
    with FaultProxy(echo.server_address[1]) as made:
        yield made


@pytest.fixture
def connect(proxy):
    opened = []

    def make():
        opened.append(socket.create_connection((proxy.host, proxy.port), PATIENCE_SECONDS))
        return opened[-1]

    yield make
    for connection in opened:
        connection.close()


def answer(connection, content):
    connection.sendall(content)
    return read(connection, len(content))


def read(connection, count):
    content = b""
    while len(content) < count and (piece := connection.recv(count - len(content))):
        content += piece
    return content


def silent(connection):
    connection.settimeout(SILENCE_SECONDS)
    try:
        return not connection.recv(1) and False
    except TimeoutError:
        return True
    finally:
        connection.settimeout(PATIENCE_SECONDS)


def test_bytes_pass_both_ways_and_are_counted(proxy, connect):
    content = bytes(range(256)) * 4000
    connection = connect()
    threading.Thread(target=connection.sendall, args=(content,)).start()
    assert read(connection, len(content)) == content
    assert proxy.to_server_bytes == proxy.to_client_bytes == len(content)
    assert proxy.connections == 1
    assert proxy.struck == 0


def test_a_client_that_has_said_all_still_gets_its_answer(connect):
    connection = connect()
    connection.sendall(b"last")
    connection.shutdown(socket.SHUT_WR)
    assert read(connection, 100) == b"last"


def test_refusing_resets_who_is_there_and_keeps_others_out(proxy, connect):
    connection = connect()
    assert answer(connection, b"before") == b"before"
    proxy.refuse()
    with pytest.raises(ConnectionResetError):
        connection.recv(1)
    with pytest.raises(ConnectionRefusedError):
        connect()
    proxy.pass_through()
    assert answer(connect(), b"after") == b"after"


def test_a_black_hole_accepts_and_swallows(proxy, echo, connect):
    before = connect()
    assert answer(before, b"before") == b"before"
    proxy.black_hole()
    for connection in (before, connect()):
        connection.sendall(b"lost")
        assert silent(connection)
    assert echo.received == b"before"
    assert proxy.struck == 2


def test_a_connection_that_lost_bytes_does_not_go_on_as_if_nothing_had_happened(proxy, connect):
    spoilt, untouched = connect(), connect()
    assert answer(untouched, b"before") == b"before"
    proxy.black_hole()
    spoilt.sendall(b"lost")
    assert silent(spoilt)
    proxy.pass_through()
    with pytest.raises(ConnectionResetError):
        spoilt.recv(1)
    assert answer(untouched, b"after") == b"after"


def test_a_muted_server_hears_and_is_not_heard(proxy, echo, connect):
    proxy.mute()
    connection = connect()
    connection.sendall(b"order")
    echo.wait_for(b"order")
    assert silent(connection)


def test_neither_lets_the_end_of_a_connection_through(proxy, echo, connect):
    for fault in (proxy.black_hole, proxy.mute):
        connection = connect()
        assert answer(connection, b"before") == b"before"
        fault()
        echo.hang_up()
        assert silent(connection)
        proxy.pass_through()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_a_connection_is_reset_after_so_many_bytes(proxy, echo, connect):
    proxy.reset_after(5)
    connection = connect()
    assert answer(connection, b"123") == b"123"
    connection.sendall(b"45678")
    with pytest.raises(ConnectionResetError):
        connection.recv(1)
    echo.wait_for(b"12345")


def test_the_count_begins_anew_with_the_fault_and_with_each_connection(proxy, connect):
    connection = connect()
    assert answer(connection, b"long before") == b"long before"
    for opened in (connection, connect()):
        proxy.reset_after(5)
        assert answer(opened, b"1234") == b"1234"


def test_a_delay_holds_request_and_answer_back(proxy, connect):
    proxy.delay(0.1)
    connection = connect()
    began = time.monotonic()
    assert answer(connection, b"slow") == b"slow"
    assert 0.2 <= time.monotonic() - began < PATIENCE_SECONDS


def test_slices_arrive_in_pieces_and_make_up_the_whole(proxy, echo, connect):
    proxy.slice(7)
    content = bytes(range(100))
    assert answer(connect(), content) == content
    assert len(echo.pieces) > 1


def test_a_server_that_is_gone_is_a_reset():
    with socket.create_server(("127.0.0.1", 0)) as closing:
        port = closing.getsockname()[1]
    with FaultProxy(port) as proxy:
        address = (proxy.host, proxy.port)
        # The reset may be as quick as the connection.
        with pytest.raises(ConnectionResetError), socket.create_connection(address, PATIENCE_SECONDS) as connection:
            connection.recv(1)


@pytest.mark.parametrize("fault", ["pass_through", "refuse", "black_hole"])
def test_nothing_is_left_behind_whatever_it_was_doing(fault, echo):
    with FaultProxy(echo.server_address[1]) as proxy:
        connection = socket.create_connection((proxy.host, proxy.port), PATIENCE_SECONDS)
        getattr(proxy, fault)()
    assert not proxy._thread.is_alive()
    with connection, pytest.raises(ConnectionResetError):
        connection.recv(1)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((proxy.host, proxy.port), PATIENCE_SECONDS)
