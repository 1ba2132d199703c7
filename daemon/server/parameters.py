"""What may stand behind the question mark. Whatever else stands there is refused: a misspelt limit would be none."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from starlette.datastructures import QueryParams

from daemon.signal.verdict import Kind, Question, seconds

# Nobody is held longer; see also `daemon/server/bounds.py`.
WAIT_SECONDS_MAX = 60.0
TOLD_MAX = 40
_INDEX = re.compile(r"\d{1,18}", re.ASCII)
POLL = ("wait", "index")
READY = ("max_lag", "stable_for", *POLL)


class BadParameter(Exception):
    """One line for whoever asked."""


class Poll(NamedTuple):
    """Hold the answer until the decision is another than that of index `since`, `wait_seconds` at most."""

    wait_seconds: float = 0.0
    since: int | None = None


def poll(given: QueryParams, known: Sequence[str] = POLL) -> Poll:
    """Raises BadParameter."""
    _refuse_unknown(given, known)
    wait_seconds = _duration(given, "wait") or 0.0
    if wait_seconds > WAIT_SECONDS_MAX:
        raise BadParameter(f"wait is at most {WAIT_SECONDS_MAX:g}s, not {_told(given['wait'])}")
    index = given.get("index")
    if index is not None and not _INDEX.fullmatch(index):
        raise BadParameter(f"index is the X-Moveout-Index of an earlier answer, not {_told(index)}")
    return Poll(wait_seconds, None if index is None else int(index))


def question(given: QueryParams, kind: Kind) -> Question:
    """Raises BadParameter."""
    return Question(kind, _duration(given, "max_lag"), _duration(given, "stable_for"))


def _refuse_unknown(given: QueryParams, known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            raise BadParameter(f"parameter {_told(name)} is not known; known are {', '.join(known)}")
        if len(given.getlist(name)) > 1:
            raise BadParameter(f"{name} is given {len(given.getlist(name))} times: once is enough")


def _duration(given: QueryParams, name: str) -> float | None:
    if name not in given:
        return None
    try:
        return seconds(given[name])
    except ValueError:
        raise BadParameter(f"{name} is a duration like 500ms, 2s, 1m or 1h, not {_told(given[name])}") from None


def _told(text: str) -> str:
    """In one line, of which nothing can break out, and no longer than anybody reads."""
    return ascii(text if len(text) <= TOLD_MAX else f"{text[:TOLD_MAX]}…")
