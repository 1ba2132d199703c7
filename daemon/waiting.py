"""`moveout wait`: ask the service until what was asked for holds, or cannot hold any more."""

import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from daemon.awaited import Awaited
from daemon.signal.document import Document, is_current

REACHED, TIMEOUT, NEVER, UNREACHABLE = 0, 4, 5, 6
# Between two questions, unless the service holds the answer back until its decision changes.
POLL_SECONDS = 1.0
HOLD_SECONDS = 5.0
SAY_SECONDS = 10.0
# A service that restarts is away for a moment; one that stays away is said so.
AWAY_SECONDS_MAX = 60.0
ANSWER_BYTES_MAX = 16 * 1024 * 1024
INDEX = "X-Moveout-Index"


class Outcome(NamedTuple):
    """Exit code, the sentence for it, and the last document."""

    code: int
    message: str
    document: Document | None


class Answer(NamedTuple):
    """A document, and the index of its decision (None: this service does not hold answers back)."""

    document: Document
    known: str | None = None


# Seconds to be held back, and the index that is known; an answer, or why there is none.
Ask = Callable[[float, str | None], Answer | str]


def asking(service: str) -> Ask:
    """Asks this service, e.g. http://host:8080, over HTTP."""

    def ask(hold_seconds: float, known: str | None) -> Answer | str:
        query = f"?wait={hold_seconds * 1000:.0f}ms&index={known}" if known is not None and hold_seconds > 0 else ""
        return _fetch(f"{service.rstrip('/')}/v1/migration{query}", hold_seconds + 5)

    return ask


def wait(
    service: str,
    awaited: Awaited,
    timeout_seconds: float,
    say: Callable[[str], None],
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    ask: Ask | None = None,
    clock: Callable[[], float] = time.time,
) -> Outcome:
    """Ask until it holds. `say` hears the decision's sentence at each change, and now and then."""
    ask = ask or asking(service)
    began = answered = now()
    said, said_at = "", -SAY_SECONDS
    last: Answer | None = None
    while True:
        asked_at = now()
        found = ask(_hold(awaited, began, timeout_seconds, asked_at), last.known if last else None)
        if isinstance(found, Answer):
            last, answered = found, now()
            ended, line = _ended(found.document, awaited, clock()), _line(found.document)
            if ended is not None:
                return ended
        else:
            line = f"{service} does not answer: {found}"
            if now() - answered > AWAY_SECONDS_MAX:
                why = f"{line}. Is `moveout run` up, and is --url right?"
                return Outcome(UNREACHABLE, why, last.document if last else None)
        if (line != said and now() - said_at >= POLL_SECONDS) or now() - said_at >= SAY_SECONDS:
            say(line)
            said, said_at = line, now()
        if timeout_seconds and now() - began >= timeout_seconds:
            what = f"not reached within {timeout_seconds:g} s: {line}"
            return Outcome(TIMEOUT, what, last.document if last else None)
        sleep(max(POLL_SECONDS - (now() - asked_at), 0.0))


def _hold(awaited: Awaited, began: float, timeout_seconds: float, now: float) -> float:
    """A decision is told when it changes; a figure must be asked for."""
    longest = HOLD_SECONDS if awaited.is_decision else POLL_SECONDS
    return max(min(longest, began + timeout_seconds - now), 0.0) if timeout_seconds else longest


def _ended(document: Document, awaited: Awaited, now: float) -> Outcome | None:
    """An expired document holds nothing; that something can never come, it still tells: phases are kept."""
    if is_current(document, now) and awaited.holds(document, now):
        return Outcome(REACHED, awaited.told(document), document)
    why = awaited.never(document)
    return None if why is None else Outcome(NEVER, why, document)


def _line(document: Document) -> str:
    return f"{document.phase.value}: {document.message}"


def _fetch(url: str, timeout_seconds: float) -> Answer | str:
    """The document, or why there is none."""
    if not url.startswith(("http://", "https://")):
        return "not an http(s) address"
    try:
        with urllib.request.urlopen(url, timeout=timeout_seconds) as answer:  # noqa: S310  the scheme was checked
            document = msgspec.json.decode(answer.read(ANSWER_BYTES_MAX), type=Document)
            return Answer(document, answer.headers.get(INDEX))
    except (urllib.error.URLError, OSError, ValueError, msgspec.MsgspecError) as error:
        return str(error)
