"""The last look before the writers switch: no tolerance. One function, for whatever verification has to say."""

from daemon import dead_letter
from daemon.app import Parts
from daemon.verify import final

LATELY_SECONDS = 600.0  # rows written in this time before the switch are looked at before all others


def final_check(known: Parts) -> str | None:
    """What keeps the writers from switching; None when nothing does. Under the fence: both sides are quiet.

    Raises ClientError, BotoCoreError, SinkError.
    """
    letter = dead_letter.first_open(known.dead_letters.all())
    if letter is not None:
        return letter
    return final.final_check(known, known.clock.time() - LATELY_SECONDS)
