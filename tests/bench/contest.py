"""Both readers of one file: this project's, through the code of a backfill worker, and what everybody writes."""

import gzip
import json
import statistics
import time
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from boto3.dynamodb.types import TypeDeserializer

from daemon.apply import Ways
from daemon.backfill import load_part
from daemon.control import Part
from daemon.source.pages import Sources, pages
from sinks.change import Change, KeyAttribute, KeySchema

KEYS = KeySchema(KeyAttribute("id", "S"), KeyAttribute("order", "S"))
BATCH_ROWS = 1000  # backfill.batch_rows

_deserialize = TypeDeserializer().deserialize


class Disk:
    """As much of boto3's S3 client as a reader asks for, over one file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get_object(self, **_: Any) -> dict[str, Any]:
        return {"Body": self._path.open("rb"), "ETag": "as it is"}


def loaded(path: Path, part: Part) -> list[Change]:
    """Every change of the file."""
    found: list[Change] = []
    _load(path, part, lambda changes: found.extend(changes) or ())
    return found


def ours(path: Path, part: Part) -> int:
    """The file, checked, read and handed on as changes; how many rows are accounted for."""
    return _load(path, part, lambda _: ()).rows_read


def _load(path: Path, part: Part, into: Callable[[Any], Any]) -> Part:
    sources = Sources(Disk(path), KEYS)
    ways = Ways(load=into, apply=into, keep=_refuse)
    return load_part(lambda begun: pages(sources, begun), part, ways, BATCH_ROWS, lambda _: None)


def _refuse(rejections: Any) -> None:
    raise AssertionError(f"refused: {rejections}")


def stock(path: Path) -> Iterator[dict[str, Any]]:
    """gzip, json and boto3's TypeDeserializer. It reads no checksum and no numbers of 39 plain digits."""
    with gzip.open(path) as file:
        for line in file:
            yield {name: _deserialize(_decoded(value)) for name, value in json.loads(line)["Item"].items()}


def _decoded(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """TypeDeserializer wants bytes where an export has base64, on the first level here."""
    return {"B": b64decode(value["B"])} if "B" in value else value


class Pairs(NamedTuple):
    """Seconds of one core, taken in turns."""

    ours: list[float]
    others: list[float]

    @property
    def ratio(self) -> float:
        """Median of the pairs' own ratios: a machine that slows down does so for both."""
        return statistics.median(other / own for own, other in zip(self.ours, self.others, strict=True))

    @property
    def range(self) -> tuple[float, float]:
        """The smallest and the largest ratio."""
        ratios = [other / own for own, other in zip(self.ours, self.others, strict=True)]
        return min(ratios), max(ratios)


def pairs(count: int, own: Callable[[], Any], other: Callable[[], Any]) -> Pairs:
    """Both, in turns, after one run of each that does not count."""
    own()
    other()
    taken = [(_seconds(own), _seconds(other)) for _ in range(count)]
    return Pairs([first for first, _ in taken], [second for _, second in taken])


def _seconds(run: Callable[[], Any]) -> float:
    begin = time.process_time()
    run()
    return time.process_time() - begin


def resumed(part: Part, rows: int) -> Part:
    """The part as a worker left it that died behind so many rows."""
    return msgspec.structs.replace(part, rows_read=rows, applied=rows, position=str(rows))
