"""The hard cases: one item per trap that DynamoDB's types lay for whoever moves them."""

from base64 import b64encode
from typing import Any

Value = dict[str, Any]
Item = dict[str, Value]

PARTITION, SORT = "customer", "order"
BIG_TEXT_BYTES = 200_000
BIG_BINARY_BYTES = 180_000
NESTING_MAX = 30  # DynamoDB takes 32 levels, the item's own included
# The characters that break line splitting, normalising and quoting. NFC and NFD of one letter differ.
TRICKY_TEXT = 'line\u2028para\u2029nel\u0085tab\tquote"back\\slash é e\u0301 🦊 👨‍👩‍👧 \x00\x1f\x7f עברית ﷽ \uffff'
ALL_BYTES = bytes(range(256))


def binary(raw: bytes) -> str:
    """Bytes as DynamoDB's JSON carries them."""
    return b64encode(raw).decode()


def numbers() -> dict[str, str]:
    """Numbers at the edges of what DynamoDB holds, spelled in plain digits as it returns them."""
    digits = "12345678901234567890123456789012345678"
    return {
        "digits38": digits,
        "negative38": f"-{digits}",
        "fraction38": f"0.{digits}",
        "money": "-19.99",
        "zero": "0",
        "largest": "9" * 38 + "0" * 88,
        "smallest": "-" + "9" * 38 + "0" * 88,
        "e125": "1" + "0" * 125,
        "tiny": "0." + "0" * 129 + "1",
        "tiny_negative": "-0." + "0" * 129 + "1",
        "beyond_double": "9007199254740993",
        "tenth": "0.1",
    }


def specimens() -> list[Item]:
    """All of them, always the same."""
    bodies: dict[str, Item] = {
        "numbers": {name: {"N": number} for name, number in numbers().items()},
        "empties": _empties(),
        "binary": {"all": {"B": binary(ALL_BYTES)}, "each": {"BS": [binary(bytes([n])) for n in range(256)]}},
        "text": {"tricky": {"S": TRICKY_TEXT}, "pair": {"SS": ["é", "e\u0301", TRICKY_TEXT]}},
        "names": _names(),
        "sets": _sets(),
        "nested": {"deep": _nested(NESTING_MAX)},
        "scalars": _scalars(),
        "lookalikes": _lookalikes(),
        "key-only": {},
        "big": _big(),
    }
    placed = [{**key("specimen", f"specimen-{name}"), **body} for name, body in bodies.items()]
    return placed + [{**odd, "status": {"S": "odd key"}} for odd in _odd_keys()]


def key(partition: str, sort: str) -> Item:
    """The two key attributes."""
    return {PARTITION: {"S": partition}, SORT: {"S": sort}}


def _empties() -> Item:
    return {
        "text": {"S": ""},
        "binary": {"B": ""},
        "list": {"L": []},
        "map": {"M": {}},
        "map_of_empties": {"M": {"m": {"M": {}}, "l": {"L": []}, "s": {"S": ""}, "b": {"B": ""}}},
        "list_of_empties": {"L": [{"M": {}}, {"L": []}, {"S": ""}, {"B": ""}, {"NULL": True}]},
    }


def _names() -> Item:
    names = [
        'double"quote', "single'quote", "two words", "dotted.path", "list[0]", "SELECT", "size", "Item",
        "NULL", "attrs", "version", "ünï☃", "🦊", "e\u0301", "é", "a:b", "#hash", "back\\slash", "new\nline",
        " ", "x" * 255,
    ]  # fmt: skip
    return {name: {"S": f"the attribute {name[:20]}"} for name in names}


def _sets() -> Item:
    values = list(numbers().values())
    return {
        "numbers": {"NS": values},
        "words": {"SS": ["", " ", "a", "A", "ä", "zebra"]},
        "blobs": {"BS": [binary(b""), binary(b"\x00"), binary(b"\x00\x00"), binary(ALL_BYTES)]},
        "single": {"NS": ["-1"]},
    }


def _nested(levels: int) -> Value:
    value: Value = {"N": "1"}
    for level in range(levels):
        value = {"M": {"down": value}} if level % 2 else {"L": [value, {"S": str(level)}]}
    return value


def _scalars() -> Item:
    return {
        "yes": {"BOOL": True},
        "no": {"BOOL": False},
        "nothing": {"NULL": True},
        "mixed": {"L": [{"BOOL": False}, {"NULL": True}, {"N": "0"}, {"S": "0"}, {"S": "false"}]},
        "inside": {"M": {"nothing": {"NULL": True}, "no": {"BOOL": False}}},
    }


def _lookalikes() -> Item:
    """Text that looks like JSON, names that look like types."""
    return {
        "S": {"M": {"S": {"M": {"N": {"S": "N"}}}}},
        "M": {"M": {"L": {"L": [{"M": {"M": {"M": {}}}}]}}},
        "json": {"S": '{"S": {"N": "1"}}, {}'},
        "number": {"S": "1.0"},
        "base64": {"S": binary(ALL_BYTES)},
        "braces": {"S": "{}"},
    }


def _big() -> Item:
    raw = ALL_BYTES * (BIG_BINARY_BYTES // len(ALL_BYTES))
    return {"text": {"S": "0123456789" * (BIG_TEXT_BYTES // 10)}, "binary": {"B": binary(raw)}}


def _odd_keys() -> list[Item]:
    return [
        key("o\"quote'd", "semi;colon,comma"),
        key("ünï☃ 🦊", TRICKY_TEXT),
        key("é", "nfc"),
        key("e\u0301", "nfd"),
        key(" ", " "),
        key("moveout#heartbeat", "almost reserved"),  # the reserved prefix ends in one more `#`
        key("k" * 2048, "s" * 1024),  # the longest that DynamoDB takes
    ]
