"""What can befall a request on its way to a store and back. One list for every store; each says it in its own errors.

`Faults.next` is asked once before each statement or request. It may also *act*: a second writer that runs in there
has run between two requests of the first, which is all the concurrency that a store can see.
"""

import enum
from collections import Counter


class Unsupported(BaseException):
    """A stand-in was asked for what it does not model. Not an Exception: code under test must not retry it away."""


class Fault(enum.Enum):
    AWAY = "refused before anything happened"
    THROTTLED = "told to come back later; nothing happened"
    LOST = "timed out; it never arrived"
    APPLIED = "timed out or cut off, although it was applied"
    FAILED_APPLIED = "the server says that it failed, although it was applied"
    LATE = "timed out; it lands when the simulator says so"
    CONFLICT = "another transaction is at it; nothing happened"


class Faults:
    """None, until a script, a rate or a poison is given.

    `script` holds the fates of the next requests (None: all is well) and goes before the dice. With `rate`, a fault
    of `kinds` begins at a request with that probability and lasts for one to `burst` requests: clients try again by
    themselves, so only a fault that lasts is seen by their caller. `poison(key, body)` is true for what the store can
    never take; the body is the item's text (CQL) or its attributes (DynamoDB), so that `"name" in body` does for both,
    or None for a deletion.
    """

    def __init__(self, chance=None, *, rate=0.0, kinds=(), burst=1, poison=None):
        self.chance = chance
        self.rate = rate
        self.kinds = kinds
        self.burst = burst
        self.poison = poison
        self.script = []
        self.met = Counter()
        self._lasting, self._left = None, 0

    def next(self, operation, key):  # noqa: ARG002  for those who override this
        """The fate of this request: a Fault or None. The key is None where a request has none."""
        if self.script:
            fault = self.script.pop(0)
        elif self._left:
            self._left -= 1
            fault = self._lasting
        elif self.rate and self.chance.random() < self.rate:
            fault = self._lasting = self.chance.choice(self.kinds)
            self._left = self.chance.randrange(self.burst)
        else:
            return None
        if fault is not None:
            self.met[fault] += 1
        return fault

    def one_of(self, words):
        """One of several ways in which a fault may show."""
        return words[0] if self.chance is None else self.chance.choice(words)

    def calm(self):
        """No dice from now on; scripts and poison stay."""
        self.rate, self._left = 0.0, 0
