"""Items for a table with a column of every type that layout `columns` knows, and the driver's reading of our cells."""

import re

from cassandra import cqltypes
from hypothesis import strategies as st
from property.test_attributes import digits, items, numbers, texts, values

from sinks.attributes import canonical
from sinks.cassandra.cells import UNSET
from sinks.cassandra.values import _iso, _iso_milliseconds

PROTOCOL = 4
DAYS_MS = 86_400_000

COLUMNS = {
    "text": "text",
    "ascii": "ascii",
    "uuid": "uuid",
    "iso": {"type": "timestamp", "column": "Instant"},
    "javascript": {"type": "timestamp", "form": "iso-milliseconds"},
    "seconds": {"type": "timestamp", "form": "seconds"},
    "milliseconds": {"type": "timestamp", "form": "milliseconds"},
    "decimal": "decimal",
    "varint": "varint",
    "bigint": "bigint",
    "int": "int",
    "double": "double",
    "boolean": "boolean",
    "blob": "blob",
    "list": "list<text>",
    "set": "frozen<set<text>>",
    "numbers": "set<decimal>",
    "raws": "set<blob>",
    "map": "map<text, decimal>",
    "deep": "list<map<ascii, frozen<list<set<bigint>>>>>",
    "times": {"type": "list<timestamp>", "form": "milliseconds"},
}

# Years 1 to 9999, which is what the driver's datetime can tell.
ticks = st.integers(-719_162 * DAYS_MS, 2_932_897 * DAYS_MS - 1)
ascii_texts = st.text(st.characters(max_codepoint=127))


def whole(bits):
    return st.integers(-(1 << (bits - 1)), (1 << (bits - 1)) - 1).map(lambda n: canonical(str(n)))


def sets_of(members):
    return st.frozensets(members, min_size=1, max_size=4)


FITTING = {
    "text": texts,
    "ascii": ascii_texts,
    "uuid": st.uuids().map(str),
    "iso": ticks.map(_iso),
    "javascript": ticks.map(_iso_milliseconds),
    "seconds": ticks.map(lambda tick: canonical(f"{tick}E-3")),
    "milliseconds": ticks.map(lambda tick: canonical(str(tick))),
    "decimal": numbers,
    "varint": st.builds(lambda n, e: canonical(f"{n}E{e}"), digits, st.integers(0, 87)),
    "bigint": whole(64),
    "int": whole(32),
    "double": st.floats(allow_nan=False, allow_infinity=False, min_value=-1e125, max_value=1e125).map(
        lambda number: canonical(repr(number))
    ),
    "boolean": st.booleans(),
    "blob": st.binary(),
    "list": st.lists(texts, max_size=4),
    "set": sets_of(texts),
    "numbers": sets_of(numbers),
    "raws": sets_of(st.binary()),
    "map": st.dictionaries(texts, numbers, max_size=4),
    "deep": st.lists(st.dictionaries(ascii_texts, st.lists(sets_of(whole(64)), max_size=2), max_size=2), max_size=2),
    "times": st.lists(ticks.map(lambda tick: canonical(str(tick))), max_size=3),
}
fitting_items = st.fixed_dictionaries({}, optional=FITTING)
mixed_items = st.builds(
    lambda typed, other: {**other, **typed},
    st.fixed_dictionaries({}, optional={name: fits | values for name, fits in FITTING.items()}),
    items.map(lambda item: {name: value for name, value in item.items() if name not in ("customer", "order")}),
)

_SCALARS = {
    "text": cqltypes.UTF8Type,
    "ascii": cqltypes.AsciiType,
    "uuid": cqltypes.UUIDType,
    "timestamp": cqltypes.DateType,
    "decimal": cqltypes.DecimalType,
    "varint": cqltypes.IntegerType,
    "bigint": cqltypes.LongType,
    "int": cqltypes.Int32Type,
    "double": cqltypes.DoubleType,
    "boolean": cqltypes.BooleanType,
    "blob": cqltypes.BytesType,
}
_COLLECTIONS = {"list": cqltypes.ListType, "set": cqltypes.SetType, "map": cqltypes.MapType}


def driver_type(name):
    """The driver's type for one that system_schema tells."""
    if (frozen := re.fullmatch(r"frozen<(list|set|map)<(.+)>>", name)) is None:
        return _SCALARS[name]
    kind, inner = frozen.groups()
    parts = inner.split(", ", 1) if kind == "map" else [inner]
    return _COLLECTIONS[kind].apply_parameters([driver_type(part) for part in parts])


def read(cell, name):
    """What the driver makes of a cell of ours."""
    return None if cell is UNSET else driver_type(name).from_binary(cell, PROTOCOL)
