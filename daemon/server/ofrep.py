"""OpenFeature Remote Evaluation Protocol 0.3: the routes as feature flags, for any OpenFeature SDK.

From its OpenAPI document (open-feature/protocol, service/openapi.yaml, read as of 0.1; what 0.2 and 0.3 add, code
defaults and event streams, is optional and not used). `POST /ofrep/v1/evaluate/flags/{key}` for one
flag, `POST /ofrep/v1/evaluate/flags` for all, with `ETag`. Clients fail static, and so do we: a document that has
expired still tells the last route, for a route is a decision and no observation; `metadata` tells its age.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from daemon.routes import Routes, reads_from
from daemon.server import answers, bounds
from daemon.server.bounds import BodyRefused
from daemon.signal.document import Document, epoch_seconds, is_current

ALL_PERCENT = 100


class Flag(NamedTuple):
    """What stands behind a key: of the whole migration, or of one of its tables."""

    what: Literal["reads", "writes"]
    document: Document


class Context(msgspec.Struct, frozen=True):
    """As much of the evaluation context as a route depends on; the rest of it is not looked at."""

    targeting_key: Any = msgspec.field(name="targetingKey", default=None)


class Asked(msgspec.Struct, frozen=True):
    """The body. `context` as it stands: what is wrong with it is another error than a body that is no JSON."""

    context: msgspec.Raw = msgspec.Raw(b"{}")


class Refused(Exception):
    """An error of the protocol. `code` is one of OpenFeature's."""

    def __init__(self, status: int, code: str, details: str) -> None:
        super().__init__(details)
        self.status, self.code, self.details = status, code, details


def flags(document: Document) -> Mapping[str, Flag]:
    """Every flag there is, by its key: of the migration, and of each table."""
    tables = [(f"{document.migration}.{one.table}", one) for one in document.tables or (document,) if one.table]
    owners = [(document.migration, document), *tables]
    return {f"{name}.{what}": Flag(what, one) for name, one in owners for what in ("reads", "writes")}


def evaluated(flag: Flag, targeting_key: str) -> dict[str, Any]:
    """`value`, `variant` and `reason`. Raises Refused where the key is needed and is not there."""
    routes = flag.document.routes
    if flag.what == "writes":
        value: str = "fenced" if routes.writes_fenced else routes.writes
        reason = "STATIC"
    else:
        value, reason = _reads(routes, targeting_key)
    return {"value": value, "variant": value, "reason": reason}


def _reads(routes: Routes, targeting_key: str) -> tuple[str, str]:
    if not 0 < routes.reads_percent < ALL_PERCENT:
        return reads_from(routes, targeting_key), "STATIC"
    if not targeting_key:
        share = f"{routes.reads_percent} % of the readers read the target"
        raise Refused(400, "TARGETING_KEY_MISSING", f"{share}: a targetingKey tells which ones")
    return reads_from(routes, targeting_key), "SPLIT"


def metadata(document: Document, now: float) -> dict[str, Any]:
    """`age_seconds` is the document's; `stale` when its service has fallen silent. The route holds nevertheless."""
    return {
        "epoch": document.epoch,
        "phase": document.phase.value,
        "published_at": document.published_at,
        "age_seconds": round(max(now - epoch_seconds(document.published_at), 0.0), 3),
        "stale": not is_current(document, now),
    }


def targeting_key(body: bytes) -> str:
    """Of a request's body; "" where it has none. Raises Refused."""
    try:
        asked = msgspec.json.decode(body or b"{}", type=Asked)
    except (msgspec.DecodeError, RecursionError):
        raise Refused(
            400, "PARSE_ERROR", 'the body is no JSON object like {"context": {"targetingKey": "…"}}'
        ) from None
    try:
        context = msgspec.json.decode(asked.context, type=Context | None) or Context()
    except (msgspec.DecodeError, RecursionError):
        raise Refused(400, "INVALID_CONTEXT", "context is no JSON object") from None
    key = context.targeting_key
    if key is not None and not isinstance(key, str):
        raise Refused(400, "INVALID_CONTEXT", "targetingKey is no string")
    return key or ""


def routes(document: Callable[[], Document | None]) -> list[Route]:
    """The two addresses of the protocol's core."""

    def known() -> Document:
        found = document()
        if found is None:
            raise Refused(503, "PROVIDER_NOT_READY", "nothing is known yet: hold the last value, and ask again")
        return found

    async def one(request: Request) -> Response:
        key = request.path_params["key"]
        try:
            asked = targeting_key(await bounds.body(request))
            return answers.json(_one(known(), key, asked))
        except (Refused, BodyRefused) as error:
            return _failure(error, {"key": key})

    async def every(request: Request) -> Response:
        try:
            asked = targeting_key(await bounds.body(request))
            told, tag = _every(known(), asked)
        except (Refused, BodyRefused) as error:
            return _failure(error, {})
        return answers.unless_known(request, answers.json(told), tag)

    return [
        Route("/ofrep/v1/evaluate/flags", every, methods=["POST"]),
        Route("/ofrep/v1/evaluate/flags/{key:path}", one, methods=["POST"]),
    ]


def _one(document: Document, key: str, asked: str) -> dict[str, Any]:
    every = flags(document)
    if key not in every:
        raise Refused(404, "FLAG_NOT_FOUND", f"known are {', '.join(every)}")
    return {"key": key, **evaluated(every[key], asked), "metadata": metadata(every[key].document, time.time())}


def _every(document: Document, asked: str) -> tuple[dict[str, Any], str]:
    """All flags, and a tag that changes when a client would act otherwise: not with the age of the document."""
    now = time.time()
    told = {key: _told(key, flag, asked) for key, flag in flags(document).items()}
    about = {key: metadata(flag.document, now) for key, flag in flags(document).items()}
    acted_on = [(one, about[key]["epoch"], about[key]["phase"], about[key]["stale"]) for key, one in told.items()]
    each = [one if "errorCode" in one else {**one, "metadata": about[key]} for key, one in told.items()]
    return {"flags": each, "metadata": metadata(document, now)}, f'W/"{answers.tag_of(acted_on)}"'


def _told(key: str, flag: Flag, asked: str) -> dict[str, Any]:
    try:
        return {"key": key, **evaluated(flag, asked)}
    except Refused as error:
        return {"key": key, "errorCode": error.code, "errorDetails": error.details}


def _failure(error: Refused | BodyRefused, about: Mapping[str, str]) -> Response:
    code, details = (error.code, error.details) if isinstance(error, Refused) else ("PARSE_ERROR", str(error))
    headers = answers.RETRY if error.status == 503 else {}  # noqa: PLR2004
    return answers.json({**about, "errorCode": code, "errorDetails": details}, error.status, headers)
