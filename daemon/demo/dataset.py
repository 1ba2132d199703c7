"""The items of the demo's table: the same ones for the same seed, in DynamoDB's typed JSON.

The first few are the hard cases of specimens.py; the rest are orders of 400-700 bytes of every type.
"""

import random
from collections.abc import Callable, Iterator

from daemon.demo.specimens import PARTITION, SORT, TRICKY_TEXT, Item, Value, binary, key, specimens

__all__ = ["PARTITION", "SORT", "Item", "Value", "item", "items", "key_of", "order"]

CUSTOMERS = 4999
STATES = ("placed", "paid", "packed", "shipped", "returned")
CITIES = ("Kraków", "São Paulo", "北京", "Reykjavík", "Oslo", "Nairobi", "Τρίκαλα")
NOTES = (
    "",
    "leave it at the door",
    "ring twice 🔔",
    "fragile: «verre»",
    "call first\nthen knock",
    TRICKY_TEXT,
)
TAGS = ("gift", "express", "b2b", "vip", "düster", "two words", "UPPER", "🦊")

_SPECIMENS = specimens()


def items(seed: int, count: int) -> Iterator[Item]:
    """The first `count` items of this seed, each with another key."""
    return (item(seed, index) for index in range(count))


def item(seed: int, index: int) -> Item:
    """One item, by its place."""
    if index < len(_SPECIMENS):
        return _SPECIMENS[index]
    return {**key_of(seed, index), **order(_chance(seed, index))}


def key_of(seed: int, index: int) -> Item:
    """The key of the item at this place; cheaper than the item."""
    if index < len(_SPECIMENS):
        return {name: _SPECIMENS[index][name] for name in (PARTITION, SORT)}
    return key(f"customer-{(index * 7919 + seed) % CUSTOMERS:05d}", f"{seed}-{index:09d}")


def order(chance: random.Random) -> Item:
    """The attributes of an ordinary order, without its key."""
    attributes: Item = {
        "status": {"S": chance.choice(STATES)},
        "total": {"N": _money(chance)},
        "paid": {"BOOL": _often(chance)},
        "note": {"S": chance.choice(NOTES)},
        "lines": {"L": [_line(chance) for _ in range(chance.randint(1, 2))]},
        "ship to": {"M": _address(chance)},
        "tags": {"SS": chance.sample(TAGS, chance.randint(1, 3))},
        "signature": {"B": binary(chance.randbytes(chance.randint(16, 64)))},
    }
    for name, make in _SOMETIMES.items():
        if _sometimes(chance):
            attributes[name] = make(chance)
    return attributes


_SOMETIMES: dict[str, Callable[[random.Random], Value]] = {
    "coupon": lambda chance: {"NULL": True} if _often(chance) else {"S": f"SAVE{chance.randint(5, 50)}"},
    "scores": lambda chance: {"NS": [str(n) for n in chance.sample(range(-50, 50), 3)]},
    "thumbs": lambda chance: {"BS": [binary(chance.randbytes(n)) for n in (4, 9)]},
    "ledger": lambda chance: {"N": str(chance.randint(-(10**38) + 1, 10**38 - 1)).rstrip("0") or "0"},
    "extras": lambda _: {"M": {}},
    "history": lambda _: {"L": []},
    'weird "name".x': lambda _: {"S": ""},
}


def _chance(seed: int, index: int) -> random.Random:
    return random.Random(seed * 1_000_003 + index)


def _often(chance: random.Random) -> bool:
    return chance.random() < 1 / 2


def _sometimes(chance: random.Random) -> bool:
    return chance.random() < 1 / 3


def _money(chance: random.Random) -> str:
    # Spelled as DynamoDB returns it: no trailing zero of a fraction.
    cents = chance.randint(-20_000, 900_000)
    return f"{cents / 100:.2f}".rstrip("0").rstrip(".")


def _line(chance: random.Random) -> Value:
    return {
        "M": {
            "sku": {"S": f"SKU-{chance.randint(0, 99999):05d}"},
            "quantity": {"N": str(chance.randint(1, 9))},
            "price": {"N": _money(chance)},
        }
    }


def _address(chance: random.Random) -> Item:
    return {
        "city": {"S": chance.choice(CITIES)},
        "street": {"S": f"{chance.randint(1, 300)} Linden Lane"},
        "geo": {
            "L": [
                {"N": f"-0.{chance.randint(1, 999_999_999) * 10 + 1}"},
                {"N": str(chance.randint(-180, 180))},
            ]
        },
    }
