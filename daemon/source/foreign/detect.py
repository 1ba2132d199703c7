"""What a file is, told by its first bytes."""

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec

from daemon.source.foreign import documents
from daemon.source.foreign.damage import DamagedFile
from daemon.source.foreign.lines import BYTE_ORDER_MARK, LINE_BYTES_MAX
from daemon.source.foreign.typed import TYPES, any_case
from daemon.source.foreign.unpacked import unpacked

HEAD_BYTES = 128 * 1024
# An item's attribute is always an object with its type: none of these can be the begin of an item.
_SCAN = re.compile(
    rb'\s*(\[|\{\s*("Items"\s*:\s*\[|"(Count|ScannedCount)"\s*:\s*\d|"ConsumedCapacity"\s*:\s*null|"NextToken"\s*:\s*"))'
)


class Head(NamedTuple):
    """The begin of a file: unpacked, and how many bytes as stored that took."""

    plain: bytes
    stored_bytes: int
    whole: bool  # there is no more


class _Counted:
    """Counts what is read."""

    def __init__(self, body: Any) -> None:
        self._body = body
        self.count = 0

    def read(self, size: int) -> bytes:
        """Some bytes."""
        block: bytes = self._body.read(size)
        self.count += len(block)
        return block


def head_of(body: Any) -> Head:
    """At least the first line, for an item may be long. Raises DamagedFile, and what `body.read` raises."""
    counted, plain = _Counted(body), bytearray()
    blocks = unpacked(counted)
    for block in blocks:
        plain += block
        if len(plain) >= LINE_BYTES_MAX or (len(plain) >= HEAD_BYTES and b"\n" in plain):
            return Head(bytes(plain).removeprefix(BYTE_ORDER_MARK), counted.count, whole=False)
    return Head(bytes(plain).removeprefix(BYTE_ORDER_MARK), counted.count, whole=True)


def detected(name: str, head: Head) -> str:
    """emr, scan-json, items or csv. Raises DamagedFile, which says what was found instead."""
    plain = head.plain
    if plain.startswith(b"SEQ") and plain[3:4] < b"\x20":
        raise DamagedFile("is a Hadoop sequence file, which is not read here: export the table as text")
    if plain.startswith((b"PAR1", b"Obj\x01", b"ORC")):
        raise DamagedFile(
            f"begins with {plain[:4]!r}, a columnar or Avro file: only text is read here, see files.format"
        )
    if _SCAN.match(plain):
        return "scan-json"
    line = plain.lstrip().split(b"\n", 1)[0]
    if not line.startswith(b"{"):
        return _without_braces(name, line)
    return _of_item(line)


def _without_braces(name: str, line: bytes) -> str:
    if b"\x03" in line:
        return "emr"
    if b"\x01" in line:
        raise DamagedFile(
            "has columns between \\x01, as Hive writes them with a column mapping: they have no types. Export the "
            "table without a column mapping"
        )
    if re.search(r"\.csv(\.[a-z0-9]+)?$", name, re.IGNORECASE):
        return "csv"
    raise DamagedFile(f"begins with {line[:40]!r}: no known format; set backfill.files.format, or take the file away")


def _of_item(line: bytes) -> str:
    try:
        members = msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DamagedFile(
            f"line 1 begins like an item and is no JSON ({error}): one item a line was expected"
        ) from error
    inner = members.get("Item")
    if len(members) == 1 and isinstance(inner, dict) and all(isinstance(value, dict) for value in inner.values()):
        members = inner
    kinds = {kind for value in members.values() if isinstance(value, dict) for kind in value}
    if kinds and kinds <= TYPES:
        return "items"
    if kinds and all(any_case(kind) for kind in kinds):
        return "emr"
    raise DamagedFile(
        f"line 1 is JSON without DynamoDB's types, {line[:60]!r}: "
        'an item was expected, {"id":{"S":"x"}} or {"id":{"s":"x"}}'
    )


def items_in(kind: str, head: Head, size_bytes: int) -> int:
    """About how many items a file of so many bytes holds, by its begin: for people, never a promise."""
    if kind == "scan-json":
        count = sum(1 for _ in _until_damaged(head.plain))
    else:
        count = head.plain.count(b"\n") + (not head.plain.endswith(b"\n"))
    return count if head.whole else round(count * size_bytes / max(head.stored_bytes, 1))


def _until_damaged(plain: bytes) -> Iterator[object]:
    with suppress(DamagedFile):
        yield from documents.items(iter([plain]))
