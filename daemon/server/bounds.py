"""What one request may cost, and what every answer carries. An ASGI application around another."""

import asyncio

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from daemon.server import answers
from daemon.server.parameters import WAIT_SECONDS_MAX

TARGET_BYTES_MAX = 8 * 1024
HEADERS_BYTES_MAX = 16 * 1024
BODY_BYTES_MAX = 64 * 1024
BODY_SECONDS_MAX = 5.0
# The longest wait, and what is left of a request then.
REQUEST_SECONDS_MAX = WAIT_SECONDS_MAX + 15.0
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-cache",  # kept, but never used without having asked
}


class BodyRefused(Exception):
    """Too long, or too slow; `status` is the answer's."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def bounded(app: ASGIApp) -> ASGIApp:
    """The same application, within bounds. An answer's own headers stand above ours."""

    async def within(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        begun = False

        async def tell(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refused = _too_long(scope)
        if refused is not None:
            await answers.text(*refused)(scope, receive, tell)
            return
        try:
            async with asyncio.timeout(REQUEST_SECONDS_MAX):
                await app(scope, receive, tell)
        except TimeoutError:
            if not begun:
                await answers.text("this took too long: ask again", 503, answers.RETRY)(scope, receive, tell)

    return within


def _too_long(scope: Scope) -> tuple[str, int] | None:
    if len(scope.get("raw_path", b"")) + len(scope["query_string"]) > TARGET_BYTES_MAX:
        return f"the address is longer than {TARGET_BYTES_MAX} bytes", 414
    if sum(len(name) + len(value) for name, value in scope["headers"]) > HEADERS_BYTES_MAX:
        return f"the headers are longer than {HEADERS_BYTES_MAX} bytes", 431
    return None


async def body(request: Request) -> bytes:
    """All of it. Raises BodyRefused."""
    parts = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            async for part in request.stream():
                parts += part
                if len(parts) > BODY_BYTES_MAX:
                    raise BodyRefused(413, f"the body is longer than {BODY_BYTES_MAX} bytes")
    except TimeoutError:
        raise BodyRefused(408, f"the body did not come within {BODY_SECONDS_MAX:g} s") from None
    except ClientDisconnect:
        raise BodyRefused(400, "the body ends too early") from None
    return bytes(parts)
