"""Whatever is written, in whatever order and by however many, a reader gets the newest state of each key."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from sinks.attributes import encode_item
from sinks.change import Change, Item, Key, KeyAttribute, KeySchema
from sinks.jsonl import read
from sinks.jsonl.line import encoded
from sinks.jsonl.options import JsonlOptions
from sinks.jsonl.sink import JsonlSink
from sinks.memory import MemorySink

KEYS = KeySchema(KeyAttribute("id", "S"), KeyAttribute("at", "B"))
keys = st.builds(Key, st.text(st.characters(exclude_categories=("Cs",)), max_size=3), st.binary(max_size=1))


@st.composite
def changes(draw):
    # One version says one thing: so it is with every version that is dealt.
    key, version = draw(keys), draw(st.integers(1, 20))
    if (version + len(key.partition)) % 3 == 0:
        return Change(key, version, None)
    attributes = {"id": key.partition, "at": key.sort, "text": f"line\n{version}\u2028"}
    return Change(key, version, Item(encode_item(attributes)))


batches = st.lists(st.lists(changes(), max_size=8), max_size=8)


@settings(deadline=None)
@given(st.lists(batches, min_size=1, max_size=3), st.booleans(), st.sampled_from([1, 500, 10**9]))
def test_reading_gives_the_newest_state_of_each_key(writers, packed, in_memory_bytes):
    expected = MemorySink()
    with tempfile.TemporaryDirectory() as folder:
        for of_one in writers:
            options = JsonlOptions(kind="jsonl", to=folder, gzip=packed, file_bytes_max=1024)
            sink = JsonlSink(options, KEYS)
            sink.open()
            for batch in of_one:
                assert not sink.apply(batch)
                expected.apply(batch)
            sink.close()
        found = [read_back(line) for line in read.newest(read.files(Path(folder)), in_memory_bytes)]
    assert sorted(found) == sorted(encoded(KEYS, change) for change in expected.changes.values())


def read_back(line):
    return b'{"key":%b,"version":%d,"item":%b}\n' % (bytes(line.key), line.version, bytes(line.item))
