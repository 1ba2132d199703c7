"""The status page at `/`: three kinds of files and the history. It reads what everybody may read, and changes nothing.

The page is served from the package and asks nobody but this server: the policy below forbids the browser all else,
inline scripts and styles included, so that a table's name with HTML in it stays a name.
"""

import hashlib
from collections.abc import Callable, Sequence
from importlib import resources
from typing import Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from daemon.page.history import EVERY_SECONDS, Sample

FILES = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "cards.js": "text/javascript",
    "chart.js": "text/javascript",
    "dom.js": "text/javascript",
    "words.js": "text/javascript",
    "good.svg": "image/svg+xml",
    "waiting.svg": "image/svg+xml",
    "trouble.svg": "image/svg+xml",
    "ended.svg": "image/svg+xml",
    "silent.svg": "image/svg+xml",
}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Asked again each time: after an upgrade no old script may read a new document.
    "Cache-Control": "no-cache",
}


class Seen(Protocol):
    """As much of `daemon.server.View` as the page asks for."""

    @property
    def samples(self) -> Callable[[], Sequence[Sample]]:
        """The last quarter of an hour."""


def routes(view: Seen) -> list[Route]:
    """What a browser needs, files included: `/`, `/page/…`, `/v1/history`."""

    def history(_: Request) -> Response:
        # Lists, not objects: it is fetched once, and most of it would be names.
        told = {"every_seconds": EVERY_SECONDS, "samples": view.samples()}
        return Response(msgspec.json.encode(told), media_type="application/json", headers={"Cache-Control": "no-store"})

    files = [_file(f"/page/{name}", name, media_type) for name, media_type in FILES.items()]
    return [_file("/", "index.html", "text/html"), *files, Route("/v1/history", history)]


def _file(path: str, name: str, media_type: str) -> Route:
    content = resources.files("daemon.page").joinpath(name).read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    headers = {**HEADERS, "ETag": tag}

    def file(request: Request) -> Response:
        known = request.headers.get("if-none-match", "")
        if tag in known:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=media_type, headers=headers)

    return Route(path, file)
