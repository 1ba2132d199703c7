"""The table in the target: its DDL, and whether the one that exists can take the move.

Layout `document`: typed key columns, `attrs` (all other attributes as DynamoDB's typed JSON) and `version`.
A put is one INSERT of every column at one timestamp, so rows never mix and no tombstone is written.
"""

from collections.abc import Iterator
from typing import Any

from sinks.cassandra.options import CassandraOptions
from sinks.change import KeySchema
from sinks.sink import SinkMisconfigured

# N as decimal: exact, and ordered by value as a clustering column. The keys are canonical, because CQL
# tells 1 from 1.0 in a partition key (facts: `decimal` compares by its bytes there).
CQL_TYPES = {"S": "text", "N": "decimal", "B": "blob"}
COLUMNS = {"attrs": "text", "version": "bigint"}


def quoted(name: str) -> str:
    """A CQL identifier that keeps its case and its special characters."""
    return '"' + name.replace('"', '""') + '"'


def key_columns(keys: KeySchema) -> dict[str, str]:
    """Column name -> CQL type of the key, partition key first. Raises SinkMisconfigured on a name collision."""
    parts = [keys.partition] + ([keys.sort] if keys.sort else [])
    for part in parts:
        if part.name in COLUMNS:
            raise SinkMisconfigured(
                f"the key attribute {part.name!r} has the name of a column that moveout adds "
                f"({', '.join(COLUMNS)}): such a table cannot be moved to CQL yet"
            )
    return {part.name: CQL_TYPES[part.type] for part in parts}


def qualified(options: CassandraOptions) -> str:
    """`"keyspace"."table"`."""
    return f"{quoted(options.keyspace)}.{quoted(options.table)}"


def create_statement(options: CassandraOptions, keys: KeySchema) -> str:
    """The DDL of layout `document`."""
    columns = {**key_columns(keys), **COLUMNS}
    declared = ",\n  ".join(f"{quoted(name)} {kind}" for name, kind in columns.items())
    sort = f", {quoted(keys.sort.name)}" if keys.sort else ""
    primary = f"PRIMARY KEY (({quoted(keys.partition.name)}){sort})"
    return f"CREATE TABLE IF NOT EXISTS {qualified(options)} (\n  {declared},\n  {primary}\n)"


def insert_statement(options: CassandraOptions, keys: KeySchema) -> str:
    """Values: key columns, attrs, version, write timestamp in microseconds."""
    names = [*key_columns(keys), *COLUMNS]
    marks = ", ".join("?" for _ in names)
    columns = ", ".join(map(quoted, names))
    return f"INSERT INTO {qualified(options)} ({columns}) VALUES ({marks}) USING TIMESTAMP ?"  # noqa: S608


def delete_statement(options: CassandraOptions, keys: KeySchema) -> str:
    """Values: write timestamp in microseconds, key columns."""
    where = " AND ".join(f"{quoted(name)} = ?" for name in key_columns(keys))
    return f"DELETE FROM {qualified(options)} USING TIMESTAMP ? WHERE {where}"  # noqa: S608


def select_statement(options: CassandraOptions, keys: KeySchema) -> str:
    """Values: key columns. Answers attrs, version."""
    where = " AND ".join(f"{quoted(name)} = ?" for name in key_columns(keys))
    return f"SELECT attrs, version FROM {qualified(options)} WHERE {where}"  # noqa: S608


def versions_statement(options: CassandraOptions, keys: KeySchema) -> str:
    """Answers key columns, version, of every row."""
    columns = ", ".join(map(quoted, key_columns(keys)))
    return f"SELECT {columns}, version FROM {qualified(options)}"  # noqa: S608


def differences(table: Any, options: CassandraOptions, keys: KeySchema) -> Iterator[str]:
    """What keeps an existing table (the driver's TableMetadata) from taking the move; nothing when all is well."""
    wanted_partition = [keys.partition.name]
    wanted_sort = [keys.sort.name] if keys.sort else []
    found_partition = [column.name for column in table.partition_key]
    found_sort = [column.name for column in table.clustering_key]
    if (found_partition, found_sort) != (wanted_partition, wanted_sort):
        yield (
            f"its primary key is ({found_partition}, {found_sort}), the source's is "
            f"({wanted_partition}, {wanted_sort}): create a table of that key under another name"
        )
        return
    for name, kind in {**key_columns(keys), **COLUMNS}.items():
        column = table.columns.get(name)
        if column is None:
            yield f"column {name!r} is missing: ALTER TABLE {qualified(options)} ADD {quoted(name)} {kind}"
        elif column.cql_type != kind:
            yield f"column {name!r} is {column.cql_type}, not {kind}: create the table anew under another name"
