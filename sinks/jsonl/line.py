"""One change as one line: `{"key":{"id":{"S":"x"}},"version":17,"item":{"id":{"S":"x"},…}}`; no item: `null`."""

import msgspec

from sinks.change import Change, KeySchema
from sinks.dynamodb.wire import key_json


class Line(msgspec.Struct, frozen=True, gc=False):
    """A line as it is read back. `key` is canonical: the same key has the same bytes."""

    key: msgspec.Raw  # typed JSON of the key attributes
    version: int  # microseconds; the highest of its key is in force
    item: msgspec.Raw  # typed JSON of the whole item, as the bytes that came; `null`: the key was deleted

    @property
    def deleted(self) -> bool:
        """True when the key was deleted as of this version."""
        return bytes(self.item) == b"null"


def encoded(keys: KeySchema, change: Change) -> bytes:
    """The line of a change, newline included."""
    item = b"null" if change.item is None else one_line(change.item.json)
    return b'{"key":%b,"version":%d,"item":%b}\n' % (
        msgspec.json.encode(key_json(keys, change.key)),
        change.version,
        item,
    )


def one_line(json: bytes) -> bytes:
    """Without line breaks: in JSON they stand between tokens only, where a blank says the same."""
    return json.replace(b"\r", b" ").replace(b"\n", b" ") if b"\n" in json or b"\r" in json else json
