"""Bugs of the CQL lane that would lose rows, or blame one for another's fault."""

from mutants.mutant import Mutant

FRAMES, LANE_FILE = "sinks/cassandra/lane/frames.py", "sinks/cassandra/lane/lane.py"
LINK = "sinks/cassandra/lane/link.py"
KEY_TEXTS, SEEN_BY_PROPERTY = "sinks/key_texts.py", "tests/property/test_key_texts.py"
REPLIES, BATCHES = "sinks/cassandra/lane/replies.py", "sinks/cassandra/batches.py"
SEEN_BY_FAKE, SEEN_BY_FRAMES = "tests/unit/test_cql_lane.py", "tests/unit/test_cql_frames.py"

LANE = (
    Mutant(
        "any reply of 13 bytes is a write that is done",
        "an error without words counts as stored",
        REPLIES,
        "    return same == _DONE * count",
        "    return same[::11] == _DONE[:1] * count",
        SEEN_BY_FRAMES,
    ),
    Mutant(
        "warnings are taken for the result",
        "a row that is stored counts as broken, for ever",
        FRAMES,
        "        if flags & WITH_WARNINGS:",
        "        if flags & WITH_WARNINGS and False:",
        f"{SEEN_BY_FRAMES} {SEEN_BY_FAKE}",
    ),
    Mutant(
        "what a lost connection did not answer counts as done",
        "rows are lost",
        LANE_FILE,
        "self._again(request, error, 0.0 if request.attempts == 0 else None)",
        "self._unfinished -= 1",
        SEEN_BY_FAKE,
    ),
    Mutant(
        "a batch is refused as a whole",
        "good rows become dead letters",
        LANE_FILE,
        "elif code == refusals.INVALID and len(request.mutations) > 1:",
        "elif code == refusals.INVALID and len(request.mutations) > 1000:",
        SEEN_BY_FAKE,
    ),
    Mutant(
        "the second row of a partition is forgotten",
        "rows are lost",
        BATCHES,
        "            known[0].append(place)\n",
        "",
        SEEN_BY_FRAMES,
    ),
    Mutant(
        "a stream is given out while its request waits for an answer",
        "a row is forgotten",
        LINK,
        "if held.isdisjoint(streams) and asked.isdisjoint(streams):",
        "if asked.isdisjoint(streams):",
        "tests/unit/test_cql_link.py",
    ),
    Mutant(
        "a text that stands twice is taken for the key's",
        "another attribute is lost",
        KEY_TEXTS,
        "or json.find(quoted, end) >= 0",
        "or False",
        SEEN_BY_PROPERTY,
    ),
    Mutant(
        "a sort key's text that stands twice is taken for the key's",
        "another attribute is lost",
        KEY_TEXTS,
        "or json.find(other_quoted, n) >= 0",
        "or False",
        SEEN_BY_PROPERTY,
    ),
    Mutant(
        "escapes are not thought of",
        "another attribute is lost",
        KEY_TEXTS,
        '_CLOSE = b"\\\\,{}"',
        '_CLOSE = b"\\0,{}"',
        SEEN_BY_PROPERTY,
    ),
    Mutant(
        "white space before a key is taken for a comma",
        "what is stored is no JSON",
        KEY_TEXTS,
        "or not (json[begin - 1] == _COMMA or begin == 1)",
        "or False",
        SEEN_BY_PROPERTY,
    ),
)
