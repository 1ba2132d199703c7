"""How anything is answered: a line of text or JSON, its tag, and 304 to whoever has it already."""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

INDEX = "X-Moveout-Index"
RETRY = {"Retry-After": "1"}


def text(line: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """One line."""
    return Response(f"{line}\n", status, dict(headers or {}), media_type="text/plain")


def json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Anything that msgspec can encode."""
    return Response(msgspec.json.encode(value), status, dict(headers or {}), media_type="application/json")


def tag_of(value: Any) -> str:
    """Of what is equal, equal: on every replica, and after a restart."""
    return hashlib.sha256(msgspec.json.encode(value)).hexdigest()[:32]


def unless_known(request: Request, answer: Response, tag: str) -> Response:
    """The answer with its tag, or 304 (RFC 9110 §13.1.2).

    A 503 never becomes a 304: "no" must reach whoever asks, whatever it has kept. Compared weakly, as there.
    """
    if answer.status_code != 200:  # noqa: PLR2004
        return answer
    answer.headers["ETag"] = tag
    known = {one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")}
    if tag.removeprefix("W/") not in known and "*" not in known:
        return answer
    kept = {name: answer.headers[name] for name in ("ETag", INDEX) if name in answer.headers}
    return Response(status_code=304, headers=kept)
