"""HTTP: metrics, health and the signal. Reads only; what changes state is the command line."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import msgspec
import uvicorn
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from daemon.page import routes as page
from daemon.page.history import Sample
from daemon.signal.document import Document, is_current

LOOP_STALE_SECONDS = 60.0


class View(NamedTuple):
    """What the server may look at; each is asked at each request."""

    document: Callable[[], Document | None]
    not_ready: Callable[[], str | None]  # why the data path does not work; None: it does
    looped_at: Callable[[], float]  # time.monotonic() of the last turn of the main loop
    metrics: CollectorRegistry
    samples: Callable[[], Sequence[Sample]] = tuple  # the page's chart begins with them


class ListenFailed(Exception):
    """The address cannot be listened on."""


def application(view: View) -> Starlette:
    """The routes, as an ASGI application."""

    def livez(_: Request) -> Response:
        age = time.monotonic() - view.looped_at()
        return _text(f"the main loop turned {age:.1f} s ago\n", 503 if age > LOOP_STALE_SECONDS else 200)

    def readyz(_: Request) -> Response:
        why_not = view.not_ready()
        return _text(f"{why_not or 'the data path works'}\n", 503 if why_not else 200)

    def metrics(_: Request) -> Response:
        return Response(generate_latest(view.metrics), media_type=CONTENT_TYPE_LATEST)

    def migration(_: Request) -> Response:
        document = view.document()
        return _json(document, 200) if document else _text("nothing is known yet\n", 503)

    def table(request: Request) -> Response:
        document, name = view.document(), request.path_params["table"]
        tables = (document.tables or (document,)) if document else ()
        found = next((one for one in tables if one.table == name), None)
        known = ", ".join(one.table for one in tables)
        return _json(found, 200) if found else _text(f"no table {name!r} is known; known are: {known}\n", 404)

    def ready_readers(_: Request) -> Response:
        document = view.document()
        if document is None:
            return _text("nothing is known yet\n", 503)
        # An old document is no consent: whoever published it may be gone.
        ready = document.ready.readers and is_current(document, time.time())
        return _json(document, 200 if ready else 503)

    return Starlette(
        routes=[
            Route("/livez", livez),
            Route("/readyz", readyz),
            Route("/metrics", metrics),
            Route("/v1/migration", migration),
            Route("/v1/tables/{table}", table),
            Route("/v1/ready/readers", ready_readers),
            *page.routes(view),
        ]
    )


def _text(body: str, status: int) -> Response:
    return Response(body, status, media_type="text/plain")


def _json(document: Document, status: int) -> Response:
    return Response(msgspec.json.encode(document), status, media_type="application/json")


@contextlib.contextmanager
def serving(view: View, host: str, port: int) -> Iterator[None]:
    """Serve in a thread for as long as the block runs. Raises ListenFailed before anything else starts."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ListenFailed(f"cannot listen on {host}:{port}: {error.strerror}. Set server.listen") from error
    config = uvicorn.Config(
        application(view), log_level="warning", access_log=False, timeout_keep_alive=5, limit_concurrency=100
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="http", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(timeout=5)
        listener.close()
