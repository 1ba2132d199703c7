"""What the comparison reads of a table of layout `columns`. It shares no code with the sink: the driver says what is in
a cell, and the configuration is not asked but in which column an attribute lies."""

from base64 import b64encode
from decimal import Decimal

import msgspec
from cassandra.query import SimpleStatement

from daemon.verify.canonical import NotAnItem

PAGE_ROWS = 1000


class ColumnsSide:
    """Every column but attrs and version is an attribute; null there means: absent, or in attrs."""

    def __init__(self, session, table, key_names):
        self._session, self._key_names = session, key_names
        self._select = f"SELECT * FROM {table}"  # noqa: S608
        self.spilled, self.in_columns = set(), set()  # attributes, as they were met

    def items(self):
        found = self._session.execute(SimpleStatement(self._select, fetch_size=PAGE_ROWS))
        names = found.column_names
        for row in found:
            yield self._item(dict(zip(names, row, strict=True)))

    def get(self, key):
        wanted = {name: key[name] for name in self._key_names}
        return next((item for item in self.items() if wanted.items() <= item.items()), None)

    def _item(self, row):
        attrs, version = row.pop("attrs"), row.pop("version")
        if attrs is None or version is None:
            raise NotAnItem(f"expected attrs and version in every row, found {row}")
        rest = msgspec.json.decode(attrs)
        typed = {name: _typed(value) for name, value in row.items() if value is not None}
        if doubled := typed.keys() & rest.keys():
            raise NotAnItem(f"{sorted(doubled)} is in a column and in attrs of {row}")
        self.in_columns |= typed.keys()
        self.spilled |= rest.keys() & row.keys()
        return typed | rest


def _typed(value):
    match value:
        case bool():
            return {"BOOL": value}
        case str():
            return {"S": value}
        case int() | Decimal():
            return {"N": format(Decimal(value), "f")}
        case bytes():
            return {"B": b64encode(value).decode()}
    kinds = {kind for kind in map(_typed, value) for kind in kind}
    (kind,) = kinds
    return {f"{kind}S": [_typed(member)[kind] for member in value]}
