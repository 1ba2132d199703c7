"""Bugs of a DynamoDB target before, beside and after the move: cloned, without transactions, completed."""

from mutants.mutant import Mutant

CLONED, ALTERNATOR, COMPLETED = (
    "tests/unit/test_clone.py",
    "tests/property/test_alternator.py",
    "tests/unit/test_complete.py",
)
DYNAMODB_TARGET = (
    Mutant(
        "who makes an item appear does not look afterwards",
        "a deletion between look and put is lost",
        "sinks/dynamodb/alternator.py",
        "        remembered = yield _look(options, keys, change)\n    newest",
        "    newest",
        ALTERNATOR,
    ),
    Mutant(
        "an item is deleted before its deletion is remembered",
        "a put between the two brings it back",
        "sinks/dynamodb/alternator.py",
        '    yield "UpdateItem", remembered\n    yield _deleted(options, keys, change, change.version)',
        '    yield _deleted(options, keys, change, change.version)\n    yield "UpdateItem", remembered',
        ALTERNATOR,
    ),
    Mutant(
        "the deleted item's own version is the limit",
        "a put in the place of a resurrected item survives its deletion",
        "sinks/dynamodb/alternator.py",
        "yield _deleted(options, keys, change, newest)",
        "yield _deleted(options, keys, change, change.version)",
        ALTERNATOR,
    ),
    Mutant(
        "a table that was made a moment ago is taken for ready",
        "the first index, or the load, meets a table that does not exist",
        "sinks/dynamodb/clone.py",
        "table if made else None)",
        "None)",
        CLONED,
    ),
    Mutant(
        "the key of another region is copied",
        "CreateTable is refused, or the table depends on a key that its owner may take away",
        "sinks/dynamodb/table_request.py",
        "region != options.region or account",
        "account",
        CLONED,
    ),
    Mutant(
        "a difference is mended without being asked",
        "what a person has set on purpose is changed",
        "sinks/dynamodb/clone.py",
        "if not step.by_hand:",
        "if step.statement:",
        CLONED,
    ),
    Mutant(
        "the hidden attribute is taken off whatever stands there",
        "an item that the application has deleted comes back as its bare key",
        "sinks/dynamodb/complete.py",
        '        "ConditionExpression": "#v = :seen",\n',
        '        "ConditionExpression": "attribute_not_exists(#v) OR #v = :seen",\n',
        COMPLETED,
    ),
    Mutant(
        "a pass is one page of each segment",
        "most items keep the hidden attribute",
        "sinks/dynamodb/complete.py",
        'if "LastEvaluatedKey" not in page:',
        "if True:",
        COMPLETED,
    ),
    Mutant(
        "a foreign table is deleted",
        "a name in the configuration costs a table",
        "sinks/dynamodb/complete.py",
        "    if unlike is not None:",
        "    if unlike is not None and not table:",
        COMPLETED,
    ),
    Mutant(
        "an index is no limit",
        "the table is told to be fast enough, and an index of ten units throttles it",
        "daemon/warm.py",
        "min(_limits(table))",
        "next(_limits(table))",
        "tests/unit/test_warm.py",
    ),
)
