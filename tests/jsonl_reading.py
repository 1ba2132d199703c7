"""The sink of JSON lines as a sink that can be read: for its contract."""

import msgspec

from sinks.change import Item
from sinks.dynamodb.wire import key_of
from sinks.jsonl import read
from sinks.sink import Stored


class ReadBack:
    """The sink, and beside it what a reader of its files finds: the highest version of each key."""

    def __init__(self, sink, keys, stored):
        self._sink, self._keys, self._stored = sink, keys, stored
        self.open, self.apply, self.close = sink.open, sink.apply, sink.close

    def read(self, keys):
        decode = msgspec.json.decode
        newest = {key_of(self._keys, decode(line.key)): line for line in read.newest(self._stored())}
        found = {key: newest[key] for key in keys if key in newest and not newest[key].deleted}
        return {key: Stored(line.version, Item(bytes(line.item))) for key, line in found.items()}
