"""What cannot be settled, and why: a row that is written all the time is no obstacle, one that nobody watches is."""

from types import SimpleNamespace

import pytest

from daemon.verify.rules import Doubt, Expiry
from daemon.verify.settle import Settler
from sinks.change import Item, Key

KEY = Key("x")


class Lost:
    """The source has the row, the target never does. It is its own proof, and its own watch."""

    def __init__(self, *, knows, touched):
        self._knows, self._touched = knows, touched

    def source(self, keys):
        return {key: Item(b'{"id":{"S":"x"}}') for key in keys}

    def target(self, _keys):
        return {}

    def begun(self):
        return 1

    def wait_beyond(self, _begun):
        """At once."""

    def begin(self, _keys):
        return "watch"

    def end(self):
        """Nothing is watched."""

    def untouched(self, keys):
        return set(keys) if self._knows and not self._touched else set()

    def knows(self):
        return self._knows


@pytest.mark.parametrize(
    ("knows", "touched", "told"),
    [
        (True, False, SimpleNamespace(differences=1, hot=0, unwatched=0)),
        (True, True, SimpleNamespace(differences=0, hot=1, unwatched=0)),
        # Another watch was under way, a shard was late, or the proof took longer than a watch is answered for.
        (False, False, SimpleNamespace(differences=0, hot=0, unwatched=1)),
    ],
    ids=["lost", "written each time", "nobody watches"],
)
def test_a_row_that_nobody_could_watch_is_not_taken_for_one_that_is_written_all_the_time(knows, touched, told):
    world = Lost(knows=knows, touched=touched)
    settled = Settler(world, world, world, Expiry).settle([Doubt(KEY)])
    found = {name: len(getattr(settled, name)) for name in ("differences", "hot", "unwatched")}
    assert (found, settled.same) == (vars(told), [])
