"""The table in the target: its DDL, and whether the one that exists can take the move.

Layout `document`: typed key columns, `attrs` (all other attributes as DynamoDB's typed JSON) and `version`.
Layout `columns`: the same, and a typed column for each attribute that was chosen; `attrs` has the rest.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from sinks.cassandra.key_columns import KeyColumns
from sinks.cassandra.options import CassandraOptions
from sinks.cassandra.values import codec
from sinks.change import KeySchema
from sinks.sink import SinkMisconfigured


def quoted(name: str) -> str:
    """A CQL identifier that keeps its case and its special characters."""
    return '"' + name.replace('"', '""') + '"'


def key_columns(options: CassandraOptions, keys: KeySchema) -> dict[str, str]:
    """Column name -> CQL type of the key, partition key first. Raises SinkMisconfigured on a name collision."""
    own = options.columns.keys() & keys.names
    if own:
        raise SinkMisconfigured(f"target.columns names {', '.join(sorted(own))}, of the key: say it under target.keys")
    key = KeyColumns(options, keys)
    added = value_columns(options)
    for name, attribute in zip(key.names, (keys.partition, keys.sort), strict=False):
        if name in added and attribute is not None:
            raise SinkMisconfigured(
                f"the key attribute {attribute.name!r} has the name of another column ({', '.join(added)}): "
                f"set target.keys.{attribute.name}.column, target.attrs_column or target.version_column"
            )
    if len(set(key.names)) < len(key.names):
        raise SinkMisconfigured(f"both parts of the key would be the column {key.names[0]!r}: set target.keys")
    return dict(zip(key.names, key.types, strict=True))


def typed_columns(options: CassandraOptions) -> dict[str, str]:
    """Column name -> CQL type of the chosen attributes, in the order of the configuration."""
    return {typed.column or name: codec(typed.type, typed.form).name for name, typed in options.columns.items()}


def value_columns(options: CassandraOptions) -> dict[str, str]:
    """Column name -> CQL type of all that is no key."""
    return {**typed_columns(options), options.attrs_column: "text", options.version_column: "bigint"}


def columns(options: CassandraOptions, keys: KeySchema) -> dict[str, str]:
    """Column name -> CQL type of the whole table, as system_schema tells the types, the key first.

    Raises SinkMisconfigured when two would have one name, or a type does not suit a key.
    """
    return {**key_columns(options, keys), **value_columns(options)}


def attribute_columns(options: CassandraOptions, keys: KeySchema) -> dict[str, str]:
    """Attribute -> column of what CQL sees as a column of its own: the key, and the chosen attributes."""
    attributes = (part.name for part in (keys.partition, keys.sort) if part is not None)
    typed = {name: chosen.column or name for name, chosen in options.columns.items()}
    return {**dict(zip(attributes, key_columns(options, keys), strict=True)), **typed}


def qualified(options: CassandraOptions) -> str:
    """`"keyspace"."table"`."""
    return f"{quoted(options.keyspace)}.{quoted(options.table)}"


def create_statement(options: CassandraOptions, keys: KeySchema) -> str:
    """The DDL of the configured layout."""
    declared = ",\n  ".join(f"{quoted(name)} {kind}" for name, kind in columns(options, keys).items())
    partition, *sort = map(quoted, key_columns(options, keys))
    primary = f"PRIMARY KEY ({', '.join([f'({partition})', *sort])})"
    return f"CREATE TABLE IF NOT EXISTS {qualified(options)} (\n  {declared},\n  {primary}\n)"


def insert_statement(options: CassandraOptions, keys: KeySchema) -> str:
    """Values: key columns, typed columns, attrs, version, write timestamp in microseconds."""
    names = columns(options, keys)
    marks = ", ".join("?" for _ in names)
    into = ", ".join(map(quoted, names))
    return f"INSERT INTO {qualified(options)} ({into}) VALUES ({marks}) USING TIMESTAMP ?"  # noqa: S608


def delete_statement(options: CassandraOptions, keys: KeySchema) -> str:
    """Values: write timestamp in microseconds, key columns."""
    where = " AND ".join(f"{quoted(name)} = ?" for name in key_columns(options, keys))
    return f"DELETE FROM {qualified(options)} USING TIMESTAMP ? WHERE {where}"  # noqa: S608


def select_statement(options: CassandraOptions, keys: KeySchema) -> str:
    """Values: key columns. Answers attrs, version, typed columns."""
    wanted = ", ".join(map(quoted, (options.attrs_column, options.version_column, *typed_columns(options))))
    where = " AND ".join(f"{quoted(name)} = ?" for name in key_columns(options, keys))
    return f"SELECT {wanted} FROM {qualified(options)} WHERE {where}"  # noqa: S608


def versions_statement(options: CassandraOptions, keys: KeySchema) -> str:
    """Answers key columns, version, of every row."""
    wanted = ", ".join(map(quoted, (*key_columns(options, keys), options.version_column)))
    return f"SELECT {wanted} FROM {qualified(options)}"  # noqa: S608


class Difference(NamedTuple):
    """What is wrong with a table, and the statement that mends it, or else the advice to a person."""

    what: str
    statement: str = ""
    advice: str = ""

    def __str__(self) -> str:
        """For people."""
        return f"{self.what}: {self.statement or self.advice}"


def differences(table: Any, options: CassandraOptions, keys: KeySchema) -> Iterator[Difference]:
    """What keeps an existing table (the driver's TableMetadata) from taking the move; nothing when all is well."""
    key = list(key_columns(options, keys))
    wanted_partition, wanted_sort = key[:1], key[1:]
    found_partition = [column.name for column in table.partition_key]
    found_sort = [column.name for column in table.clustering_key]
    if (found_partition, found_sort) != (wanted_partition, wanted_sort):
        what = (
            f"its primary key is ({found_partition}, {found_sort}), the source's is ({wanted_partition}, {wanted_sort})"
        )
        yield Difference(what, advice="create a table of that key under another name")
        return
    for name, kind in columns(options, keys).items():
        column = table.columns.get(name)
        if column is None:
            statement = f"ALTER TABLE {qualified(options)} ADD {quoted(name)} {kind}"
            yield Difference(f"column {name!r} is missing", statement)
        elif column.cql_type != kind:
            yield Difference(f"column {name!r} is {column.cql_type}, not {kind}", advice=_mend(name, options))


def _mend(name: str, options: CassandraOptions) -> str:
    """CQL changes no column's type."""
    if name in typed_columns(options):
        return "set another `column` or the type that it has under target.columns, or create the table anew"
    return "create the table anew under another name"
