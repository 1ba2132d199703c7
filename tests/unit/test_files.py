import gzip
import hashlib
import io
from base64 import b64encode

import msgspec
import pytest
from botocore.exceptions import ReadTimeoutError, ResponseStreamingError
from fakes import ObjectStore

from daemon.control import Part
from daemon.source import files
from daemon.source.export import ExportUnusable
from daemon.source.files import row_reader
from daemon.source.pages import Sources, pages
from sinks.attributes import UnreadableItem
from sinks.change import Key, KeyAttribute, KeySchema

KEYS = KeySchema(KeyAttribute("id", "S"))
LINES = b'{"Item":{"id":{"S":"a"},"t":{"S":"\xe2\x80\xa8 is one line"}}}\n{"Item":{"id":{"S":"b"}}}\n'


def stored(body, md5=None, items=2):
    store = ObjectStore()
    store.put_object(Bucket="b", Key="k", Body=body)
    found = b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    return store, Part(name="s3://b/k", md5=md5 or found, items=items)


def all_rows(store, part):
    return [row for page in pages(Sources(store, KEYS), part) for row in page.rows]


def test_every_line_is_a_row_with_its_key_and_its_own_bytes():
    rows = all_rows(*stored(gzip.compress(LINES)))
    assert [key for key, _ in rows] == [Key("a"), Key("b")]
    assert rows[0][1].json == b'{"id":{"S":"a"},"t":{"S":"\xe2\x80\xa8 is one line"}}'


def test_a_last_line_without_a_newline_is_a_row_too():
    assert len(all_rows(*stored(gzip.compress(LINES.rstrip(b"\n"))))) == 2


def test_files_larger_than_a_block_are_read_whole():
    many = b"".join(b'{"Item":{"id":{"S":"%d"},"pad":{"S":"%s"}}}\n' % (n, b"x" * 500) for n in range(3000))
    rows = all_rows(*stored(gzip.compress(many)))
    assert [key.partition for key, _ in rows] == [str(n) for n in range(3000)]


def test_an_altered_file_is_refused_before_its_first_row():
    store, part = stored(gzip.compress(LINES), md5="AAAAAAAAAAAAAAAAAAAAAA==")
    with pytest.raises(ExportUnusable, match="altered or cut short"):
        files.verify(store, part)


def test_a_missing_file_is_named():
    store, part = stored(gzip.compress(LINES))
    store.objects.clear()
    with pytest.raises(ExportUnusable, match="s3://b/k is missing"):
        files.verify(store, part)


def test_a_file_that_is_replaced_after_it_was_checked_is_not_read():
    store, part = stored(gzip.compress(LINES))
    etag = files.verify(store, part)
    store.put_object(Bucket="b", Key="k", Body=gzip.compress(LINES * 2))
    with pytest.raises(ExportUnusable, match="replaced"):
        list(files.blocks(store, part, etag, files.row_reader(KEYS)))


@pytest.mark.parametrize("body", [b"plain text", gzip.compress(LINES * 2000)[:-20], b"\x1f\x8b" + b"\x00" * 40])
def test_a_file_that_cannot_be_unzipped_is_named(body):
    store, part = stored(body)
    with pytest.raises(ExportUnusable, match="s3://b/k"):
        all_rows(store, part)


class SilentFrom(io.BytesIO):
    """A body that does not come to its end: S3 falls silent, or the connection breaks."""

    def __init__(self, content, error):
        super().__init__(content)
        self._error = error

    def readinto(self, buffer):
        return super().readinto(buffer) or self._raise()

    def _raise(self):
        raise self._error


@pytest.mark.parametrize("error", [ReadTimeoutError(endpoint_url="x"), ResponseStreamingError(error="reset")])
def test_s3_that_falls_silent_in_the_middle_is_no_fault_of_the_file(error):
    store, part = stored(gzip.compress(LINES * 2000))
    etag = files.verify(store, part)
    half = SilentFrom(store.objects["b", "k"][:-20], error)
    store.get_object = lambda **_: {"Body": half, "ETag": etag}
    with pytest.raises(type(error)):
        list(files.blocks(store, part, etag, files.row_reader(KEYS)))


def test_a_line_that_is_no_item_is_named_with_its_number():
    store, part = stored(gzip.compress(LINES + b"garbage\n"))
    with pytest.raises(ExportUnusable, match="line 3"):
        all_rows(store, part)


def test_a_line_with_spaces_is_read_like_one_without():
    key, item = row_reader(KEYS)(b'{ "Item" : {"id": {"S": "a"}} }')
    assert (key, item.attributes()) == (Key("a"), {"id": "a"})


@pytest.mark.parametrize("line", [b'{"Item":{}}', b'{"Item":{"id":{"N":"1"}}}', b'{"Item":null}', b"{}"])
def test_an_item_without_its_key_is_refused(line):
    with pytest.raises(UnreadableItem):
        row_reader(KEYS)(line)


MANY = [b'{"Item":{"id":{"S":"%d"},"pad":{"S":"%s"}}}' % (n, b"x" * 300) for n in range(2000)]


@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n"])
@pytest.mark.parametrize("position", [1, 872, 873, 874, 1999, 2000])
def test_a_part_goes_on_behind_its_position_wherever_the_blocks_end(end, position):
    store, part = stored(gzip.compress(b"\n".join(MANY) + end))
    found = list(pages(Sources(store, KEYS), msgspec.structs.replace(part, position=str(position))))
    assert [key.partition for page in found for key, _ in page.rows] == [str(n) for n in range(position, 2000)]


def test_every_position_that_was_told_leads_to_the_rows_behind_it():
    store, part = stored(gzip.compress(b"\n\n".join(MANY)))
    all_pages = list(pages(Sources(store, KEYS), part))
    assert len(all_pages) > 2
    for number, page in enumerate(all_pages):
        left = list(pages(Sources(store, KEYS), msgspec.structs.replace(part, position=page.position)))
        assert [row for one in left for row in one.rows] == [r for one in all_pages[number + 1 :] for r in one.rows]


def test_a_line_that_no_item_can_have_is_refused_before_it_fills_the_memory():
    store, part = stored(gzip.compress(bytes(17 << 20)))
    with pytest.raises(ExportUnusable, match="s3://b/k cannot be unpacked: a line is longer than 16777216 bytes"):
        all_rows(store, part)


def test_an_empty_line_is_no_row_and_counts_as_a_line():
    store, part = stored(gzip.compress(b"\n" + LINES + b"\ngarbage\n"))
    with pytest.raises(ExportUnusable, match="line 5"):
        all_rows(store, part)


@pytest.mark.parametrize(
    "odd", [b'{"Itex":{"id":{"S":"c"}}}', b'{"Item":{"id":{"S":"c"}}]', b'{"Item":{"id":{"S":"c"}}x']
)
def test_a_line_that_only_looks_like_an_item_among_many_that_are_is_refused(odd):
    good = b'{"Item":{"id":{"S":"a"}}}'
    with pytest.raises(UnreadableItem):
        files.rows_reader(KEYS)([good, odd, good])


def test_spaces_in_one_line_do_not_change_the_rows_of_the_others():
    lines = [b'{"Item":{"id":{"S":"a"}}}', b'{ "Item" : {"id":{"S":"b"}} }']
    rows = files.rows_reader(KEYS)(lines)
    assert [(key.partition, item.json) for key, item in rows] == [
        ("a", b'{"id":{"S":"a"}}'),
        ("b", b'{"id":{"S":"b"}}'),
    ]
