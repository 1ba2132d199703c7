"""Bugs in whose heartbeats count, in what is only likely, and in the sealed stream."""

from mutants.mutant import STREAM, Mutant

ZERO = (
    Mutant(
        "anybody's heartbeats count",
        "those of yesterday's move are still in the stream, and their rounds are higher",
        STREAM,
        '    if mark and item.get(MARK) != {"S": mark}:',
        "    if False:",
        "tests/unit/test_stream.py",
    ),
    Mutant(
        "what is likely is kept as proven",
        "a resync would leave out what was never applied",
        "daemon/quiet.py",
        "    return msgspec.structs.replace(known, probably_through=seen.through, proven_at=now)",
        "    return msgspec.structs.replace(known, applied_through=seen.through, probably_through=seen.through)",
        "tests/unit/test_quiet.py",
    ),
    Mutant(
        "a page with records does not end a quiet run",
        "quiet while the application writes",
        "daemon/empties.py",
        "            self._polls, self._since, self._until = 0, 0.0, 0.0\n",
        "",
        "tests/unit/test_quiet.py",
    ),
    Mutant(
        "the quiet of before the fence verifies it",
        "a writer that ignores the fence writes into no stream",
        "daemon/seal.py",
        "    held = found.through - max(found.since, state.began_at)",
        "    held = found.through - found.since",
        "tests/unit/test_seal.py",
    ),
    Mutant(
        "the fence is lifted before the new stream has begun",
        "what is written meanwhile is in neither stream",
        "daemon/seal.py",
        '    if new is None or new.status != "ENABLED" or not new.shards:',
        "    if new is None:",
        "tests/unit/test_seal.py",
    ),
    Mutant(
        "a rolled over shard needs keys of its own",
        "heartbeats in plenty, every four hours",
        "daemon/lag.py",
        '    hopes = {_of_ancestor(leaf, stream.shards, states) for leaf in orphans} - {"", *known}',
        "    hopes: set[str] = set()",
        "tests/property/test_coverage.py",
    ),
)
