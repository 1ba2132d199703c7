"""Heartbeat items: writes of our own that show how far the stream has been read.

Their partition key is reserved, so that they can be told from the application's items everywhere.
They are filtered from sink, counts and comparison.
"""

import random
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from sinks.attributes import encode_value
from sinks.change import Key, KeySchema, KeyValue

PREFIX = "moveout#heartbeat#"
PREFIX_BYTES = PREFIX.encode()
# A numeric key has no room for a prefix but 38 digits of it are nobody's order number.
NUMBER_SCALE = 10**20
NUMBER_FIRST = Decimal(73_700_904_551_027 * NUMBER_SCALE)
NUMBER_END = Decimal(73_700_904_551_028 * NUMBER_SCALE)
ROUND = "moveout:round"
SORT: Mapping[str, KeyValue] = {"S": "moveout", "N": Decimal(0), "B": b"moveout"}


def is_heartbeat(key: Key) -> bool:
    """True for a reserved key. Asked of every item and every change: text, which most keys are, is answered first."""
    partition = key.partition
    if isinstance(partition, str):
        return partition.startswith(PREFIX)
    if isinstance(partition, bytes):
        return partition.startswith(PREFIX_BYTES)
    return NUMBER_FIRST <= partition < NUMBER_END


def fresh_key(kind: str, chance: random.Random) -> KeyValue:
    """A reserved partition key of this type that falls into a random shard."""
    number = chance.randrange(NUMBER_SCALE)
    if kind == "N":
        return Decimal(int(NUMBER_FIRST) + number)
    text = f"{PREFIX}{number:020d}"
    return text if kind == "S" else text.encode()


def to_text(partition: KeyValue) -> str:
    """The reserved key as it is written into a shard's record."""
    return partition.decode() if isinstance(partition, bytes) else str(partition)


def from_text(kind: str, text: str) -> KeyValue:
    """The inverse of to_text."""
    return {"S": str, "N": Decimal, "B": str.encode}[kind](text)  # type: ignore[operator,no-any-return]


def write(client: Any, table: str, keys: KeySchema, partitions: Sequence[KeyValue], proof_round: int) -> None:
    """Put one heartbeat per partition key. The round changes each time: an unchanged put writes no record.

    Raises ClientError, BotoCoreError.
    """
    for partition in partitions:
        client.put_item(TableName=table, Item=_item(keys, partition, proof_round))


def _item(keys: KeySchema, partition: KeyValue, proof_round: int) -> dict[str, Any]:
    item = {keys.partition.name: _scalar(partition), ROUND: {"N": str(proof_round)}}
    if keys.sort is not None:
        item[keys.sort.name] = _scalar(SORT[keys.sort.type])
    return item


def _scalar(value: KeyValue) -> dict[str, Any]:
    return {"B": value} if isinstance(value, bytes) else encode_value(value)
