"""A row of a CSV file -> an item: columns by the table definition, attributes by the object mapping."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import TypeVar

from daemon.source.foreign.table_definition import READERS, Column, Table, Unsuitable
from daemon.source.foreign.table_mappings import Attribute, Parameters, Rule
from daemon.source.foreign.templates import DOCUMENTS, SCALARS, Make, Texts, columns_of, document, scalar
from daemon.source.page import Row
from sinks.attributes import UnreadableItem, Value, encode_item
from sinks.change import Item, Key, KeyAttribute, KeySchema, KeyValue

DOCUMENT = "_doc"  # the attribute of map-record-to-document
INSERTS = ("I", "INSERT")
T = TypeVar("T")


class RowMapping:
    """Rows of one table -> items with this key. Raises Unsuitable when no row could ever fit."""

    def __init__(self, table: Table, rule: Rule | None, keys: KeySchema, null_value: str) -> None:
        self._columns = table.table_columns
        self._keys = keys
        self._null_value = null_value
        parameters = rule.mapping_parameters if rule else Parameters()
        columns = [column.column_name for column in self._columns]
        _known(parameters.exclude_columns, columns)
        self._plain = [column for column in self._columns if column.column_name not in parameters.exclude_columns]
        self._in_document = rule is not None and rule.rule_action == "map-record-to-document"
        self._made = {a.target_attribute_name: _maker(a, columns) for a in parameters.attribute_mappings}
        self._key_columns = [
            (attribute.target_attribute_name, columns_of(attribute.value))
            for attribute in parameters.attribute_mappings
            if attribute.target_attribute_name in keys.names
        ]
        _storable(self._plain)
        self._check_keys(parameters)

    def _types(self) -> Mapping[str, str]:
        """Attribute name -> type, of all that a row can get."""
        plain = {column.column_name: READERS[column.column_type][0] for column in self._plain}
        return {**({DOCUMENT: "M"} if self._in_document else plain), **{n: kind for n, (kind, _) in self._made.items()}}

    def _check_keys(self, parameters: Parameters) -> None:
        named = (parameters.partition_key_name, parameters.sort_key_name)
        for key, name in zip((self._keys.partition, self._keys.sort), named, strict=True):
            _key_fault(key, name, self._types())

    def row(self, fields: Sequence[str]) -> Row:
        """The item of one row. Raises UnreadableItem, which names the column."""
        texts = self._texts(fields)
        self._whole_keys(texts)
        plain = self._values(texts)
        item: dict[str, Value] = {DOCUMENT: plain} if self._in_document else plain
        for name, (_, make) in self._made.items():
            value = _named(f"attribute {name}", make, texts)
            if value is None:
                item.pop(name, None)
            else:
                item[name] = value
        return self._key(item), Item(encode_item(item))

    def _whole_keys(self, texts: Texts) -> None:
        """Two rows, of NULL and of empty text, would otherwise get one key."""
        for name, columns in self._key_columns:
            missing = [column for column in columns if texts[column] is None]
            if missing:
                raise UnreadableItem(
                    f"the key attribute {name} is made of {', '.join(missing)}, which is NULL: mend the line"
                )

    def _texts(self, fields: Sequence[str]) -> dict[str, str | None]:
        if len(fields) == len(self._columns) + 1:
            fields = _after_operation(fields)
        if len(fields) != len(self._columns):
            raise UnreadableItem(
                f"{len(fields)} fields, the table definition has {len(self._columns)} columns: mend the line or the "
                "definition; also look at csv.delimiter and csv.rfc4180"
            )
        found = zip(self._columns, fields, strict=True)
        return {column.column_name: self._text(column, field) for column, field in found}

    def _text(self, column: Column, field: str) -> str | None:
        if field != self._null_value:
            return field
        if column.nullable:
            return None
        raise UnreadableItem(
            f"column {column.column_name}: NULL ({field!r}) where ColumnNullable is false: mend the line or the "
            "definition; where this text is a value, set csv.null_value to what stands for NULL"
        )

    def _values(self, texts: Texts) -> dict[str, Value]:
        values: dict[str, Value] = {}
        for column in self._plain:
            text = texts[column.column_name]
            if text is not None:
                read = READERS[column.column_type][1]
                values[column.column_name] = _named(f"column {column.column_name}", read, text)
        return values

    def _key(self, item: Mapping[str, Value]) -> Key:
        partition = _key_value(self._keys.partition, item)
        return Key(partition, _key_value(self._keys.sort, item) if self._keys.sort else None)


def _named(place: str, read: Callable[[T], Value], found: T) -> Value:
    try:
        return read(found)
    except UnreadableItem as error:
        raise UnreadableItem(f"{place}: {error}") from error


def _after_operation(fields: Sequence[str]) -> Sequence[str]:
    """DMS as a source before may have left a first column that says `I`."""
    if fields[0].upper() in INSERTS:
        return fields[1:]
    raise UnreadableItem(
        f"the first of {len(fields)} fields is {fields[0]!r:.20}: there is one more than columns, so I or INSERT was "
        "expected. Files of changes are not loaded: follow the table's stream for them"
    )


def _key_value(key: KeyAttribute, item: Mapping[str, Value]) -> KeyValue:
    value = item.get(key.name)
    if not isinstance(value, str | Decimal) or value == "":
        raise UnreadableItem(f"the key attribute {key.name} is NULL or empty: every item needs its key, mend the line")
    return value


def _key_fault(key: KeyAttribute | None, named: str | None, types: Mapping[str, str]) -> None:
    if named is not None and named != (key.name if key else None):
        raise Unsuitable(
            f"the object mapping names the key attribute {named!r}, the table's is {key.name if key else 'none'!r}: "
            "make them the same"
        )
    if key is not None and types.get(key.name) != key.type:
        raise Unsuitable(
            f"the key attribute {key.name!r} must be of type {key.type}, found {types.get(key.name, 'none')}: "
            "make it with an entry in attribute-mappings"
        )


def _known(excluded: Sequence[str], columns: Sequence[str]) -> None:
    unknown = [name for name in excluded if name not in columns]
    if unknown:
        raise Unsuitable(f"exclude-columns names {', '.join(unknown)}; known are {', '.join(columns)}")


def _storable(columns: Sequence[Column]) -> None:
    for column in columns:
        if column.column_type not in READERS:
            raise Unsuitable(
                f"column {column.column_name!r} is a {column.column_type}, which DMS never writes to DynamoDB: "
                "name it in exclude-columns"
            )


def _maker(attribute: Attribute, columns: Sequence[str]) -> tuple[str, Make]:
    """Type and function of one attribute."""
    sub_type, place = attribute.attribute_sub_type, f"attribute {attribute.target_attribute_name!r}"
    try:
        if attribute.attribute_type == "scalar" and sub_type in SCALARS:
            return SCALARS[sub_type], scalar(SCALARS[sub_type], attribute.value, columns)
        if attribute.attribute_type == "document" and sub_type in DOCUMENTS:
            _outermost(attribute.value, DOCUMENTS[sub_type])
            return DOCUMENTS[sub_type], document(attribute.value, columns)
    except Unsuitable as error:
        raise Unsuitable(f"{place}: {error}") from error
    raise Unsuitable(
        f"{place}: {attribute.attribute_type} {sub_type} is not known; scalar has {', '.join(SCALARS)}, "
        f"document has {', '.join(DOCUMENTS)}"
    )


def _outermost(value: object, kind: str) -> None:
    if not isinstance(value, dict) or list(value) != [kind]:
        raise Unsuitable(f'{{"{kind}":…}} was expected outermost, found {value!r:.60}')
