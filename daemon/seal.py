"""Proof by a sealed stream (`tail.proof: seal`): for sources that nothing may be written to, under a held write fence.

`UpdateTable StreamEnabled=false` closes every shard; what is in them can be read for 24 hours at the old ARN (developer
guide, "DynamoDB Streams and TTL"/"Disabling a stream"). When all of it is read, every write before the request is
applied. A write that leaks through the fence afterwards is in no stream: so the fence is verified first, by a minute in
which no shard shows a record. To undo it the stream is enabled again *before* the fence is lifted, so nothing is in
neither; the old one is read to its end, then the new one, with versions above all of the old one's.

    WATCHING → SEALING → DRAINING → SEALED            `advance`, turn by turn
    … → REOPENING → REOPENED → OPEN                   `reopen`, from any of these

Run on DynamoDB Local; not run on AWS, where the table is UPDATING for some time inside the fence.
"""

from collections.abc import Mapping
from enum import StrEnum
from functools import partial
from typing import NamedTuple

import msgspec
import structlog

from daemon import lag, preflight, prove
from daemon.anchor import reserve, write_generation
from daemon.app import Parts
from daemon.control import Control, Migration, ShardState, shards_of
from daemon.gap import StreamIdentity
from daemon.preflight import CheckFailed
from daemon.quiet import SPAN_SECONDS, quiet
from daemon.source import shards
from daemon.source.shards import Stream

log = structlog.get_logger()

RECORD = "seal"


class SealStep(StrEnum):
    """The steps in their order; what each waits for is in `next_step`."""

    WATCHING = "watching"
    SEALING = "sealing"
    DRAINING = "draining"
    SEALED = "sealed"
    REOPENING = "reopening"
    REOPENED = "reopened"
    OPEN = "open"


UNDOING = (SealStep.REOPENING, SealStep.REOPENED)


class SealState(msgspec.Struct, frozen=True):
    """How far one attempt is. Times are epoch seconds."""

    attempt: str  # the switch's id
    step: SealStep
    began_at: float  # the fence was held
    stream_arn: str
    view_type: str
    message: str
    sealed_at: float | None = None  # before the request was sent: what was written until then is in the stream
    new_arn: str = ""

    @property
    def zero(self) -> bool:
        """Every write before `sealed_at` is applied."""
        return self.step is SealStep.SEALED

    @property
    def may_lift(self) -> bool:
        """The fence may be lifted: whatever is written then is in a stream that will be read."""
        return self.step in (SealStep.WATCHING, SealStep.REOPENED, SealStep.OPEN)


class Sight(NamedTuple):
    """What is seen at one instant."""

    now: float
    identity: StreamIdentity  # the table's stream
    stream: Stream  # the one that is sealed
    states: Mapping[str, ShardState]
    reopened: Stream | None = None  # the table's new stream
    swapped: bool = False  # the new generation is in force


def next_step(state: SealState, seen: Sight, *, back: bool) -> SealState:
    """What follows. Pure. `back`: the stream is to be open again."""
    if back and state.step not in (*UNDOING, SealStep.OPEN):
        return _turned(state, seen)
    follow = {
        SealStep.WATCHING: _watched,
        SealStep.SEALING: _sealing,
        SealStep.DRAINING: _draining,
        SealStep.REOPENING: _reopening,
        SealStep.REOPENED: _reopened,
    }.get(state.step)
    return follow(state, seen) if follow is not None else state


def _to(state: SealState, step: SealStep, message: str, **more: object) -> SealState:
    return msgspec.structs.replace(state, step=step, message=message, **more)


def _turned(state: SealState, seen: Sight) -> SealState:
    untouched = seen.identity == StreamIdentity(state.stream_arn, enabled=True)
    if state.step is SealStep.WATCHING or (state.step is SealStep.SEALING and untouched):
        return _to(state, SealStep.OPEN, "nothing was sealed")
    return _to(state, SealStep.REOPENING, "the stream is enabled again")


def _watched(state: SealState, seen: Sight) -> SealState:
    found = quiet(seen.stream, seen.states)
    if found.through is None or found.since is None:
        return msgspec.structs.replace(state, message=f"the fence is not verified yet: {found.reason}")
    held = found.through - max(found.since, state.began_at)
    if held < SPAN_SECONDS:
        message = f"the fence is verified: no record for {max(held, 0):.0f} of {SPAN_SECONDS:.0f} s"
        return msgspec.structs.replace(state, message=message)
    return _to(state, SealStep.SEALING, "the fence has held: the stream is sealed", sealed_at=seen.now)


def _sealing(state: SealState, seen: Sight) -> SealState:
    if seen.identity.enabled or seen.identity.arn != state.stream_arn:
        return state
    return _to(state, SealStep.DRAINING, "the stream is disabled; what is in it is read to its end")


def _draining(state: SealState, seen: Sight) -> SealState:
    why = _unread(state, seen)
    if why is not None:
        return msgspec.structs.replace(state, message=why)
    return _to(state, SealStep.SEALED, "every shard of the sealed stream is read to its end")


def _unread(state: SealState, seen: Sight) -> str | None:
    """Why the sealed stream may hold more than is applied."""
    if seen.stream.status != "DISABLED":
        return f"the stream is {seen.stream.status} yet"
    if seen.stream.listed_at - (state.sealed_at or seen.now) < lag.SIBLING_SECONDS:
        return "a shard that opened before the seal may not be listed yet"
    open_ = [shard for shard in seen.stream.shards if shard not in seen.states or not seen.states[shard].ended]
    return f"{len(open_)} shard(s) are not read to their end, the first being {open_[0]}" if open_ else None


def _reopening(state: SealState, seen: Sight) -> SealState:
    if seen.identity == StreamIdentity(state.stream_arn, enabled=True):
        return _to(state, SealStep.OPEN, "the seal was never set")
    new = seen.reopened
    if new is None or new.status != "ENABLED" or not new.shards:
        return state
    message = "the new stream has begun; the old one is read to its end"
    return _to(state, SealStep.REOPENED, message, new_arn=new.arn)


def _reopened(state: SealState, seen: Sight) -> SealState:
    if seen.swapped:
        return _to(state, SealStep.OPEN, "the new stream is followed")
    why = _not_swappable(state, seen)
    return msgspec.structs.replace(state, message=why or "the old stream is read: the new one is anchored")


def _not_swappable(state: SealState, seen: Sight) -> str | None:
    """Why the new stream cannot be followed yet: the old one comes first, and all first shards must be listed."""
    new = seen.reopened
    if new is None or new.listed_at - new.created_at < lag.SIBLING_SECONDS:
        return "the new stream has just begun: its shards may not be listed yet"
    return _unread(state, seen)


def advance(known: Parts, migration: Migration, now: float) -> SealState:
    """One turn towards the seal, once the fence is held. Call it until `zero`. Leader only.

    Raises CheckFailed where the source cannot be sealed, ClientError, BotoCoreError, Conflict.
    """
    return _turn(known, migration, now, back=False)


def reopen(known: Parts, migration: Migration, now: float) -> SealState:
    """One turn back. The fence may be lifted once `may_lift`; call it until the step is OPEN. Raises as `advance`."""
    return _turn(known, migration, now, back=True)


def recorded(control: Control) -> SealState | None:
    """The last attempt. Raises ClientError, BotoCoreError."""
    found = control.get(RECORD, SealState)
    return found[0] if found else None


def accounts_for(state: SealState | None, migration: Migration, identity: StreamIdentity) -> bool:
    """Whether we ourselves have disabled the stream, or enabled it again: then that is no gap."""
    if state is None or state.stream_arn != migration.stream_arn:
        return False
    if state.step in UNDOING and identity.arn != state.stream_arn:
        return identity.enabled and state.new_arn in ("", identity.arn)
    sealed = (SealStep.SEALING, SealStep.DRAINING, SealStep.SEALED, *UNDOING)
    return state.step in sealed and identity == StreamIdentity(state.stream_arn, enabled=False)


def refused(known: Parts) -> list[str]:
    """Why the source cannot be sealed now; empty where it can. Raises ClientError, BotoCoreError."""
    found, state = known.control.get("migration", Migration), recorded(known.control)
    if found is None or state is None or _is_past(state, found[0]):
        return _expires(known)
    return [*_expires(known), f"the stream that was sealed in vain is not followed yet behind its end: {state.message}"]


def _expires(known: Parts) -> list[str]:
    attribute = prove.ttl_attribute(known)
    if attribute is None:
        return []
    return [
        f"the source deletes by TTL ({attribute}), at any time and also under the fence: what it deletes while the "
        "stream is sealed would be lost. Disable TTL on the source for the switch, or set tail.proof: heartbeat"
    ]


def _turn(known: Parts, migration: Migration, now: float, *, back: bool) -> SealState:
    state, revision = known.control.get(RECORD, SealState) or (None, 0)
    attempt = migration.switch.id if migration.switch is not None else ""
    fresh = state is None or (state.attempt != attempt and _is_past(state, migration))
    if state is None or fresh:
        if not back:
            _no_ttl(known)
        stream = shards.describe(known.streams, migration.stream_arn, known.clock)
        state = SealState(attempt, SealStep.WATCHING, now, migration.stream_arn, stream.view_type, "the fence is held")
    elif state.attempt != attempt and not back:
        raise CheckFailed(f"the stream is {state.step.value} by an earlier attempt, which must be undone first")
    seen = _sight(known, migration, state, now)
    decided = next_step(state, seen, back=back)
    if decided != state or fresh:
        # Durable before it is done: a crash between the two leaves what was intended.
        known.control.put(RECORD, decided, revision)
        log.info("seal", step=decided.step.value, why=decided.message)
    _act(known, decided, seen)
    return decided


def _is_past(state: SealState, migration: Migration) -> bool:
    """It was undone, or another stream is followed by now, be it by a resync: the old one may not be there any more."""
    return state.step is SealStep.OPEN or state.stream_arn != migration.stream_arn


def _no_ttl(known: Parts) -> None:
    """What TTL deletes while the stream is sealed is in no stream: its rows would stay in the target after `reopen`."""
    for why in _expires(known):
        raise CheckFailed(why)


def _sight(known: Parts, migration: Migration, state: SealState, now: float) -> Sight:
    identity = preflight.table(known.config, known.dynamodb).stream
    prefix = shards_of(migration.generation)
    states = {name: found for name, (found, _) in known.control.all(prefix, ShardState).items()}
    reopened = None
    if state.step in UNDOING and identity.enabled and identity.arn not in (None, state.stream_arn):
        reopened = shards.describe(known.streams, str(identity.arn), known.clock)
    swapped = bool(state.new_arn) and migration.stream_arn == state.new_arn
    return Sight(
        now, identity, shards.describe(known.streams, state.stream_arn, known.clock), states, reopened, swapped
    )


def _act(known: Parts, state: SealState, seen: Sight) -> None:
    """What this step asks for, unless it is done already. Each is safe to repeat."""
    enabled = seen.identity.enabled
    if state.step is SealStep.SEALING and enabled and seen.identity.arn == state.stream_arn:
        _update(known, {"StreamEnabled": False})
    if state.step is SealStep.REOPENING and not enabled:
        _update(known, {"StreamEnabled": True, "StreamViewType": state.view_type})
    if state.step is SealStep.REOPENED and not seen.swapped and _not_swappable(state, seen) is None:
        assert seen.reopened is not None  # noqa: S101  asked a line before
        _swap(known, state, seen, seen.reopened)


def _update(known: Parts, specification: Mapping[str, object]) -> None:
    """Raises ClientError: ResourceInUseException while the table is UPDATING, and the next turn asks again."""
    known.dynamodb.update_table(TableName=known.config.source.table, StreamSpecification=specification)


def _swap(known: Parts, state: SealState, seen: Sight, new: Stream) -> None:
    """Put the new stream in force: another generation of shards, the same backfill, versions above all of the old."""
    version = max((found.version for found in seen.states.values()), default=0)
    generation = reserve(known.control)
    write_generation(known.control, generation, (), new.shards, version)
    known.control.update("migration", Migration, partial(_anchored_anew, state, generation, version, seen.now))


def _anchored_anew(state: SealState, generation: int, version: int, now: float, current: Migration | None) -> Migration:
    """Once only: a crash after it leaves it done."""
    if current is None or current.stream_arn != state.stream_arn:
        return current or Migration()
    return msgspec.structs.replace(
        current,
        generation=generation,
        stream_arn=state.new_arn,
        anchored_at=now,
        anchor_version=max(version, current.anchor_version),
        exported_at=max(current.exported_at, state.sealed_at or 0.0),
        loaded_in=current.parts_generation,
    )
