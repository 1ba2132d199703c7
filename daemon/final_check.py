"""The last look before the writers switch: no tolerance. One function, for whoever may still say no."""

from daemon import dead_letter
from daemon.app import Parts
from daemon.control import Migration
from daemon.cutting_over import vetoed
from daemon.signal import events
from daemon.switching import Step
from daemon.verify import final

LATELY_SECONDS = 600.0  # rows written in this time before the switch are looked at before all others


def final_check(known: Parts) -> str | None:
    """What keeps the writers from switching; None when nothing does. Under the fence: both sides are quiet.

    Raises ClientError, BotoCoreError, SinkError.
    """
    migration, _ = known.control.get("migration", Migration) or (Migration(), 0)
    attempt = migration.switch.id if migration.switch else ""
    veto = vetoed(known, migration, events.switch_type(Step.COMMIT), attempt)
    if veto is not None:
        return veto
    letter = dead_letter.first_open(known.dead_letters.all())
    if letter is not None:
        return letter
    return final.final_check(known, known.clock.time() - LATELY_SECONDS)
