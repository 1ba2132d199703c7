"""A sink of one's own: a row per key in SQLite, durable, with deletions remembered as rows without an item."""

import contextlib
import sqlite3

from sinks.attributes import encode_item
from sinks.change import Item, newest
from sinks.sink import SinkMisconfigured, SinkUnavailable, Stored

TABLE = "CREATE TABLE IF NOT EXISTS moved (key BLOB PRIMARY KEY, version INTEGER NOT NULL, item BLOB) WITHOUT ROWID"
KEEP = """INSERT INTO moved VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE
          SET version = excluded.version, item = excluded.item WHERE excluded.version > moved.version"""


class SqliteSink:
    def __init__(self, options, keys):
        self._path, self._names, self._database = options["path"], [keys.partition, keys.sort], None

    def open(self):
        try:
            self._database = sqlite3.connect(self._path, timeout=5, check_same_thread=False)
            self._database.execute("PRAGMA synchronous = FULL")
            self._database.execute(TABLE)
        except sqlite3.OperationalError as error:
            raise SinkMisconfigured(f"cannot open {self._path}: {error}. Look at target.options.path") from error

    def apply(self, changes):
        rows = [(self._key(c.key), c.version, c.item.json if c.item else None) for c in newest(changes)]
        try:
            with self._database:  # one transaction: durable when it returns
                self._database.executemany(KEEP, rows)
        except sqlite3.OperationalError as error:  # locked by another process, disk full: sent again
            raise SinkUnavailable(f"{self._path}: {error}") from error
        return []

    def read(self, keys):
        find = "SELECT version, item FROM moved WHERE key = ? AND item IS NOT NULL"
        found = {key: self._database.execute(find, [self._key(key)]).fetchone() for key in keys}
        return {key: Stored(row[0], Item(row[1])) for key, row in found.items() if row}

    def close(self):
        with contextlib.suppress(AttributeError):
            self._database.close()

    def _key(self, key):
        values = zip(self._names, (key.partition, key.sort), strict=True)
        return encode_item({attribute.name: value for attribute, value in values if attribute})
