"""Large and odd input: memory is bounded by bytes, never by how much there is."""

import gzip
import hashlib
import json
import tracemalloc
from base64 import b64encode
from functools import partial
from types import SimpleNamespace

import pytest
from fakes import Checkpointer, Lease, MemoryControl, ObjectStore, no_letters

from daemon.apply import Ways
from daemon.backfill import load_part, load_share, loading, part_names
from daemon.control import Part, ShardState
from daemon.kcl.processor import SLICE_BYTES, Claimed, ShardProcessor
from daemon.source.files import BLOCK_BYTES
from daemon.source.pages import Sources, pages
from daemon.source.stream import record_reader
from sinks.attributes import decode_item, encode_item
from sinks.change import KeyAttribute, KeySchema

KEYS = KeySchema(KeyAttribute("id", "S"))
ITEM_BYTES = 400_000
MIB = 1 << 20


class Record:
    """As amazon_kclpy's: the bytes are made anew at each access."""

    def __init__(self, number, image):
        self.sequence_number = f"{number:021d}"
        self._number, self._image = number, image

    @property
    def binary_data(self):
        key = {"id": {"S": str(self._number)}}
        detail = {
            "ApproximateCreationDateTime": 1_700_000_000_000,
            "Keys": key,
            "SequenceNumber": self.sequence_number,
            "NewImage": {**key, **self._image},
        }
        return json.dumps({"eventName": "INSERT", "dynamodb": detail}).encode()


class Counting:
    """A sink that keeps nothing."""

    def __init__(self):
        self.rows = self.largest_batch = 0

    def apply(self, changes):
        self.rows += len(changes)
        self.largest_batch = max(self.largest_batch, sum(len(change.item.json) for change in changes))
        return ()


def shard(sink):
    made = ShardProcessor(
        claim=lambda *_: Claimed(ShardState(anchor=0), 0, lambda _, revision: revision + 1, version=0),
        open_sink=lambda: None,
        read=record_reader(KEYS),
        apply=sink.apply,
        keep=no_letters,
        checkpoint_seconds=0,
    )
    made.initialize(SimpleNamespace(shard_id="s", sequence_number="TRIM_HORIZON"))
    return made


def peak_bytes(act):
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_page_of_a_thousand_items_of_400_kb_is_applied_in_slices_of_bounded_bytes():
    sink, lease = Counting(), Lease()
    records = [Record(number, {"big": {"S": "x" * ITEM_BYTES}}) for number in range(1000)]
    page = SimpleNamespace(records=records, checkpointer=Checkpointer(lease), millis_behind_latest=None)
    processor = shard(sink)
    assert peak_bytes(lambda: processor.process_records(page)) < 12 * MIB
    assert sink.rows == 1000
    assert sink.largest_batch <= SLICE_BYTES + ITEM_BYTES
    assert int(lease.checkpoint) == 999


def test_a_file_of_items_of_400_kb_is_loaded_in_blocks_of_bounded_bytes():
    line = b'{"Item":{"id":{"S":"%d"},"big":{"S":"' + b"x" * ITEM_BYTES + b'"}}}\n'
    body = gzip.compress(b"".join(line.replace(b"%d", b"%d" % number) for number in range(300)))
    store, sink = ObjectStore(), Counting()
    store.put_object(Bucket="b", Key="k", Body=body)
    md5 = b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    ways = Ways(sink.apply, sink.apply, no_letters)
    part = Part("s3://b/k", md5, items=300, version=7)
    used = peak_bytes(lambda: load_part(partial(pages, Sources(store, KEYS)), part, ways, 1000, lambda _: None))
    assert used < 12 * MIB
    assert sink.rows == 300
    assert sink.largest_batch <= 2 * (BLOCK_BYTES + ITEM_BYTES)


def test_sixteen_files_of_the_largest_items_side_by_side_stay_below_64_mib():
    control, store, sink = MemoryControl(), ObjectStore(), Counting()
    line = b'{"Item":{"id":{"S":"%d"},"big":{"S":"' + b"x" * ITEM_BYTES + b'"}}}\n'
    body = gzip.compress(b"".join(line.replace(b"%d", b"%d" % number) for number in range(12)))
    md5 = b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    for number in range(16):
        store.put_object(Bucket="b", Key=f"{number}", Body=body)
    parts = part_names([Part(f"s3://b/{number}", md5, items=12, version=7) for number in range(16)], 1)
    for record, part in parts.items():
        control.put(record, part, 0)
    ways, read = Ways(sink.apply, sink.apply, no_letters), partial(pages, Sources(store, KEYS))
    used = peak_bytes(lambda: load_share(control, 1, 0, 1, lambda part: loading(read, part, ways, 1000), beside=16))
    assert used < 64 * MIB
    assert sink.rows == 16 * 12


def nested(levels):
    value = {"S": "deep"}
    for level in range(levels):
        value = {"M": {"next": value}} if level % 2 else {"L": [value, {"M": {}}]}
    return value


@pytest.mark.parametrize(
    "image",
    [
        {"deep": nested(32)},
        {f"attribute {number}": {"N": str(number)} for number in range(10_000)},
        {"many": {"L": [{"M": {}} for _ in range(10_000)]}},
    ],
    ids=["32-levels", "10000-attributes", "10000-empty-maps"],
)
def test_a_deep_or_wide_item_passes_and_means_the_same(image):
    seen = []

    class Keeping(Counting):
        def apply(self, changes):
            seen.extend(changes)
            return ()

    page = SimpleNamespace(records=[Record(1, image)], checkpointer=Checkpointer(Lease()), millis_behind_latest=None)
    shard(Keeping()).process_records(page)
    expected = json.dumps({"id": {"S": "1"}, **image}).encode()
    assert seen[0].item.attributes() == decode_item(expected)
    assert decode_item(encode_item(seen[0].item.attributes())) == decode_item(expected)
