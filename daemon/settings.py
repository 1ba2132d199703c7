"""What a person has set while the service runs: a record of the control table, looked at every other second."""

from collections.abc import Callable

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from daemon.clock import Clock
from daemon.control import Control, Settings

LOOK_SECONDS = 2.0
RECORD = "settings"


class LiveSettings:
    """The settings in force. While the control table is away, those that were seen last."""

    def __init__(self, control: Control, clock: Clock) -> None:
        self._control = control
        self._clock = clock
        self._seen = Settings()
        self._looked_at = float("-inf")

    def now(self) -> Settings:
        """At most two seconds old."""
        if self._clock.monotonic() - self._looked_at >= LOOK_SECONDS:
            self._looked_at = self._clock.monotonic()
            try:
                found = self._control.get(RECORD, Settings)
            except (ClientError, BotoCoreError):
                return self._seen  # a limit that cannot be read holds as it was
            self._seen = found[0] if found else Settings()
        return self._seen


def change(control: Control, changed: Callable[[Settings], Settings]) -> Settings:
    """Change the settings, durably; what is in force then. Raises ClientError, BotoCoreError, Conflict."""
    return control.update(RECORD, Settings, lambda known: changed(known or Settings()))


def replaced(**values: object) -> Callable[[Settings], Settings]:
    """A change of some of them."""
    return lambda known: msgspec.structs.replace(known, **values)
