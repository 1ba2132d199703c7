"""Heartbeat items: writes of our own that show how far the stream has been read.

Their partition key is reserved, so that they can be told from the application's items everywhere.
They are filtered from sink, counts and comparison, and removed at the end.
"""

import random
from base64 import b64encode
from collections.abc import Iterable, Mapping
from decimal import Decimal
from hashlib import sha256
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from sinks.attributes import encode_value
from sinks.change import Key, KeySchema, KeyValue

PREFIX = "moveout#heartbeat#"
PREFIX_BYTES = PREFIX.encode()
# A numeric key has no room for a prefix but 38 digits of it are nobody's order number.
NUMBER_SCALE = 10**20
NUMBER_FIRST = Decimal(73_700_904_551_027 * NUMBER_SCALE)
NUMBER_END = Decimal(73_700_904_551_028 * NUMBER_SCALE)
ROUND = "moveout:round"
# Whose it is: another move of the same table, also one of yesterday that this stream still has, counts other rounds.
MARK = "moveout:of"
EXPIRES_SECONDS = 2 * 86400
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
    return _reserved(kind, chance.randrange(NUMBER_SCALE))


def _reserved(kind: str, number: int) -> KeyValue:
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


def numbered_key(kind: str, salt: str, number: int) -> KeyValue:
    """The reserved key of this number: the same for ever, so that a count says which keys were used."""
    digest = int.from_bytes(sha256(f"{salt}/{number}".encode()).digest()[:16], "big")
    return _reserved(kind, digest % NUMBER_SCALE)


class Form(NamedTuple):
    """What is the same in all heartbeat items of an anchoring."""

    keys: KeySchema
    mark: str = ""
    expires: str | None = None  # the table's TTL attribute: what nobody removes goes by itself

    def item(self, partition: KeyValue, proof_round: int, now: float) -> dict[str, Any]:
        """In DynamoDB's types. `now` in epoch seconds."""
        item = {**_key(self.keys, partition), ROUND: {"N": str(proof_round)}}
        if self.mark:
            item[MARK] = {"S": self.mark}
        if self.expires is not None:
            item[self.expires] = {"N": str(int(now) + EXPIRES_SECONDS)}
        return item


def write(
    client: Any, table: str, form: Form, partitions: Iterable[KeyValue], proof_round: int, now: float = 0.0
) -> None:
    """Put one heartbeat per partition key. The round changes each time: an unchanged put writes no record.

    `now` in epoch seconds. Raises ClientError, BotoCoreError.
    """
    for partition in partitions:
        client.put_item(TableName=table, Item=form.item(partition, proof_round, now))


def remove(client: Any, table: str, keys: KeySchema, partitions: Iterable[KeyValue]) -> None:
    """Delete the heartbeat items of these partition keys, and no item that is none. Safe to repeat.

    Raises ClientError, BotoCoreError.
    """
    for partition in partitions:
        try:
            client.delete_item(
                TableName=table,
                Key=_key(keys, partition),
                ConditionExpression="attribute_exists(#r)",
                ExpressionAttributeNames={"#r": ROUND},
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise


def policy(table_arn: str) -> dict[str, Any]:
    """The IAM statement that allows heartbeats and nothing else.

    `dynamodb:LeadingKeys` is the partition key (AWS developer guide, "Using IAM policy conditions for fine-grained
    access control"). How it spells numeric and binary keys is an inference: not run on AWS.
    """
    leading = [f"{PREFIX}*", f"{int(NUMBER_FIRST) // NUMBER_SCALE}{'?' * 20}", f"{b64encode(PREFIX_BYTES).decode()}*"]
    return {
        "Sid": "MoveoutHeartbeats",
        "Effect": "Allow",
        "Action": ["dynamodb:PutItem", "dynamodb:DeleteItem"],
        "Resource": table_arn,
        "Condition": {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": leading}},
    }


def _key(keys: KeySchema, partition: KeyValue) -> dict[str, Any]:
    key = {keys.partition.name: _scalar(partition)}
    if keys.sort is not None:
        key[keys.sort.name] = _scalar(SORT[keys.sort.type])
    return key


def _scalar(value: KeyValue) -> dict[str, Any]:
    return {"B": value} if isinstance(value, bytes) else encode_value(value)
