"""Telling one hook of one event; and asking those that may say no."""

from typing import Protocol

import structlog

from daemon.config import Config
from daemon.sections import Hook, Webhook
from daemon.signal import executable, webhook
from daemon.signal.events import CONTENT_TYPE, Event, encoded

log = structlog.get_logger()

LINE_CHARACTERS_MAX = 200


class Configured(Protocol):
    """Whoever knows the configuration: daemon.app.Parts."""

    @property
    def config(self) -> Config:
        """Of any table: hooks are the same in all."""


def vetoes(known: Configured, event: Event) -> str | None:
    """Ask every `pre` hook of this kind whether it may happen; the first no with its reason, None when all agree.

    To be called before a route changes and before each step of the switch that must not happen against the will of
    the hook's owner, by whoever decides: the command line or the leader. Each hook is asked once, for no longer than
    its time limit; no answer in time is a no. It logs: a command whose output somebody parses configures its log first.
    """
    for number, hook in enumerate(known.config.hooks):
        if hook.pre and event.kind in hook.on:
            why = deliver(hook, event)
            log.info("hook_asked", hook=title(number, hook), about=event.id, veto=why)
            if why is not None:
                return f"{title(number, hook)} vetoes {event.type} {event.subject}: {why}"
    return None


def deliver(hook: Hook, event: Event) -> str | None:
    """Tell it once. None when it has taken it, else why it has not, on one line."""
    if hook.webhook is not None:
        return _posted(hook.webhook, event)
    assert hook.exec is not None  # noqa: S101  the section has one of both
    return _ran(hook.exec, hook.timeout_seconds, event)


def title(number: int, hook: Hook) -> str:
    """For people, without secrets: which one of the file's."""
    what = webhook.place(hook.webhook.url) if hook.webhook is not None else (hook.exec or ("",))[0]
    return f"hooks.{number} ({what})"


def _posted(asked: Webhook, event: Event) -> str | None:
    try:
        secret = webhook.secret_of(asked)
        answer = webhook.post(asked.url, encoded(event), secret, asked.timeout_seconds, CONTENT_TYPE)
    except webhook.NoAnswer as error:
        return str(error)
    if answer.good:
        return None
    return _first_line(answer.text) or f"it answers {answer.status}"


def _ran(program: tuple[str, ...], timeout_seconds: float, event: Event) -> str | None:
    """The type is its last argument; what happened, JSON on stdin, and in short in the environment."""
    told = {
        "MOVEOUT_EVENT_ID": event.id,
        "MOVEOUT_EVENT_TYPE": event.type,
        "MOVEOUT_EVENT_SUBJECT": event.subject,
        "MOVEOUT_EVENT_PRE": "1" if event.pre else "0",
    }
    try:
        ran = executable.run((*program, event.type), encoded(event), told, timeout_seconds)
    except executable.NotStarted as error:
        return str(error)
    log.info("hook_ran", program=program[0], about=event.id, exit_code=ran.code, output=ran.output)
    if ran.code is None:
        return f"it has not ended within {timeout_seconds:g} s, and was killed"
    if ran.code:
        return _first_line(ran.output) or f"it ends with exit code {ran.code}"
    return None


def _first_line(text: str) -> str:
    """Printable, and no longer than a sentence: it ends in logs and on a terminal."""
    line = next((line for line in map(str.strip, text.splitlines()) if line), "")
    return "".join(one for one in line if one.isprintable())[:LINE_CHARACTERS_MAX]
