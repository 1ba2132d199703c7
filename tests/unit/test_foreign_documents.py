import json
import tracemalloc
from pathlib import Path

import pytest

from daemon.source.foreign.damage import DamagedFile
from daemon.source.foreign.documents import items

GOLDEN = (Path(__file__).parent.parent / "fixtures" / "foreign" / "scan.json").read_bytes()


def read(document, size=64):
    blocks = (document[start : start + size] for start in range(0, len(document), size))
    return list(items(blocks))


@pytest.mark.parametrize("size", [1, 2, 7, 64, 100_000])
def test_the_items_of_a_document_are_found_wherever_its_blocks_end(size):
    found = read(GOLDEN, size)
    assert [json.loads(item) for _, item in found] == json.loads(GOLDEN)["Items"]


def test_an_item_is_told_by_the_line_on_which_it_begins():
    assert [line for line, _ in read(GOLDEN)] == [3, 11]


def test_a_document_without_line_breaks_is_read_too():
    compact = json.dumps(json.loads(GOLDEN), separators=(",", ":")).encode()
    assert [json.loads(item) for _, item in read(compact)] == json.loads(GOLDEN)["Items"]


def test_counts_before_the_items_are_read_too():
    assert len(read(b'{"Count":1,"ScannedCount":1,"Items":[{"id":{"S":"a"}}]}')) == 1


def test_a_list_of_items_without_a_document_is_read():
    assert [item for _, item in read(b'\xef\xbb\xbf[{"id":{"S":"a"}},\n{"id":{"S":"b"}}]')] == [
        b'{"id":{"S":"a"}}',
        b'{"id":{"S":"b"}}',
    ]


def test_pages_one_after_another_in_a_file_are_one_table():
    pages = b'{"Items":[{"a":{}}],"Count":1,"LastEvaluatedKey":{"id":{"S":"a"}}}\n{"Items":[{"b":{}}],"Count":1}\n'
    assert len(read(pages)) == 2


def test_an_empty_table_has_no_items():
    assert read(b'{"Items": [], "Count": 0, "ScannedCount": 0}') == []


def test_memory_is_bounded_by_an_item():
    def blocks():
        yield b'{"Items":['
        for n in range(2000):
            yield (b"," if n else b"") + b'{"id":{"S":"%d"},"pad":{"S":"%s"}}' % (n, b"x" * 1000)
        yield b'],"Count":2000}'

    tracemalloc.start()
    for _ in items(blocks()):
        pass
    largest = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert largest < 200_000


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (b'{"Items":[{"a":{}}],"Count":2}', "says Count 2, but holds 1 items"),
        (b'{"Items":[{"a":{}}],"Count":9,"NextToken":"e30="}', "has NextToken at its end"),
        (b'{"Items":[],"Count":0,"LastEvaluatedKey":{"a":{"S":"b"}}}', "has LastEvaluatedKey at its end"),
        (b'{"Items":[{"a":{}}],"Count":1,"ScannedCount":5}', "1 of 5 items passed a filter"),
        (GOLDEN[:200], "ends in the middle"),
        (GOLDEN[:-3], "ends in the middle"),
        (b'{"Items":[{"a":"', "ends in the middle"),
        (b'{"Items":[]} x', "nothing was expected behind the document, found b'x'"),
        (b'{"Items":[{} {}]}', "commas between them"),
        (b'{"Items":[{},7,{}]}', "found b',7,'"),
        (b'{"Items":[{},7]}', "found b',7'"),
        (b'{"Items":["a"]}', "an item was expected, found b'\"a\"'"),
        (b'{"Items":[[]]}', "an item was expected, found a list"),
        (b'{"Users":[{}]}', "no answer of `aws dynamodb scan`"),
        (b"}", "never opened"),
    ],
)
def test_a_document_that_is_damaged_or_not_the_whole_table_is_refused(document, told):
    with pytest.raises(DamagedFile, match=told):
        read(document)


def test_an_item_without_an_end_is_refused_before_memory_is_full():
    with pytest.raises(DamagedFile, match="no item is so large"):
        for _ in items(iter([b'{"Items":[{"a":"', *[b"x" * 1_000_000] * 9])):
            pass
