"""Bugs in what a wide partition is told by, in files read side by side, and in the count of what TTL deleted."""

from mutants.mutant import PROCESSOR, STREAM, Mutant

PARTITIONS = (
    Mutant(
        "whatever a service has written counts as expired",
        "an operator sees deletions by TTL that are none",
        STREAM,
        '    if who is None or found.event != "REMOVE":',
        "    if who is None:",
        "tests/unit/test_stream.py",
    ),
    Mutant(
        "one casing of who deleted it is forgotten",
        "deletions by TTL pass for the application's",
        STREAM,
        "TTL_TYPE in (who.type, who.type_upper)",
        "who.type == TTL_TYPE",
        "tests/unit/test_stream.py",
    ),
    Mutant(
        "a shard forgets what expired in its earlier pages",
        "the count falls back at each page",
        PROCESSOR,
        "expired=state.expired + sum(event.expired for event in events)",
        "expired=sum(event.expired for event in events)",
        "tests/unit/test_ttl.py",
    ),
)
