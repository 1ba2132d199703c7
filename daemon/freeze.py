"""What the switch of the writers asks of a shard's process: go on, stand still and say so, or only detect.

Asked before each batch, and also of empty pages. The record is read at most every other second, every half second once
the switch has begun. A process acts on what it has read for no longer than that: while the control table cannot be
read it stands still, for one that is cut off from it must not write behind a COMMIT that it cannot see.

Why COMMIT may follow the acknowledgements (`writers.not_frozen`): a process acknowledges only what it has read, and
applies nothing from then on until it reads something else; a claim takes the acknowledgement back, and whoever claims
reads the record after that; the step is left for COMMIT or for another epoch by compare-and-set.
"""

from typing import TYPE_CHECKING, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from daemon.control import Migration
from daemon.phase import Phase
from daemon.retry import Abandoned
from daemon.settings import LOOK_SECONDS
from daemon.switching import Step

if TYPE_CHECKING:
    from daemon.app import Parts

SWITCHING_LOOK_SECONDS = 0.5


class Orders(NamedTuple):
    """`acknowledge` is the epoch to be acknowledged (0: none)."""

    hold: bool = False
    acknowledge: int = 0
    detect: bool = False

    @property
    def stands_still(self) -> bool:
        """Nothing is to be applied, and that is known."""
        return self.acknowledge > 0 or self.detect


GO_ON, WAIT, DETECT = Orders(), Orders(hold=True), Orders(detect=True)


def orders(migration: Migration | None, generation: int) -> Orders:
    """Pure: what this record asks of a shard of this generation. Raises Abandoned when the migration is over."""
    if migration is None:
        return GO_ON
    if migration.phase is Phase.ABORTED:
        raise Abandoned("the migration was aborted: nothing is applied any more")
    if migration.generation != generation:
        # The service ends this process, where it lives; nobody waits for its acknowledgement.
        return WAIT if migration.phase in (Phase.SWITCHING, Phase.SWITCHED) else GO_ON
    if migration.phase is Phase.SWITCHED:
        return DETECT
    switch = migration.switch
    if migration.phase is Phase.SWITCHING and switch is not None and switch.step is Step.FREEZE:
        return Orders(hold=True, acknowledge=switch.frozen_epoch)
    return GO_ON


class Freeze:
    """The orders in force, for one shard's process."""

    def __init__(self, known: "Parts", generation: int) -> None:
        self._known = known
        self._generation = generation
        self._orders = WAIT
        self._look_at = float("-inf")

    def __call__(self) -> Orders:
        """Raises Abandoned when the migration is over."""
        now = self._known.clock.monotonic()
        if now >= self._look_at:
            self._orders, pause = self._looked()
            self._look_at = now + pause
        return self._orders

    def _looked(self) -> tuple[Orders, float]:
        try:
            found = self._known.control.get("migration", Migration)
        except (ClientError, BotoCoreError):
            return WAIT, SWITCHING_LOOK_SECONDS
        migration = found[0] if found else None
        switching = migration is not None and migration.phase is Phase.SWITCHING
        return orders(migration, self._generation), SWITCHING_LOOK_SECONDS if switching else LOOK_SECONDS
