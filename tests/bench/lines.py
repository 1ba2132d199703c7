"""Lines of an export, about 690 bytes each, the same ones for a seed: thirteen attributes, every type but B and BS.

No binary values and no number of more than 38 plain digits: boto3's TypeDeserializer, the other side of the
comparison, refuses both in an export's spelling.
"""

import gzip
import hashlib
import random
import uuid
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from daemon.control import Part

STATES = ("new", "paid", "packed", "sent", "returned")
WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron", "inlet", "jetty", "kelp", "larch")
GZIP_LEVEL = 6  # what gzip takes by itself


def lines(seed: int, count: int) -> Iterator[bytes]:
    """So many lines, each with its newline."""
    chance = random.Random(seed)
    for number in range(count):
        yield msgspec.json.encode({"Item": item(chance, number)}) + b"\n"


def item(chance: random.Random, number: int) -> dict[str, Any]:
    """One item in typed JSON; the key is `id` (S) and `order` (S)."""
    return {
        "id": {"S": str(uuid.UUID(int=chance.getrandbits(128)))},
        "order": {"S": f"order#{number:012d}"},
        "state": {"S": chance.choice(STATES)},
        "total": {"N": f"{chance.randrange(10**7)}.{chance.randrange(1, 10)}"},
        "points": {"N": str(chance.randrange(10**9))},
        "exact": {"N": str(chance.randrange(10**37, 10**38))},
        "gift": {"BOOL": chance.random() < 0.5},
        "note": {"NULL": True},
        "tags": {"SS": sorted(set(chance.choices(WORDS, k=4)))},
        "address": {"M": {"street": {"S": words(chance, 3)}, "house": {"N": str(chance.randrange(1, 200))}}},
        "lines": {"L": [_line(chance) for _ in range(3)]},
        "prices": {"M": {"net": {"N": str(chance.randrange(10**5))}, "tax": {"N": str(chance.randrange(10**4))}}},
        "comment": {"S": words(chance, 7)},
    }


def _line(chance: random.Random) -> dict[str, Any]:
    return {"M": {"sku": {"S": f"sku-{chance.randrange(10**6):06d}"}, "count": {"N": str(chance.randrange(1, 20))}}}


def words(chance: random.Random, count: int) -> str:
    """So many words."""
    return " ".join(chance.choices(WORDS, k=count))


def write(path: Path, seed: int, count: int) -> Part:
    """A data file of an export; the part that a manifest would make of it."""
    size_bytes = 0
    with gzip.open(path, "wb", compresslevel=GZIP_LEVEL) as file:
        for line in lines(seed, count):
            size_bytes += file.write(line)
    packed = path.read_bytes()
    md5 = b64encode(hashlib.md5(packed, usedforsecurity=False).digest()).decode()
    return Part(f"s3://bench/{path.name}", md5, count, version=10**15, size_bytes=len(packed))
