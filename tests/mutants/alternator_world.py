"""Bugs in Alternator's way of remembering deletions that the running simulator sees."""

from mutants.mutant import Mutant

RUNNING = (
    Mutant(
        "what is remembered is not looked at",
        "a replayed put brings a deleted item back",
        "sinks/dynamodb/alternator.py",
        '    return int(found[options.version_attribute]["N"]) if found else -1',
        "    return -1",
        "tests/simulation/test_alternator.py tests/property/test_alternator.py",
    ),
)
