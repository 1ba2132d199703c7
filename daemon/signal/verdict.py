"""Whether readers or writers may switch, for somebody who asks for more than the service decided. Pure.

A question can only tighten the decision: it is never answered with yes where the service says no.
"""

import re
from typing import Literal, NamedTuple

from daemon.signal.document import Document, epoch_seconds, is_current

Kind = Literal["readers", "writers"]
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(ms|s|m|h)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class Question(NamedTuple):
    """Who may switch, and what is asked for beyond the service's own limits (None: nothing)."""

    kind: Kind
    max_lag_seconds: float | None = None
    stable_for_seconds: float | None = None


def seconds(text: str) -> float:
    """Of a duration as people write it: 500ms, 2s, 1m, 1h. Raises ValueError, without a word."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError
    return float(found[1]) * _SECONDS[found[2]]


def why_not(document: Document, question: Question, now: float) -> str | None:
    """The sentence why the answer is no; None: it is yes. `now` in epoch seconds.

    Lag is as of now: a document that was published a moment ago has grown older by that moment. `ready.since` is when
    the service's own limits had been kept for long enough, so that `stable_for` comes on top of them.
    """
    if not is_current(document, now):
        return f"this was published at {document.published_at} and has expired: its service is gone, or hangs"
    if not getattr(document.ready, question.kind):
        return document.message if question.kind == "readers" else f"writers may not switch: {document.message}"
    return _too_late(document, question, now) or _too_fresh(document, question, now)


def _too_late(document: Document, question: Question, now: float) -> str | None:
    if question.max_lag_seconds is None:
        return None
    limit = f"max_lag is {question.max_lag_seconds:g} s"
    if document.lag.seconds is None or document.lag.applied_through is None:
        return f"lag has no bound, {limit}"
    lag = max(document.lag.seconds, now - epoch_seconds(document.lag.applied_through))
    return f"proven lag is {lag:.1f} s, {limit}" if lag > question.max_lag_seconds else None


def _too_fresh(document: Document, question: Question, now: float) -> str | None:
    if question.stable_for_seconds is None:
        return None
    since = document.ready.since
    held = now - epoch_seconds(since) if since is not None else 0.0
    asked = question.stable_for_seconds
    return f"ready for {max(held, 0):.0f} s, stable_for is {asked:g} s" if since is None or held < asked else None
