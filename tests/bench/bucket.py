"""A folder over HTTP, as a bucket is read by boto3: enough for GetObject."""

from contextlib import AbstractContextManager
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

from daemon.demo.servers.loopback import serving


class _Handler(SimpleHTTPRequestHandler):
    def end_headers(self) -> None:
        self.send_header("ETag", '"as it is"')
        super().end_headers()

    def log_message(self, *_: Any) -> None:
        """Silent: the bench prints one table."""


def served(folder: Path) -> AbstractContextManager[str]:
    """Its address; the folder's own folders are the buckets."""
    return serving(partial(_Handler, directory=str(folder)))
