"""What is asked for at which address. `GET` and `HEAD` but for OFREP's `POST`; nothing here changes any state."""

import time
from collections.abc import Awaitable, Callable

import msgspec
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from daemon.page import routes as page
from daemon.server import answers, ofrep, parameters
from daemon.server.bounds import bounded
from daemon.server.changes import Changes, Seen, TooManyWait, decision
from daemon.server.parameters import BadParameter, Poll
from daemon.server.view import View
from daemon.signal.document import Document
from daemon.signal.verdict import Kind, why_not

LOOP_STALE_SECONDS = 60.0
OPENMETRICS = "application/openmetrics-text"
UNKNOWN = "nothing is known yet: the service has not looked at its control table"
Handler = Callable[[Request], Awaitable[Response]]


class Answer(msgspec.Struct, frozen=True):
    """What was asked, in the words of the question; it stands beside the document."""

    ready: bool
    why: str


def application(view: View, changes: Changes | None = None) -> Starlette:
    """The routes, as an ASGI application. Bounded in size and time by `daemon/server/bounds.py`."""
    changes = changes or Changes(view.document)
    routes: list[BaseRoute] = [
        *_health(view),
        Route("/v1/migration", _migration(changes)),
        Route("/v1/tables/{table}", _table(view)),
        Route("/v1/ready/readers", _ready(changes, "readers")),
        Route("/v1/ready/writers", _ready(changes, "writers")),
        *ofrep.routes(view.document),
        *page.routes(view),
    ]
    made = Starlette(routes=routes, exception_handlers={BadParameter: _bad, TooManyWait: _full})
    # It would send a client to whatever host the request names.
    made.router.redirect_slashes = False
    made.add_middleware(bounded)
    return made


def _health(view: View) -> list[Route]:
    def livez(_: Request) -> Response:
        age = time.monotonic() - view.looped_at()
        return answers.text(f"the main loop turned {age:.1f} s ago", 503 if age > LOOP_STALE_SECONDS else 200)

    def readyz(_: Request) -> Response:
        why = view.not_ready()
        return answers.text(why or "the data path works", 503 if why else 200)

    def metrics(request: Request) -> Response:
        # Of two forms the one that is asked for; what a client says of versions is not passed on to be parsed.
        accepts = OPENMETRICS if OPENMETRICS in request.headers.get("accept", "") else ""
        encode, content_type = choose_encoder(accepts)
        # Header, not media_type: that would say the charset a second time.
        return Response(encode(view.metrics), headers={"Content-Type": content_type, "Vary": "Accept"})

    return [Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", metrics)]


def _migration(changes: Changes) -> Handler:
    async def migration(request: Request) -> Response:
        asked = parameters.poll(request.query_params)
        if asked.wait_seconds and asked.since is None:
            raise BadParameter("wait needs index, the X-Moveout-Index of the answer that you have")
        seen = await changes.until(
            lambda seen: seen.revision != asked.since, asked.wait_seconds, request.is_disconnected
        )
        headers = {answers.INDEX: str(seen.revision)}
        if seen.document is None:
            return answers.text(UNKNOWN, 503, headers)
        # Whoever draws figures wants them as they move: the tag is of the whole document.
        tag = f'"{answers.tag_of(seen.document)}"'
        return answers.unless_known(request, answers.json(seen.document, 200, headers), tag)

    return migration


def _table(view: View) -> Handler:
    async def table(request: Request) -> Response:
        document, name = view.document(), request.path_params["table"]
        tables = (document.tables or (document,)) if document else ()
        found = next((one for one in tables if one.table == name), None)
        if found is not None:
            return answers.json(found)
        return answers.text(f"no such table; known are: {', '.join(one.table for one in tables)}", 404)

    return table


def _ready(changes: Changes, kind: Kind) -> Handler:
    async def ready(request: Request) -> Response:
        asked = parameters.poll(request.query_params, parameters.READY)
        question = parameters.question(request.query_params, kind)

        def refusal(document: Document | None) -> str | None:
            return UNKNOWN if document is None else why_not(document, question, time.time())

        began = refusal(changes.look().document) is None
        seen = await changes.until(
            lambda seen: _settled(asked, seen, refusal(seen.document), began),
            asked.wait_seconds,
            request.is_disconnected,
        )
        why, headers = refusal(seen.document), {answers.INDEX: str(seen.revision)}
        if seen.document is None:
            return answers.text(UNKNOWN, 503, headers)
        told = {
            "asked": Answer(why is None, why or f"{kind} may switch"),
            **msgspec.structs.asdict(seen.document),
        }
        # Weak: of the decision and not of the figures, which move all the time.
        tag = f'W/"{answers.tag_of(decision(seen.document, time.time()))}"'
        return answers.unless_known(request, answers.json(told, 503 if why else 200, headers), tag)

    return ready


def _settled(asked: Poll, seen: Seen, why: str | None, began: bool) -> bool:  # noqa: FBT001
    """Without an index: once they may. With one: once anything is other than the client knows it."""
    if asked.since is None:
        return why is None
    return seen.revision != asked.since or (why is None) != began


async def _bad(_: Request, error: Exception) -> Response:
    return answers.text(str(error), 400)


async def _full(_: Request, error: Exception) -> Response:
    return answers.text(str(error), 503, answers.RETRY)
