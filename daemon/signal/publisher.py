"""Where the decision is kept for others to read: one small interface, one order, the same few values everywhere."""

from typing import NamedTuple, Protocol

from daemon.routes import Routes, Side
from daemon.signal.document import Document


class PublishFailed(Exception):
    """The record could not be written: what was found, and what to do. Tried again, with pauses."""


class Outdated(PublishFailed):
    """The record tells of something newer: whoever wrote it leads by now, or leads again."""


class Publisher(Protocol):
    """A record that outlives the service. Only the replica that leads writes it."""

    @property
    def name(self) -> str:
        """The option that asks for it, and where it is."""

    @property
    def every_seconds(self) -> float:
        """How often an unchanged decision is told again, for `valid_until`; 0: at each turn, by the loop itself."""

    def publish(self, document: Document) -> None:
        """Replace what is there, unless that is newer. May take its time. Raises PublishFailed."""


class Decision(NamedTuple):
    """What is worth a write at once. A sentence with new figures in it is not."""

    phase: str
    epoch: int
    ready_readers: bool
    ready_writers: bool
    routes: Routes
    step: str | None
    failed: tuple[str, ...]  # the conditions that do not hold


def decision(document: Document) -> Decision:
    """Pure."""
    failed = tuple(condition.type for condition in document.conditions if not condition.status)
    step = document.switch.step.value if document.switch else None
    ready = document.ready
    return Decision(document.phase.value, document.epoch, ready.readers, ready.writers, document.routes, step, failed)


class Told(NamedTuple):
    """The values that a record shows beside the whole document."""

    phase: str
    epoch: int
    ready_readers: bool
    ready_writers: bool
    reads_percent: int
    writes: Side
    writes_fenced: bool
    published_at: str
    valid_until: str


def told(document: Document) -> Told:
    """Pure."""
    ready, routes = document.ready, document.routes
    return Told(
        phase=document.phase.value,
        epoch=document.epoch,
        ready_readers=ready.readers,
        ready_writers=ready.writers,
        reads_percent=routes.reads_percent,
        writes=routes.writes,
        writes_fenced=routes.writes_fenced,
        published_at=document.published_at,
        valid_until=ready.valid_until,
    )


def is_older(document: Document, epoch: int, published_at: str) -> bool:
    """True when the document is of before that epoch; within one, of before that instant.

    Within an epoch `ready` can be revoked: a leader that was asleep must not take that back. The instants are of two
    replicas' clocks where the leader changes: the new one waits for as long as its clock is behind.
    """
    return (document.epoch, document.published_at) < (epoch, published_at)


def outdated(name: str, document: Document, epoch: int | str, published_at: str) -> Outdated:
    """The refusal, with both sides and what to do where the record is from a migration of before."""
    return Outdated(
        f"{name} tells of epoch {epoch}, published at {published_at or 'an unknown time'}; ours is epoch "
        f"{document.epoch} of {document.published_at}. Another replica leads, or its clock is ahead; if the record is "
        "a former migration's, delete it"
    )
