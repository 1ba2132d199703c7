"""`moveout wait`: poll the service until what was asked for holds, or cannot hold any more."""

import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from daemon.phase import Phase
from daemon.signal.document import Document, is_current

REACHED, TIMEOUT, NEVER, UNREACHABLE = 0, 4, 5, 6
POLL_SECONDS = 1.0
SAY_SECONDS = 10.0
# A service that restarts is away for a moment; one that stays away is said so.
AWAY_SECONDS_MAX = 60.0


class Outcome(NamedTuple):
    """Exit code, the sentence for it, and the last document."""

    code: int
    message: str
    document: Document | None


Condition = Callable[[Document], bool]


def condition(text: str) -> Condition:
    """What to wait for. Raises ValueError for what is not known."""
    if text == "ready-readers":
        return lambda document: document.ready.readers
    name, _, value = text.partition("=")
    if name == "phase" and value in {phase.value for phase in Phase}:
        return lambda document: document.phase.value == value
    phases = ", ".join(f"phase={phase.value}" for phase in Phase)
    raise ValueError(f"--for {text!r} is not known; known are ready-readers, {phases}")


def wait(
    service: str,
    holds: Condition,
    timeout_seconds: float,
    say: Callable[[str], None],
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Poll until it holds. `say` hears the decision's sentence at each change, and now and then."""
    began = answered = now()
    said, said_at = "", -SAY_SECONDS
    document: Document | None = None
    while True:
        found = _fetch(f"{service}/v1/migration")
        if isinstance(found, Document):
            document, answered, line = found, now(), _line(found)
            current = is_current(found, time.time())
            if current and holds(found):
                return Outcome(REACHED, found.message, found)
            if found.phase in (Phase.NEEDS_RESYNC, Phase.LOADED):  # of which none goes on by itself
                return Outcome(NEVER, found.message, found)
        else:
            line = f"{service} does not answer: {found}"
            if now() - answered > AWAY_SECONDS_MAX:
                return Outcome(UNREACHABLE, f"{line}. Is `moveout run` up, and is --url right?", document)
        if (line != said and now() - said_at >= POLL_SECONDS) or now() - said_at >= SAY_SECONDS:
            say(line)
            said, said_at = line, now()
        if timeout_seconds and now() - began >= timeout_seconds:
            return Outcome(TIMEOUT, f"not reached within {timeout_seconds:g} s: {line}", document)
        sleep(POLL_SECONDS)


def _line(document: Document) -> str:
    return f"{document.phase.value}: {document.message}"


def _fetch(url: str) -> Document | str:
    """The document, or why there is none."""
    if not url.startswith(("http://", "https://")):
        return "not an http(s) address"
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310  the scheme was checked
            return msgspec.json.decode(answer.read(), type=Document)
    except (urllib.error.URLError, OSError, msgspec.MsgspecError) as error:
        return str(error)
