"""Indexes of the source as materialized views: proposals, where CQL can say the same.

A view's primary key has every column of the table's, at most one more, and none of them null (CQL reference,
CREATE MATERIALIZED VIEW): a row without that column is not in the view, which is what DynamoDB calls a sparse index.
They are never made by moveout: a view costs a read and further writes for each row, so it belongs after the backfill.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sinks.cassandra.options import CassandraOptions
from sinks.cassandra.schema import qualified, quoted
from sinks.change import KeySchema
from sinks.provision import SchemaStep, SourceTable

NAME_CHARACTERS_MAX = 48
COST = (
    "make it after the backfill: a view multiplies what a write costs. Cassandra: materialized_views_enabled in "
    "cassandra.yaml, off by default and called experimental"
)


class Index(NamedTuple):
    """A global or local secondary index of the source, as DescribeTable tells it. `projected` None: everything."""

    name: str
    partition: str
    sort: str | None
    projected: tuple[str, ...] | None

    @property
    def parts(self) -> tuple[str, ...]:
        """Its key attributes."""
        return (self.partition,) if self.sort is None else (self.partition, self.sort)


def indexes(source: SourceTable) -> Iterator[Index]:
    """Those of the source."""
    for kind in ("LocalSecondaryIndexes", "GlobalSecondaryIndexes"):
        for told in source.table.get(kind) or ():
            parts = {part["KeyType"]: part["AttributeName"] for part in told["KeySchema"]}
            yield Index(told["IndexName"], parts["HASH"], parts.get("RANGE"), _projected(told.get("Projection", {})))


def _projected(projection: Mapping[str, Any]) -> tuple[str, ...] | None:
    if projection.get("ProjectionType", "ALL") == "ALL":
        return None
    return tuple(projection.get("NonKeyAttributes", ()))


def proposals(
    source: SourceTable, options: CassandraOptions, keys: KeySchema, typed: Mapping[str, str], present: Sequence[str]
) -> Iterator[SchemaStep]:
    """What is to be done by hand for each index; none for a view that is `present`. `typed`: attribute -> column."""
    for index in indexes(source):
        name = view_name(options.table, index.name)
        if name not in present:
            yield _proposal(index, name, options, keys, typed)


def _proposal(
    index: Index, name: str, options: CassandraOptions, keys: KeySchema, typed: Mapping[str, str]
) -> SchemaStep:
    untyped = [part for part in index.parts if part not in typed]
    added = [part for part in index.parts if part not in keys.names]
    if untyped:
        return _untyped(index, untyped, options)
    if len(added) > 1:
        return _too_many(index, added, options, typed)
    statement, why = _view(index, name, options, keys, typed)
    return SchemaStep(statement, f"index {index.name!r} of the source; {why}{COST}", by_hand=True)


def _untyped(index: Index, untyped: Sequence[str], options: CassandraOptions) -> SchemaStep:
    lacking = ", ".join(map(repr, untyped))
    why = (
        f"index {index.name!r} of the source has no view: {lacking} would lie in attrs, of which CQL sees nothing. "
        "With layout columns and a typed column for it, `moveout schema` says what can be done"
    )
    return SchemaStep(f"no statement for index {index.name} of {options.table}", why, by_hand=True)


def _too_many(index: Index, added: Sequence[str], options: CassandraOptions, typed: Mapping[str, str]) -> SchemaStep:
    first = typed[added[0]]
    statement = f"CREATE INDEX IF NOT EXISTS ON {qualified(options)} ({quoted(first)}) USING 'sai'"
    why = (
        f"index {index.name!r} of the source cannot be a view: {' and '.join(map(repr, added))} are both no key of the "
        "table, and a view's key may add one column. Instead: a table of your own that the application writes too; or, "
        "where few rows share a value, an index by storage (Cassandra 5; on ScyllaDB without USING), which has no order"
    )
    return SchemaStep(statement, why, by_hand=True)


def _view(
    index: Index, name: str, options: CassandraOptions, keys: KeySchema, typed: Mapping[str, str]
) -> tuple[str, str]:
    rest = [typed[part] for part in _ordered(keys) if part not in index.parts]
    partition, clustering = typed[index.partition], ([typed[index.sort]] if index.sort else []) + rest
    key = [partition, *clustering]
    shown, why = _shown(index, key, keys, typed)
    selected = ", ".join(map(quoted, shown)) if shown else "*"
    clustered = "".join(f", {quoted(column)}" for column in clustering)
    return (
        f"CREATE MATERIALIZED VIEW IF NOT EXISTS {quoted(options.keyspace)}.{quoted(name)} AS\n"  # noqa: S608
        f"  SELECT {selected} FROM {qualified(options)}\n"
        f"  WHERE {' AND '.join(f'{quoted(column)} IS NOT NULL' for column in key)}\n"
        f"  PRIMARY KEY (({quoted(partition)}){clustered})"
    ), why


def _shown(index: Index, key: Sequence[str], keys: KeySchema, typed: Mapping[str, str]) -> tuple[list[str], str]:
    """The columns to select, none for all of them, and what is to be said of it."""
    if index.projected is None:
        return [], ""
    untyped = [name for name in index.projected if name not in typed]
    if untyped:
        return [], f"with every column, because {', '.join(map(repr, untyped))} lie in attrs; "
    wanted = [typed[name] for name in (*_ordered(keys), *index.projected)]
    return list(dict.fromkeys([*key, *wanted])), ""


def _ordered(keys: KeySchema) -> list[str]:
    return [part.name for part in (keys.partition, keys.sort) if part is not None]


def view_name(table: str, index: str) -> str:
    """A name that CQL takes, another one for each index: letters, digits, `_`, 48 characters (Cassandra)."""
    wanted = f"{table}_{index}"
    plain = re.sub(r"\W", "_", wanted, flags=re.ASCII)
    if plain == wanted and len(plain) <= NAME_CHARACTERS_MAX:
        return plain
    mark = hashlib.sha256(wanted.encode()).hexdigest()[:8]
    return f"{plain[: NAME_CHARACTERS_MAX - len(mark) - 1]}_{mark}"
