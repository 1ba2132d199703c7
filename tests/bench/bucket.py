"""A folder over HTTP, as a bucket is read by boto3: enough for GetObject."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class _Handler(SimpleHTTPRequestHandler):
    def end_headers(self) -> None:
        self.send_header("ETag", '"as it is"')
        super().end_headers()

    def log_message(self, *_: Any) -> None:
        """Silent: the bench prints one table."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Its address; the folder's own folders are the buckets."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
