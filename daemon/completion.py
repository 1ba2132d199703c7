"""The end of a migration: what only the move needed is taken back, and nothing of it may be applied any more."""

from collections.abc import Callable

import msgspec

from daemon import target_settings
from daemon.app import Parts
from daemon.control import Control, Migration
from daemon.phase import Phase
from daemon.preflight import CheckFailed
from sinks.provision import Completable, Guarded

RECORD = "completion"


class Completion(msgspec.Struct, frozen=True):
    """When it was begun and done, in epoch seconds (0: not yet), and why it was forced."""

    begun_at: float
    done_at: float = 0
    forced: str = ""


def completion(control: Control) -> Completion | None:
    """What is recorded. Raises ClientError, BotoCoreError."""
    found = control.get(RECORD, Completion)
    return found[0] if found else None


def refuse_if_begun(control: Control) -> None:
    """Nothing writes into a target that has been completed: its memory of deletions is gone. Nor after an abort.

    Raises CheckFailed, ClientError, BotoCoreError.
    """
    begun = control.get("migration", Migration)
    if begun is not None and begun[0].phase is Phase.ABORTED:
        raise CheckFailed(f"{begun[0].message}. A new move needs another `migration` name, and an empty target")
    found = completion(control)
    if found is not None:
        from daemon.signal.document import iso  # a worker asks too, and has no document

        raise CheckFailed(
            f"this migration was completed at {iso(found.begun_at)} (moveout complete): what it would write now could "
            "bring deleted rows back. A new move needs another `migration` name, and an empty target"
        )


def refuse_if_switched(control: Control) -> None:
    """Once the writers switch, nothing old is applied by hand: it could bring back what they delete in the target.

    Raises CheckFailed, ClientError, BotoCoreError.
    """
    found = control.get("migration", Migration)
    if found is not None and found[0].phase in (Phase.SWITCHING, Phase.SWITCHED):
        raise CheckFailed(
            f"this migration is {found[0].phase.value}: {found[0].message}. Nothing of the source is applied by hand "
            "from here on; before COMMIT `moveout cutover cancel` goes back"
        )


def too_early(known: Parts) -> str | None:
    """Why it may not be completed yet, and what to do; None when it may. Raises ClientError, BotoCoreError."""
    from daemon.signal.document import Document, is_current

    if completion(known.control) is not None:
        return None  # begun: it goes on
    found = known.control.get("migration", Migration)
    migration = found[0] if found else Migration()
    unready = migration.ready_since is None and migration.phase not in (Phase.LOADED, Phase.SWITCHED)
    if unready or migration.phase is Phase.SWITCHING:
        return (
            f"it is {migration.phase.value}: {migration.message}. Wait until readers and writers have switched "
            "(moveout wait --for ready-readers tells when readers may)"
        )
    published = known.control.get("signal", Document)
    if published is not None and migration.phase is not Phase.LOADED and is_current(published[0], known.clock.time()):
        return (
            f"its service still runs, it published at {published[0].published_at}: stop `moveout run` first, on every "
            "replica; half a minute after its last word it counts as stopped"
        )
    return None


def complete(known: Parts, told: Callable[[str], None], forced: str = "") -> bool:
    """Take back what only the move needed; False when the target has nothing of the kind.

    From its first step on nothing else of this migration writes into the target. Safe to repeat and to interrupt.
    Raises SinkError, HeartbeatsRefused, CheckFailed, ClientError, BotoCoreError, Conflict.
    """
    from daemon.prove import remove_heartbeats  # a worker asks for completions, and writes no heartbeats

    sink = known.sink(may_create=False)
    if not isinstance(sink, Guarded | Completable):
        remove_heartbeats(known, told)
        return False
    begun = completion(known.control) or Completion(known.clock.time(), forced=forced)
    _record(known.control, begun)
    if isinstance(sink, Guarded):
        sink.restore(target_settings.before(known.control), told)
    if isinstance(sink, Completable):
        sink.complete(told)
    remove_heartbeats(known, told)
    _record(known.control, msgspec.structs.replace(begun, done_at=begun.done_at or known.clock.time()))
    return True


def _record(control: Control, made: Completion) -> None:
    control.update(RECORD, Completion, lambda _: made)
