"""A small HTTP server of our own on the loopback address, in a thread, for as long as somebody needs it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

POLL_SECONDS = 0.1


class LoopbackServer(ThreadingHTTPServer):
    """Its requests end with it."""

    daemon_threads = True
    request_queue_size = 128


@contextmanager
def serving(
    handler: Callable[..., BaseHTTPRequestHandler], port: int = 0, server: type[ThreadingHTTPServer] = LoopbackServer
) -> Iterator[str]:
    """Its URL. Port 0: a free one."""
    with server(("127.0.0.1", port), handler) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": POLL_SECONDS}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{made.server_address[1]}"
        finally:
            made.shutdown()
            thread.join()
