"""Between DynamoDB's typed JSON (binary as base64) and what botocore's low-level client takes (bytes)."""

import binascii
from base64 import b64decode, b64encode
from typing import Any

import msgspec

from sinks.attributes import UnreadableItem, Value, encode_value
from sinks.change import Key, KeySchema

_decode = msgspec.json.Decoder(dict[str, dict[str, Any]]).decode


def to_client(json: bytes) -> dict[str, Any]:
    """The item as botocore wants it. Raises UnreadableItem."""
    try:
        return {name: _to_client(value) for name, value in _decode(json).items()}
    except (msgspec.MsgspecError, binascii.Error, TypeError, ValueError) as error:
        raise UnreadableItem(f"not an item in DynamoDB's typed JSON: {error}") from error


def _to_client(value: dict[str, Any]) -> dict[str, Any]:
    ((kind, raw),) = value.items()
    match kind:
        case "B":
            return {kind: b64decode(raw, validate=True)}
        case "BS":
            return {kind: [b64decode(member, validate=True) for member in raw]}
        case "M":
            return {kind: {name: _to_client(member) for name, member in raw.items()}}
        case "L":
            return {kind: [_to_client(member) for member in raw]}
    return value


def from_client(item: dict[str, Any]) -> bytes:
    """The inverse of to_client."""
    return msgspec.json.encode(item, enc_hook=_from_bytes)


def _from_bytes(value: Any) -> str:
    return b64encode(bytes(value)).decode()


def key_to_client(keys: KeySchema, key: Key) -> dict[str, Any]:
    """The key as botocore wants it: `{"id": {"S": "x"}}`."""
    parts = {keys.partition.name: _scalar(key.partition)}
    if keys.sort is not None and key.sort is not None:
        parts[keys.sort.name] = _scalar(key.sort)
    return parts


def _scalar(value: Value) -> dict[str, Any]:
    return {"B": value} if isinstance(value, bytes) else encode_value(value)
