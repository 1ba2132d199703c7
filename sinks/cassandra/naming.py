"""Names of DynamoDB where CQL allows fewer.

DynamoDB: 3 to 255 of `a-z A-Z 0-9 _ - .` (developer guide, "Naming rules"). Cassandra: keyspaces and tables are 1 to
48 of `a-z A-Z 0-9 _` (SchemaConstants.NAME_LENGTH, PATTERN_WORD_CHARS). A column has no such limit once it is quoted.
"""

import hashlib
import re

NAME_LENGTH_MAX = 48
_MARK_LENGTH = 8


def table_name(source: str) -> str:
    """The CQL table for a DynamoDB table: what CQL does not allow becomes `_`; a long name ends in a mark of its own.

    Two tables may get one name (`orders.eu`, `orders-eu`): who moves both is refused and says `target.table`.
    """
    name = re.sub(r"[^A-Za-z0-9_]", "_", source)
    if len(name) <= NAME_LENGTH_MAX:
        return name
    mark = hashlib.sha256(source.encode()).hexdigest()[:_MARK_LENGTH]
    return f"{name[: NAME_LENGTH_MAX - _MARK_LENGTH - 1]}_{mark}"
