"""Layouts, types and times to live of the CQL sink."""

from mutants.mutant import Mutant

COLUMNS, VALUES = "sinks/cassandra/columns.py", "sinks/cassandra/values.py"
TTL, KEYS = "sinks/cassandra/ttl.py", "sinks/cassandra/key_columns.py"
BY_VALUE, BY_TTL = "tests/unit/test_cql_values.py", "tests/unit/test_cql_ttl.py"

CQL_LAYOUTS = (
    Mutant(
        "a put of columns without its row deletion",
        "what the item no longer has stays",
        COLUMNS,
        "(before, step(self.INSERT,",
        "(*(), step(self.INSERT,",
    ),
    Mutant(
        "a row deletion at the time of its put",
        "the dead one wins: the row is gone",
        COLUMNS,
        "bigint(change.version - 1)",
        "bigint(change.version)",
    ),
    Mutant(
        "an absent attribute is null",
        "a tombstone per column and row",
        COLUMNS,
        "        if raw is None:\n            return UNSET",
        "        if raw is None:\n            return None",
        BY_VALUE,
    ),
    Mutant(
        "NULL is as good as absent",
        "the item that is read back lacks it",
        COLUMNS,
        "        if value is None:\n",
        "        if value is None and rest.pop(column.attribute):\n",
        BY_VALUE,
    ),
    Mutant(
        "a number becomes the nearest double",
        "digits are lost without a word",
        VALUES,
        "    if _of_double(found) != number:",
        "    if False:",
        BY_VALUE,
    ),
    Mutant(
        "a UUID in capitals is a UUID",
        "it is read back in another spelling",
        VALUES,
        "    if str(found) != text:",
        "    if False:",
        BY_VALUE,
    ),
    Mutant(
        "a time is a time in any spelling",
        "it is read back in another one",
        VALUES,
        "        if not exact:",
        "        if False:",
        BY_VALUE,
    ),
    Mutant(
        "a sort key may lose its order",
        "a query by range answers something else",
        KEYS,
        "    if is_sort:\n",
        "    if False:\n",
        "tests/unit/test_cql_options.py",
    ),
    Mutant(
        "what expires now gets the TTL 0",
        "which means for ever",
        TTL,
        "    return left or -1",
        "    return left",
        BY_TTL,
    ),
    Mutant(
        "an expired item is written without a TTL",
        "it is back, and for ever",
        TTL,
        "        if left < 0:\n",
        "        left = max(left, 0)\n        if left < 0:\n",
        BY_TTL,
    ),
    Mutant(
        "an expiry after 2038 is bound",
        "a node refuses the row",
        TTL,
        " or expires > EXPIRES_MAX",
        "",
        BY_TTL,
    ),
    Mutant(
        "DynamoDB's five years are not heeded",
        "what it keeps for ever is deleted",
        TTL,
        "left < -FORGOTTEN_SECONDS or ",
        "",
        BY_TTL,
    ),
)
