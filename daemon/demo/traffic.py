"""What the demo's application writes, and in which order: the same writes for the same seed.

Every kind is one that has broken a migration tool: several updates of a key within one second, a delete
and a re-insert within one, deletes of rows that the export has, updates that take attributes away.
"""

import random
from collections.abc import Iterator
from typing import Any, NamedTuple

from daemon.demo.dataset import Item, item, key_of, order
from daemon.demo.specimens import specimens

HOT_KEYS = 5
DELETED_MAX = 1000
FRESH_MAX = 1000
SPECIMEN_EVERY = 50  # inserts
# Kind -> weight. Chosen so that the table grows slowly.
WEIGHTS = {"insert": 6, "burst": 4, "overwrite": 5, "strip": 4, "delete": 4, "reinsert": 3, "flicker": 2}


class Write(NamedTuple):
    """One request: its kind, for the count; DynamoDB's operation; the request without the table's name."""

    kind: str
    operation: str
    request: dict[str, Any]


class Traffic:
    """An endless source of writes to a table that was loaded with `items` items of `seed`."""

    def __init__(self, seed: int, items: int) -> None:
        self._seed = seed
        self._items = items
        self._chance = random.Random(f"traffic {seed}")
        self._inserted = 0
        self._fresh: list[Item] = []
        self._deleted: list[Item] = []
        self._specimens = specimens()

    def __iter__(self) -> Iterator[Write]:
        """Each kind yields one write or several that belong together."""
        kinds, weights = list(WEIGHTS), list(WEIGHTS.values())
        while True:
            (kind,) = self._chance.choices(kinds, weights)
            yield from getattr(self, f"_{kind}")()

    def _insert(self) -> Iterator[Write]:
        self._inserted += 1
        # Past the last loaded one, so that no key is used twice.
        place = len(self._specimens) + self._items + self._inserted
        body = item(self._seed, place)
        if self._inserted % SPECIMEN_EVERY == 0:
            chosen = self._specimens[self._inserted // SPECIMEN_EVERY % len(self._specimens)]
            body = {**chosen, **key_of(self._seed, place)}
        _remember(self._fresh, key_of(self._seed, place), FRESH_MAX, self._chance)
        yield Write("insert", "PutItem", {"Item": body})

    def _burst(self) -> Iterator[Write]:
        """One hot key, several times within one second: the stream's time cannot tell them apart."""
        key = key_of(self._seed, len(self._specimens) + self._chance.randrange(HOT_KEYS))
        for _ in range(self._chance.randint(3, 6)):
            value = {"N": str(self._chance.randint(-(10**37), 10**37))}
            yield Write("hot update", "UpdateItem", _set(key, {"total": value, "status": {"S": "hot"}}))

    def _overwrite(self) -> Iterator[Write]:
        yield Write("overwrite", "PutItem", {"Item": {**self._known_key(), **order(self._chance)}})

    def _strip(self) -> Iterator[Write]:
        """An update that takes attributes away, and makes others empty."""
        request = _set(self._known_key(), {"lines": {"L": []}, "extras": {"M": {"none": {"M": {}}}}})
        request["UpdateExpression"] += " REMOVE #r0, #r1, #r2"
        request["ExpressionAttributeNames"] |= {"#r0": "note", "#r1": "ship to", "#r2": 'weird "name".x'}
        yield Write("attribute removal", "UpdateItem", request)

    def _delete(self) -> Iterator[Write]:
        key = self._known_key()
        _remember(self._deleted, key, DELETED_MAX, self._chance)
        yield Write("delete", "DeleteItem", {"Key": key})

    def _reinsert(self) -> Iterator[Write]:
        if self._deleted:
            key = self._deleted.pop(self._chance.randrange(len(self._deleted)))
            yield Write("re-insert", "PutItem", {"Item": {**key, **order(self._chance)}})

    def _flicker(self) -> Iterator[Write]:
        """Gone and back, or there and gone, within one second."""
        key = self._known_key()
        gone = Write("delete", "DeleteItem", {"Key": key})
        back = Write("re-insert", "PutItem", {"Item": {**key, **order(self._chance)}})
        yield from self._chance.choice(([gone, back], [back, gone], [gone, back, gone]))

    def _known_key(self) -> Item:
        """A loaded item's key or a fresh one's."""
        if self._fresh and (self._items == 0 or self._chance.randrange(4) == 0):
            return self._chance.choice(self._fresh)
        return key_of(self._seed, self._chance.randrange(max(self._items, 1)))


def _remember(keys: list[Item], key: Item, limit: int, chance: random.Random) -> None:
    """Keep the key, in the place of another one when there are too many."""
    if len(keys) < limit:
        keys.append(key)
    else:
        keys[chance.randrange(limit)] = key


def _set(key: Item, values: Item) -> dict[str, Any]:
    """An UpdateItem that sets attributes of any name."""
    assignments = ", ".join(f"#s{index} = :v{index}" for index in range(len(values)))
    return {
        "Key": key,
        "UpdateExpression": f"SET {assignments}",
        "ExpressionAttributeNames": {f"#s{index}": name for index, name in enumerate(values)},
        "ExpressionAttributeValues": {f":v{index}": value for index, value in enumerate(values.values())},
    }
