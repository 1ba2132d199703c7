"""What happened, as CloudEvents 1.0 in JSON: told behind the fact by `outbox.py`, asked before it by `hooks.vetoes`.

| type                     | subject                                          | kind of a hook |
|--------------------------|--------------------------------------------------|----------------|
| `moveout.phase`          | the phase                                        | `phase`        |
| `moveout.ready.readers`  | `true`, `false`                                  | `ready`        |
| `moveout.ready.writers`  | `true`, `false`                                  | `ready`        |
| `moveout.route.readers`  | so many percent read the target                  | `route`        |
| `moveout.route.writers`  | `source`, `target`, `fenced`                     | `route`        |
| `moveout.switch.<step>`  | the attempt's id and the line of its journal     | `switch`       |

`id` is `migration/epoch/type/…`: the same for every attempt to tell of it.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from daemon.signal.document import Document, iso
from daemon.switching import Step

PHASE, READY, ROUTE, SWITCH = "moveout.phase", "moveout.ready", "moveout.route", "moveout.switch"
ROUTE_READERS, ROUTE_WRITERS = f"{ROUTE}.readers", f"{ROUTE}.writers"
CONTENT_TYPE = "application/cloudevents+json"
NOTHING = msgspec.Raw(b"null")
_WORDS = {True: "true", False: "false"}


class Event(msgspec.Struct, frozen=True):
    """One event. `time` is RFC 3339, `data` the document in JSON; `pre`: it may happen, and may yet be refused."""

    id: str
    type: str
    source: str
    subject: str
    time: str
    data: msgspec.Raw = NOTHING
    pre: bool = False

    @property
    def kind(self) -> str:
        """What a hook's `on` calls it."""
        return self.type.split(".")[1]


class Seen(msgspec.Struct, frozen=True):
    """As much of a document as makes events."""

    phase: str = ""
    ready_readers: bool = False
    ready_writers: bool = False
    reads_percent: int = 0
    writes: str = "source"
    attempt: str = ""  # of the writers' switch
    lines: int = 0  # of its journal


def encoded(event: Event) -> bytes:
    """CloudEvents, "JSON Event Format", structured mode. `moveoutpre` is an extension attribute."""
    told: dict[str, Any] = {
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "subject": event.subject,
        "time": event.time,
        "datacontenttype": "application/json",
        "moveoutpre": event.pre,
        "data": event.data,
    }
    return msgspec.json.encode(told)


def before(migration: str, epoch: int, type_: str, subject: str, at: float, document: Document | None = None) -> Event:
    """What is about to be decided, for `hooks.vetoes`. `epoch` is the one in force; `at` in epoch seconds."""
    id_ = f"{migration}/{epoch}/{type_}/{subject}/before"
    return Event(id_, type_, _source(migration), subject, _rfc3339(iso(at)), _data(document), pre=True)


def switch_type(step: Step) -> str:
    """The type of the events of a step of the writers' switch."""
    return f"{SWITCH}.{step.value}"


def each(document: Document) -> list[Document]:
    """The documents that have events of their own: of several tables each, beside that of all."""
    return [document, *document.tables]


def seen(document: Document) -> dict[str, Seen]:
    """What these documents look like, by the migration's name in each."""
    return {one.migration: _seen(one) for one in each(document)}


def since(before: Mapping[str, Seen], document: Document) -> list[Event]:
    """What has happened since; all that is not as in the beginning, where nothing was seen. Pure."""
    return [event for one in each(document) for event in _of_one(before.get(one.migration, Seen()), one)]


def _seen(document: Document) -> Seen:
    routes, switch = document.routes, document.switch
    return Seen(
        phase=document.phase.value,
        ready_readers=document.ready.readers,
        ready_writers=document.ready.writers,
        reads_percent=routes.reads_percent,
        writes="fenced" if routes.writes_fenced else routes.writes,
        attempt=switch.id if switch else "",
        lines=len(switch.journal) if switch else 0,
    )


def _of_one(old: Seen, document: Document) -> list[Event]:
    new, at, found = _seen(document), document.published_at, list[Event]()
    if new.phase != old.phase:
        found.append(_event(document, PHASE, new.phase, at, at))
    found += _steps(old, document)
    if new.reads_percent != old.reads_percent:
        found.append(_event(document, ROUTE_READERS, str(new.reads_percent), at, at))
    if new.writes != old.writes:
        found.append(_event(document, ROUTE_WRITERS, new.writes, at, at))
    if new.ready_readers != old.ready_readers:
        found.append(_event(document, f"{READY}.readers", _WORDS[new.ready_readers], at, at))
    if new.ready_writers != old.ready_writers:
        found.append(_event(document, f"{READY}.writers", _WORDS[new.ready_writers], at, at))
    return found


def _steps(old: Seen, document: Document) -> list[Event]:
    """The journal tells of every step, also of those that came and went between two looks."""
    switch = document.switch
    if switch is None:
        return []
    known = old.lines if switch.id == old.attempt else 0
    return [
        _event(document, switch_type(entry.step), f"{switch.id}/{line}", iso(entry.at))
        for line, entry in enumerate(switch.journal)
        if line >= known
    ]


def _event(document: Document, type_: str, subject: str, at: str, *told_apart: str) -> Event:
    """`told_apart`: a phase can come again within one epoch; a receiver that drops known ids must not drop that."""
    id_ = "/".join((document.migration, str(document.epoch), type_, subject, *told_apart))
    return Event(id_, type_, _source(document.migration), subject, _rfc3339(at), _data(document))


def _data(document: Document | None) -> msgspec.Raw:
    """Without the tables of a migration of several: each has events of its own."""
    if document is None:
        return NOTHING
    return msgspec.Raw(msgspec.json.encode(msgspec.structs.replace(document, tables=())))


def _source(migration: str) -> str:
    return f"/moveout/{migration}"


def _rfc3339(at: str) -> str:
    return at.replace("+00:00", "Z")
