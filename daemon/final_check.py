"""The last look before the writers switch: no tolerance. One function, for whatever verification has to say."""

from daemon import dead_letter
from daemon.app import Parts
from daemon.signal.document import Document


def final_check(known: Parts) -> str | None:
    """What keeps the writers from switching; None when nothing does. Under the fence: both sides are quiet.

    Raises ClientError, BotoCoreError, SinkError.
    """
    letter = dead_letter.first_open(known.dead_letters.all())
    if letter is not None:
        return letter
    published = known.control.get("signal", Document)
    found = published[0].verification if published else None
    if found is not None and (found.open or any(found.differences.values())):
        return f"verification run {found.run} has differences that are not resolved: {found.message}"
    return None
