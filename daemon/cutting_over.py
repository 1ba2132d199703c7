"""What the commands of the switch ask and write. Each change is one compare-and-set on the migration record."""

import secrets
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from daemon import seal, writers
from daemon.app import Parts
from daemon.control import Migration
from daemon.phase import Phase
from daemon.preflight import CheckFailed
from daemon.routes import Routes
from daemon.signal import events, hooks
from daemon.signal.document import ALL_READERS, Document, is_current, iso, may_switch_writers
from daemon.signal.webhook import place
from daemon.switching import UNDOING, Step

# A minute without a record, UPDATING, a listing that is old enough, the rest of the shards.
SEAL_SECONDS_MIN = 120


class Followed(NamedTuple):
    """How far a switch is. `seconds_left`: until it is undone by itself, 0 behind COMMIT and while it is undone."""

    lines: list[str]
    message: str
    done: bool
    committed: bool
    seconds_left: float
    silent: bool = False  # nobody publishes


def _migration(known: Parts) -> Migration:
    found = known.control.get("migration", Migration)
    return found[0] if found else Migration()


def not_ready(known: Parts, migration: Migration) -> list[str]:
    """What is missing for `ready`, by the published document; the record alone may be of a service that is gone."""
    found = known.control.get("signal", Document)
    if found is None:
        return ["nothing is published yet: start `moveout run`"]
    published = found[0]
    if not is_current(published, known.clock.time()):
        return [f"the service is silent since {published.published_at}: is `moveout run` up?"]
    failed = [f"{one.type}: {one.message}" for one in published.conditions if not one.status]
    if failed:
        return failed
    if not published.ready.readers or migration.ready_since is None:
        return [f"it is {migration.phase.value}, and not ready yet: {published.message}"]
    return []


def readers_refused(known: Parts, percent: int) -> list[str]:
    """Why so many readers may not be routed to the target now; empty when they may. Raises ClientError, …"""
    migration = _migration(known)
    if migration.phase in (Phase.SWITCHING, Phase.SWITCHED, Phase.ABORTED):
        return [f"it is {migration.phase.value}, readers stay where they are: {migration.message}"]
    return not_ready(known, migration) if percent > migration.routes.reads_percent else []


def route_readers(known: Parts, percent: int) -> str:
    """Do it; the sentence. Raises CheckFailed when it has become impossible, ClientError, BotoCoreError, Conflict."""
    migration = _migration(known)
    more = percent > migration.routes.reads_percent  # the way back is nobody's to refuse
    why = vetoed(known, migration, events.ROUTE_READERS, str(percent)) if more else None
    if why is not None:
        raise CheckFailed(f"{why}. Nothing was changed")

    def routed(current: Migration) -> Migration:
        before = current.routes.reads_percent
        if percent > before and not more:
            raise CheckFailed(
                f"somebody else has routed {before} % meanwhile: look, and ask again. Nothing was changed"
            )
        unready = percent > before and current.ready_since is None
        if unready or current.phase in (Phase.SWITCHING, Phase.SWITCHED, Phase.ABORTED):
            raise CheckFailed(f"it is {current.phase.value}, and not ready any more: {current.message}")
        if percent == before:
            return current
        routes = msgspec.structs.replace(current.routes, reads_percent=percent)
        message = f"{percent} % of the readers are routed to the target, {before} % were"
        return msgspec.structs.replace(current, routes=routes, epoch=current.epoch + 1, message=message)

    changed = _changed(known, routed)
    return f"{changed.message} (epoch {changed.epoch})"


def writers_refused(known: Parts, timeout_seconds: float | None = None) -> list[str]:
    """Why the writers may not switch now; empty when they may. Raises ClientError, BotoCoreError."""
    migration = _migration(known)
    if migration.phase is not Phase.REPLICATING:
        return [f"it is {migration.phase.value}: {migration.message}"]
    missing = not_ready(known, migration)
    missing += _unproven(known, timeout_seconds or known.config.cutover.timeout_seconds)
    if migration.routes.reads_percent != ALL_READERS:
        missing.append(
            f"{migration.routes.reads_percent} % of the readers read the target: first `moveout cutover readers "
            f"--percent {ALL_READERS}`"
        )
    return missing


def _unproven(known: Parts, timeout_seconds: float) -> list[str]:
    """Why it cannot be proven, in that time, that nothing is left to apply under the fence."""
    proof = known.config.tail.proof
    if proof == "quiet":
        return [
            "tail.proof is quiet, which proves nothing: that nothing is left to apply under the fence is proven by "
            "heartbeats, or by sealing the stream. Set tail.proof: heartbeat (or seal), and restart the service"
        ]
    if proof == "seal" and timeout_seconds < SEAL_SECONDS_MIN:
        return [
            f"tail.proof is seal: a quiet minute and the sealing take {SEAL_SECONDS_MIN} s and more under the fence, "
            f"and the switch has {timeout_seconds:g} s. Give --timeout 5m, or set cutover.timeout_seconds"
        ]
    return seal.refused(known) if proof == "seal" else []


def plan(known: Parts, timeout_seconds: float | None) -> list[str]:
    """What `writers` would do, for people."""
    asked = known.config.cutover
    ways = {
        "the published route (writes_fenced)": asked.fence.flag,
        f"the lock webhook at {place(asked.fence.webhook.url) if asked.fence.webhook else ''}": asked.fence.webhook,
        "a Deny in the source table's resource policy": asked.fence.resource_policy,
    }
    fences = [name for name, configured in ways.items() if configured]
    return [
        f"{Step.FENCE.value}: by {', '.join(fences)}",
        f"{Step.DRAIN.value}: {_drain(known)}",
        f"{Step.VERIFY.value}: what a late worker has left is removed, then the final check",
        f"{Step.CLOCK.value}: the target's clocks are {asked.clock_margin_seconds:g} s past the newest version",
        f"{Step.FREEZE.value}: every shard's process says that it applies nothing more",
        f"{Step.COMMIT.value}: writes go to the target. There is no way back behind it (--no-reverse)",
        f"not committed within {timeout_seconds or asked.timeout_seconds:g} s: all of it is undone",
        "ready for it; nothing was changed",
    ]


def _drain(known: Parts) -> str:
    if known.config.tail.proof == "seal":
        return "a minute without a record, then the stream is sealed (disabled), and read to its end"
    return f"two rounds of heartbeats, {known.config.cutover.window_seconds:g} s apart, with no write in between"


def request_writers(known: Parts, timeout_seconds: float | None) -> None:
    """Write the request; the leader drives it. Raises CheckFailed, ClientError, BotoCoreError, Conflict."""
    id_, now = secrets.token_hex(4), known.clock.time()
    seconds = timeout_seconds or known.config.cutover.timeout_seconds

    def asked(current: Migration) -> Migration:
        if not may_switch_writers(current):
            raise CheckFailed(f"it is {current.phase.value}, and not ready any more: {current.message}")
        return writers.requested(current, id_, now, seconds)

    _changed(known, asked)


def cancel_writers(known: Parts) -> str:
    """Ask for the way back; the sentence. Raises CheckFailed, ClientError, BotoCoreError, Conflict."""

    def back(current: Migration) -> Migration:
        if current.phase is not Phase.SWITCHING:
            committed = ": it is committed, and there is no way back" if current.phase is Phase.SWITCHED else ""
            raise CheckFailed(f"no switch of writers is under way, it is {current.phase.value}{committed}")
        return writers.cancelled(current, "cancelled by a person", known.clock.time())

    return _changed(known, back).message


def followed(known: Parts) -> Followed:
    """The switch as it is now. Raises ClientError, BotoCoreError."""
    migration = _migration(known)
    switch = migration.switch
    if switch is None:
        return Followed([], migration.message, done=True, committed=False, seconds_left=0)
    lines = [f"{iso(entry.at)} {entry.step.value}: {entry.message}" for entry in switch.journal]
    committed = migration.phase is Phase.SWITCHED
    undecided = migration.phase is Phase.SWITCHING and switch.step not in UNDOING
    waits = f"; waiting for: {switch.waits_for}" if switch.waits_for else ""
    published, now = known.control.get("signal", Document), known.clock.time()
    return Followed(
        lines,
        migration.message + waits,
        done=switch.step is Step.DONE or migration.phase not in (Phase.SWITCHING, Phase.SWITCHED),
        committed=committed,
        seconds_left=max(0.0, switch.deadline - now) if undecided else 0.0,
        silent=published is None or not is_current(published[0], now),
    )


def vetoed(known: Parts, migration: Migration, type_: str, subject: str) -> str | None:
    """Which `pre` hook says no to what is about to be decided, and why; None when none does."""
    found = known.control.get("signal", Document)
    event = events.before(
        known.config.name, migration.epoch, type_, subject, known.clock.time(), found[0] if found else None
    )
    return hooks.vetoes(known, event)


def back_at_source(routes: Routes) -> Routes:
    """Where everybody was before the move."""
    return msgspec.structs.replace(routes, reads_percent=0, writes="source", writes_fenced=False)


def _changed(known: Parts, change: Callable[[Migration], Migration]) -> Migration:
    return known.control.update("migration", Migration, lambda current: change(current or Migration()))
