"""One data file of an export -> pages of rows: memory is bounded by the page, not by the file."""

from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from hashlib import md5
from operator import itemgetter
from typing import Any

import msgspec
from botocore.exceptions import ClientError

from daemon.control import Part
from daemon.source.export import ExportUnusable, split_url
from daemon.source.keys import item_decoder, key_reader, keys_of
from daemon.source.packing import BLOCK_BYTES, Damaged, unpacked
from daemon.source.page import Page, Row
from sinks.attributes import UnreadableItem
from sinks.change import Item, KeySchema

# An item has 400 KB at most. Two images of it, and its smallest values at fourteen bytes each, stay below this.
LINE_BYTES_MAX = 16 * 1024 * 1024
LINE_HEAD, LINE_TAIL = b'{"Item":', b"}"
HEAD_BYTES = len(LINE_HEAD)
_HEAD_OF, _LAST_OF = itemgetter(slice(HEAD_BYTES)), itemgetter(slice(-1, None))
_ITEM_IN = itemgetter(slice(HEAD_BYTES, -1))


class _Line(msgspec.Struct, gc=False):
    Item: msgspec.Raw


_unwrap = msgspec.json.Decoder(_Line).decode


def verify(s3: Any, part: Part) -> str:
    """Read the whole file once and compare its MD5; its ETag, to read the very same object again.

    Before the first row is applied: a damaged row would get the version of the right one, and the right
    one could never replace it. Raises ExportUnusable, and ClientError or BotoCoreError when S3 is away.
    """
    bucket, key = split_url(part.name)
    answer = _get(s3, part, Bucket=bucket, Key=key)
    digest = md5(usedforsecurity=False)
    for block in iter(lambda: answer["Body"].read(BLOCK_BYTES), b""):
        digest.update(block)
    found = b64encode(digest.digest()).decode()
    if found != part.md5:
        raise ExportUnusable(
            f"{part.name} has MD5 {found}, the manifest says {part.md5}: the file was altered or cut short. "
            "Copy it again from the export; the other files are kept, and this one is tried again"
        )
    return str(answer["ETag"])


def blocks(
    s3: Any,
    part: Part,
    etag: str,
    read: Callable[[bytes], Row],
    read_all: Callable[[Sequence[bytes]], list[Row]] | None = None,
) -> Iterator[Page]:
    """The lines of a verified file behind the part's position, through `read`, in pages of about 256 KiB of JSON.

    A position is the number of lines before it: they are unpacked and counted, nothing else. `read` may raise
    UnreadableItem; `read_all` does the same for many lines, where that is quicker. Raises ExportUnusable with the
    number of the line, and ClientError or BotoCoreError when S3 is away.
    """
    bucket, key = split_url(part.name)
    answer = _get(s3, part, Bucket=bucket, Key=key, IfMatch=etag)
    number = int(part.position or 0)
    for lines in _lines(answer["Body"], part, number):
        rows = _rows(lines, number, part, read, read_all)
        number += len(lines)
        yield Page(rows, str(number), sum(map(len, lines)) + len(lines))


def _rows(
    lines: list[bytes],
    before: int,
    part: Part,
    read: Callable[[bytes], Row],
    read_all: Callable[[Sequence[bytes]], list[Row]] | None,
) -> list[Row]:
    """The rows; a line may be empty, and is none then."""
    if read_all is not None:
        with suppress(UnreadableItem):  # which line it is, or that it is only an empty one, is seen below
            return read_all(lines)
    rows = []
    for number, line in enumerate(lines, before + 1):
        try:
            if line:
                rows.append(read(line))
        except UnreadableItem as error:
            raise ExportUnusable(f"{part.name}, line {number}: {error}") from error
    return rows


def row_reader(keys: KeySchema) -> Callable[[bytes], Row]:
    """A function from a line `{"Item":{…}}` to a row; it raises UnreadableItem."""
    key_in = key_reader(keys)

    def read(line: bytes) -> Row:
        json = _item(line)
        return key_in(json), Item(json)

    return read


def rows_reader(keys: KeySchema) -> Callable[[Sequence[bytes]], list[Row]]:
    """As row_reader, for many lines at once: fewer calls between the decoder's C and the sink are a tenth of its cost.

    It raises UnreadableItem when any of them cannot be read.
    """
    decode, to_keys = item_decoder(keys), keys_of(keys)

    def read_all(lines: Sequence[bytes]) -> list[Row]:
        found = list(map(_ITEM_IN, lines)) if _as_aws_writes(lines) else list(map(_item, lines))
        try:
            return list(zip(to_keys(map(decode, found)), map(Item, found), strict=True))
        except msgspec.MsgspecError as error:
            raise UnreadableItem(str(error)) from error

    return read_all


def _as_aws_writes(lines: Sequence[bytes]) -> bool:
    """True when each is LINE_HEAD, something, LINE_TAIL. Asked of all at once, which is quicker than of each."""
    return set(map(_HEAD_OF, lines)) == {LINE_HEAD} and set(map(_LAST_OF, lines)) == {LINE_TAIL}


def _item(line: bytes) -> bytes:
    # As AWS writes it; a slice costs a twentieth of a decoder.
    if line[:HEAD_BYTES] == LINE_HEAD and line[-1:] == LINE_TAIL:
        return line[HEAD_BYTES:-1]
    return _unwrapped(line)


def _unwrapped(line: bytes) -> bytes:
    try:
        return bytes(_unwrap(line).Item)
    except msgspec.MsgspecError as error:
        raise UnreadableItem(f'not a line {{"Item":{{…}}}} but {line[:60]!r}: {error}') from error


def _get(s3: Any, part: Part, **request: Any) -> Any:
    try:
        return s3.get_object(**request)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
            raise ExportUnusable(
                f"{part.name} is missing although the manifest lists it: copy it again from the export; "
                "the other files are kept, and this one is tried again"
            ) from error
        if error.response["Error"]["Code"] in ("PreconditionFailed", "412"):
            raise ExportUnusable(f"{part.name} was replaced while it was being read: it is tried again") from error
        raise


def _lines(body: Any, part: Part, skip: int) -> Iterator[list[bytes]]:
    try:
        yield from _split(_behind(unpacked(body), skip))
    except Damaged as error:
        raise ExportUnusable(
            f"{part.name} cannot be unpacked: {error}. Copy it again from the export; the other files are kept"
        ) from error


def _behind(blocks: Iterable[bytes], lines: int) -> Iterator[bytes]:
    """What follows so many lines. Counting them costs a twentieth of splitting."""
    for block in blocks:
        ended = block.count(b"\n") if lines else 0
        if ended < lines:
            lines -= ended
            continue
        yield block.split(b"\n", lines)[-1] if lines else block
        lines = 0


def _split(blocks: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Whole lines, split on newline bytes only: str.splitlines() would split inside strings. Raises Damaged."""
    tail = b""
    for block in blocks:
        lines = block.split(b"\n")
        lines[0] = tail + lines[0]  # not to the block: that would copy all of it
        tail = lines.pop()
        if len(tail) > LINE_BYTES_MAX:
            raise Damaged(f"a line is longer than {LINE_BYTES_MAX} bytes, as no item's is")
        yield lines
    if tail:
        yield [tail]
