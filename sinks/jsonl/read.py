"""The newest state of each key, out of the files that the sink of JSON lines wrote.

    python -m sinks.jsonl.read /folder            the newest line of each key, deletions left out
    python -m sinks.jsonl.read /folder --all      every line, as it was written

Memory is bounded: what is larger than 64 MiB is first dealt into temporary files by key.
"""

import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, NamedTuple

import msgspec

from sinks.jsonl import bucket
from sinks.jsonl.line import Line

BLOCK_BYTES = 1024 * 1024
IN_MEMORY_BYTES_MAX = 64 * 1024 * 1024
# JSON lines of items shrink to a tenth or so.
GZIP_FACTOR = 10
BUCKETS_MAX = 256  # open files at one time
SUFFIXES = (".jsonl", ".jsonl.gz")

_decode = msgspec.json.Decoder(Line).decode


class LinesUnreadable(Exception):
    """A file of lines is damaged. The message names file and line, and what to do."""


class Stored(NamedTuple):
    """A file or object: its name, its size as stored, and how to open it."""

    name: str
    size_bytes: int
    open: Callable[[], IO[bytes]]


def files(folder: Path) -> list[Stored]:
    """The files of a folder, oldest first. Raises OSError."""
    found = sorted(path for path in folder.iterdir() if path.name.endswith(SUFFIXES))
    return [Stored(str(path), path.stat().st_size, partial(_file, path)) for path in found]


def _file(path: Path) -> IO[bytes]:
    return path.open("rb")


def objects(s3: Any, url: str) -> list[Stored]:
    """The objects under `s3://bucket/prefix`, oldest first. Raises ClientError, BotoCoreError."""
    name, prefix = bucket.split(url)
    found = [(key, size) for key, size in bucket.listed(s3, name, prefix) if key.endswith(SUFFIXES)]
    return [Stored(f"s3://{name}/{key}", size, partial(_body, s3, name, key)) for key, size in found]


def _body(s3: Any, name: str, key: str) -> IO[bytes]:
    body: IO[bytes] = s3.get_object(Bucket=name, Key=key)["Body"]
    return body


def lines(stored: Iterable[Stored]) -> Iterator[Line]:
    """Every line, as it was written: older changes, duplicates and deletions too. Raises LinesUnreadable.

    A last line that was cut short was never confirmed, for its file was left at that moment: it is left out.
    """
    for file in stored:
        yield from _lines_of(file)


def newest(stored: Iterable[Stored], in_memory_bytes: int = IN_MEMORY_BYTES_MAX) -> Iterator[Line]:
    """The line with the highest version of each key, deletions included; no order. Raises LinesUnreadable, OSError.

    Of lines with one version the first is kept: they say the same.
    """
    known = list(stored)
    size = sum(file.size_bytes * (GZIP_FACTOR if file.name.endswith(".gz") else 1) for file in known)
    count = min(-(-size // in_memory_bytes), BUCKETS_MAX)
    if count <= 1:
        yield from _newest(lines(known))
        return
    with TemporaryDirectory(prefix="moveout-jsonl-") as folder:
        for dealt in _dealt(lines(known), Path(folder), count):
            yield from _newest(lines(files(dealt)))


def _newest(of: Iterable[Line]) -> Iterable[Line]:
    latest: dict[bytes, Line] = {}
    for line in of:
        key = bytes(line.key)
        known = latest.get(key)
        if known is None or known.version < line.version:
            latest[key] = _copied(line)
    return latest.values()


def _copied(line: Line) -> Line:
    """Raw members keep the whole block alive that they were read from."""
    return Line(msgspec.Raw(bytes(line.key)), line.version, msgspec.Raw(bytes(line.item)))


def _dealt(of: Iterable[Line], folder: Path, count: int) -> list[Path]:
    """Folders with one file each; all lines of one key are in one of them."""
    dealt = [folder / str(number) for number in range(count)]
    with ExitStack() as opened:
        places = []
        for place in dealt:
            place.mkdir()
            places.append(opened.enter_context((place / "lines.jsonl").open("wb")))
        for line in of:
            places[zlib.crc32(line.key) % count].write(msgspec.json.encode(line) + b"\n")
    return dealt


def _lines_of(file: Stored) -> Iterator[Line]:
    for number, text in enumerate(_whole(file), 1):
        try:
            yield _decode(text)
        except msgspec.MsgspecError as error:
            raise LinesUnreadable(
                f"{file.name}, line {number} is no change but {text[:60]!r}: {error}. The file was altered: take it "
                "out of the folder, or write the lines again"
            ) from error


def _whole(file: Stored) -> Iterator[bytes]:
    """Lines that end with a newline; split on newline bytes only."""
    tail = b""
    for block in _blocks(file):
        *whole, tail = (tail + block).split(b"\n")
        yield from whole


def _blocks(file: Stored) -> Iterator[bytes]:
    with file.open() as stored:
        read = iter(lambda: stored.read(BLOCK_BYTES), b"")
        try:
            yield from _unpacked(read) if file.name.endswith(".gz") else read
        except zlib.error as error:
            raise LinesUnreadable(f"{file.name} cannot be unzipped: {error}. The file was altered") from error


def _unpacked(packed: Iterable[bytes]) -> Iterator[bytes]:
    """Member after member. One that was cut short gives what it has: a gzip file object would throw it away."""
    member = zlib.decompressobj(zlib.MAX_WBITS | 16)
    for block in packed:
        left = block
        while left:
            yield member.decompress(left, BLOCK_BYTES)
            left = member.unconsumed_tail
            if member.eof:
                left, member = member.unused_data, zlib.decompressobj(zlib.MAX_WBITS | 16)


def main(arguments: list[str]) -> int:
    """Write lines to stdout. Exit code 2 for a folder that cannot be read, 1 for a damaged file."""
    places = [argument for argument in arguments if not argument.startswith("-")]
    if len(places) != 1 or set(arguments) - {*places, "--all"}:
        sys.stderr.write("usage: python -m sinks.jsonl.read FOLDER [--all]\n")
        return 2
    try:
        stored = files(Path(places[0]))
        wanted = lines(stored) if "--all" in arguments else (line for line in newest(stored) if not line.deleted)
        sys.stdout.writelines(msgspec.json.encode(line).decode() + "\n" for line in wanted)
    except OSError as error:
        sys.stderr.write(f"{places[0]} cannot be read: {error.strerror}\n")
        return 2
    except LinesUnreadable as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
