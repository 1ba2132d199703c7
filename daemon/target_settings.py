"""The target's settings: what they were before the move altered them, and whether they still are as it needs them.

Both in the control table: whoever completes the move, or leads it next, may be another process on another day.
"""

from collections.abc import Mapping

import msgspec

from daemon.app import Parts
from daemon.control import Control
from sinks.provision import Guarded
from sinks.sink import SinkUnavailable

BEFORE_RECORD = "target_settings"
HAZARD_RECORD = "target_hazard"
LOOK_SECONDS = 60.0


class Before(msgspec.Struct, frozen=True):
    """Setting -> its value before `moveout schema --apply` altered it first, as the target's statements write it."""

    settings: Mapping[str, str] = {}


class Hazard(msgspec.Struct, frozen=True):
    """What of the target's settings endangers the move, in a sentence; None: nothing was found."""

    sentence: str | None = None


def remember(control: Control, settings: Mapping[str, str]) -> None:
    """Note what was there, before it is altered. What was noted first stays: later values may be the move's own.

    Raises ClientError, BotoCoreError, Conflict.
    """

    def noted(known: Before | None) -> Before:
        return Before({**settings, **(known.settings if known else {})})

    control.update(BEFORE_RECORD, Before, noted)


def before(control: Control) -> Mapping[str, str]:
    """What `remember` has noted. Raises ClientError, BotoCoreError."""
    found = control.get(BEFORE_RECORD, Before)
    return found[0].settings if found else {}


class Guard:
    """Looks at the target's settings now and then, beside the loop of the leader."""

    def __init__(self, known: Parts) -> None:
        self._parts = known
        self._seen: Hazard | None = None

    def look(self) -> None:
        """Ask the target. One that does not answer, or has no such settings, tells nothing new.

        Raises SinkMisconfigured, ClientError, BotoCoreError, Conflict.
        """
        sink = self._parts.sink(may_create=False)
        if not isinstance(sink, Guarded):
            return
        try:
            found = [f"{hazard.why}. {hazard.statement}" for hazard in sink.hazards()]
        except SinkUnavailable:
            return
        hazard = Hazard(f"{'; '.join(found)}; or: moveout schema --apply" if found else None)
        if hazard.sentence != self.hazard():
            self._parts.control.update(HAZARD_RECORD, Hazard, lambda _: hazard)
        self._seen = hazard

    def hazard(self) -> str | None:
        """What was found last, by whoever led then. Raises ClientError, BotoCoreError."""
        if self._seen is None:
            found = self._parts.control.get(HAZARD_RECORD, Hazard)
            self._seen = found[0] if found else Hazard()
        return self._seen.sentence

    def forget(self) -> None:
        """Another replica leads: what it finds is what counts."""
        self._seen = None
