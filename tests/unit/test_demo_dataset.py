from collections import Counter
from decimal import Decimal

import msgspec
import pytest

from daemon.demo.dataset import PARTITION, SORT, item, items, key_of

EVERY_TYPE = {"S", "N", "B", "BOOL", "NULL", "M", "L", "SS", "NS", "BS"}
ITEM_BYTES_MAX = 400 * 1024


def size_bytes(item):
    """As AWS bills it, roughly: names and values."""
    return len(msgspec.json.encode(item))


def types_in(value):
    ((kind, raw),) = value.items()
    inner = raw.values() if kind == "M" else raw if kind == "L" else ()
    return {kind}.union(*map(types_in, inner))


def numbers_in(value):
    ((kind, raw),) = value.items()
    match kind:
        case "N":
            return [raw]
        case "NS":
            return raw
        case "M":
            return [number for member in raw.values() for number in numbers_in(member)]
        case "L":
            return [number for member in raw for number in numbers_in(member)]
    return []


def test_the_same_seed_gives_the_same_items():
    assert list(items(7, 300)) == list(items(7, 300))


def test_another_seed_gives_other_items():
    assert list(items(7, 300))[-100:] != list(items(8, 300))[-100:]


def test_every_item_has_a_key_of_its_own():
    keys = Counter((item[PARTITION]["S"], item[SORT]["S"]) for item in items(1, 20_000))
    assert max(keys.values()) == 1


@pytest.mark.parametrize("index", [0, 5, 17, 18, 500])
def test_the_key_is_known_without_making_the_item(index):
    made = item(3, index)
    assert key_of(3, index) == {PARTITION: made[PARTITION], SORT: made[SORT]}


def test_every_type_of_dynamodb_occurs_in_the_specimens_and_in_ordinary_items():
    made = list(items(1, 500))
    for some in (made[:18], made[18:]):
        assert set().union(*(types_in(value) for item in some for value in item.values())) == EVERY_TYPE


def test_numbers_are_spelled_in_plain_digits_as_dynamodb_returns_them():
    for number in (n for one in items(1, 2000) for value in one.values() for n in numbers_in(value)):
        exact = Decimal(number)
        assert "e" not in number.lower()
        assert number == format(exact, "f")
        assert "." not in number or not number.endswith("0")
        assert len(exact.as_tuple().digits) <= 126
        assert number != "-0"


def test_one_item_is_close_to_the_largest_that_dynamodb_takes():
    largest = max(items(1, 100), key=size_bytes)
    raw_bytes = len(largest["text"]["S"]) + len(largest["binary"]["B"]) * 3 // 4
    assert 370_000 < raw_bytes < ITEM_BYTES_MAX


def test_an_ordinary_item_has_400_to_900_bytes():
    sizes = sorted(map(size_bytes, items(1, 2000)))
    assert 400 < sizes[len(sizes) // 10] < sizes[len(sizes) * 9 // 10] < 900


def test_no_item_uses_the_prefix_of_the_heartbeats():
    assert not [item for item in items(1, 5000) if item[PARTITION]["S"].startswith("moveout#heartbeat#")]
