"""Keys and items as DynamoDB's JSON protocol wants them: the bytes that came, the hidden attribute put in."""

from typing import Any

import msgspec

from sinks.attributes import UnreadableItem, decode_value, encode_value
from sinks.change import Key, KeySchema

answer_of = msgspec.json.Decoder(dict[str, Any]).decode
_names = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def key_json(keys: KeySchema, key: Key) -> dict[str, Any]:
    """The key in typed JSON: `{"id": {"S": "x"}}`."""
    parts = {keys.partition.name: encode_value(key.partition)}
    if keys.sort is not None and key.sort is not None:
        parts[keys.sort.name] = encode_value(key.sort)
    return parts


def key_of(keys: KeySchema, item: dict[str, Any]) -> Key:
    """The inverse, out of an item's typed JSON. Raises UnreadableItem."""
    parts: list[Any] = [decode_value(item[part.name]) for part in (keys.partition, keys.sort) if part is not None]
    return Key(*parts)


def versioned(json: bytes, attribute: str, version: int) -> bytes:
    """The item with its version in the hidden attribute. Raises UnreadableItem when it has that attribute itself."""
    if msgspec.json.encode(attribute) in json and attribute in _names(json):
        raise UnreadableItem(
            f"the item has an attribute {attribute!r} of its own: choose another target.version_attribute"
        )
    hidden = msgspec.json.encode({attribute: {"N": str(version)}})
    return json[:-1] + b"," + hidden[1:]


def version_and_item(stored: dict[str, Any], attribute: str) -> tuple[int, bytes] | None:
    """The version and the item without it; None when the item has none, so was not written by us."""
    version = stored.pop(attribute, None)
    return None if version is None else (int(version["N"]), msgspec.json.encode(stored))


def put_body(table: str, keys: KeySchema, attribute: str, condition: str, *, show: bool, measured: bool) -> bytes:
    """A conditional PutItem up to its two values: `{":v":{"N":"` comes next. See `conditional_put`.

    `show`: what is there instead comes with a failed condition. `measured`: the answer tells its write units.
    """
    request: dict[str, Any] = {
        "TableName": table,
        "ConditionExpression": condition,
        "ExpressionAttributeNames": {"#k": keys.partition.name, "#v": attribute},
    }
    if show:
        request["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
    if measured:
        request["ReturnConsumedCapacity"] = "TOTAL"
    return msgspec.json.encode(request)[:-1] + b',"ExpressionAttributeValues":{":v":{"N":"'


def conditional_put(head: bytes, version: int, item: bytes) -> bytes:
    """The whole body: the head of `put_body`, the version, and the item as it came."""
    return b'%b%d"}},"Item":%b}' % (head, version, item)
