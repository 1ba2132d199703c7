"""One line of an ION export -> the line that DYNAMODB_JSON would have had, so that one reader serves both formats.

    $ion_1_0 {Item:{id:"x",n:6d2,s:$dynamodb_SS::["a"]}}
    {"Item":{"id":{"S":"x"},"n":{"N":"600"},"s":{"SS":["a"]}}}

Rules: AWS developer guide "DynamoDB table export output format"; an incremental export wraps each line in `Record`. Of
NULL the guide says nothing: an Ion null of any type is one. Numbers get their plain form: `6d2` is the stream's "600",
and another spelling would be another row where a number is a partition key (see sinks.attributes.canonical).

A raw newline can stand in no Ion string but a '''long''' one, which amazon.ion's own writer and AWS's never write; a
line that was cut there is refused, never taken for something else.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import cache, partial
from io import BytesIO
from typing import Any

import msgspec

from daemon.source.page import Row
from sinks.attributes import UnreadableItem, plain

SET = "$dynamodb_"
# The powers of ten that DynamoDB's numbers lie between. `1d99999` is a short line and a long number.
SMALLEST, LARGEST = -130, 125
RECORD = "Record"
# Of no use here, and as large as the item.
NOT_READ = frozenset({"OldImage"})

Typed = dict[str, Any]


def ion_reader(read: Callable[[bytes], Row]) -> Callable[[bytes], Row]:
    """The reader of ION lines that a reader of DYNAMODB_JSON lines makes; both raise UnreadableItem."""
    return lambda line: read(json_line(line))


def json_line(line: bytes) -> bytes:
    """The line in DYNAMODB_JSON, without OldImage. Raises UnreadableItem."""
    found = _loaded(line)
    if isinstance(found, Mapping) and set(found) == {RECORD}:
        found = found[RECORD]
    if not isinstance(found, Mapping):
        raise UnreadableItem(f"a line is one struct, {{Item:…}} or {{Record:…}}, found {_shown(line)}")
    return msgspec.json.encode({name: _document(value) for name, value in found.items() if name not in NOT_READ})


def _loaded(line: bytes) -> Any:
    # Imported here: the JSON path of a worker has no use for it.
    from amazon.ion import simpleion
    from amazon.ion.exceptions import IonException

    model = simpleion.IonPyValueModel
    try:
        line.decode()  # amazon.ion without its C extension takes any bytes for text
        values = simpleion.load(
            BytesIO(line),
            single_value=False,
            value_model=model.MAY_BE_BARE | model.STRUCT_AS_STD_DICT,
            # It refuses strings longer than 4 KiB unless it is told how long they may be.
            text_buffer_size_limit=max(len(line), 4096),
        )
    except (IonException, ValueError) as error:
        raise UnreadableItem(f"not a line of Ion but {_shown(line)}: {error}") from error
    if len(values) != 1:
        raise UnreadableItem(f"a line holds one item, found {len(values)} in {_shown(line)}")
    return values[0]


def _shown(line: bytes) -> str:
    return f"{line[:60]!r}"


def _document(value: Any) -> Typed | None:
    """An item, its keys, the metadata; None where an image is null."""
    typed = _typed(value)
    if "NULL" in typed:
        return None
    if "M" not in typed:
        raise UnreadableItem(f"an item is a struct, found {value!r:.60}")
    return typed["M"]  # type: ignore[no-any-return]


def _typed(value: Any) -> Typed:
    known = _types().get(type(value))
    if known is None:
        raise UnreadableItem(f"{value!r:.60} is a {type(value).__name__}, which no DynamoDB type becomes in ION")
    return known(value)


@cache
def _types() -> dict[type, Callable[[Any], Typed]]:
    """By type, since amazon.ion gives bare values where they have no annotation, and its own with one.

    Its own only, when it runs without its C extension. Floats, symbols, timestamps, sexps are in no export.
    """
    from amazon.ion.simple_types import (
        IonPyBool,
        IonPyBytes,
        IonPyDecimal,
        IonPyDict,
        IonPyInt,
        IonPyList,
        IonPyNull,
        IonPyStdDict,
        IonPyText,
    )

    bare: dict[type, Callable[[Any], Typed]] = {
        str: partial(_scalar, "S"),
        bytes: partial(_scalar, "B"),
        bool: partial(_scalar, "BOOL"),
        type(None): _null,
        Decimal: _number,
        int: _number,
        list: _list,
        dict: _struct,
    }
    own: dict[type, Callable[[Any], Typed]] = {
        IonPyText: lambda value: _scalar("S", str(_unannotated(value))),
        IonPyBytes: lambda value: _scalar("B", bytes(_unannotated(_blob(value)))),
        IonPyBool: lambda value: _scalar("BOOL", bool(_unannotated(value))),
        IonPyNull: lambda value: _null(_unannotated(value)),
        IonPyDecimal: lambda value: _number(_unannotated(value)),
        IonPyInt: lambda value: _number(_unannotated(value)),
        IonPyDict: lambda value: _struct(_unannotated(value)),
        IonPyStdDict: lambda value: _struct(_unannotated(value)),
        IonPyList: _annotated_list,
    }
    return {**bare, **own}


def _scalar(kind: str, value: Any) -> Typed:
    return {kind: value}  # msgspec writes bytes as base64


def _null(_: Any) -> Typed:
    return {"NULL": True}


def _number(value: Decimal | int) -> Typed:
    exact = Decimal(value)
    if exact and not SMALLEST <= exact.adjusted() <= LARGEST:
        raise UnreadableItem(f"{exact} lies beyond DynamoDB's numbers, 1E{SMALLEST} to 9.9…E{LARGEST}")
    return {"N": plain(exact)}


def _list(members: Iterable[Any]) -> Typed:
    return {"L": [_typed(member) for member in members]}


def _struct(members: Mapping[Any, Any]) -> Typed:
    typed = {name: _typed(member) for name, member in members.items()}
    if not all(isinstance(name, str) for name in typed):
        raise UnreadableItem("the name of an attribute is a symbol without text")
    return {"M": typed}


def _annotated_list(members: Any) -> Typed:
    from amazon.ion.core import IonType

    if members.ion_type is not IonType.LIST:
        raise UnreadableItem(f"{members!r:.60} is a sexp, which no DynamoDB type becomes in ION")
    annotations = [symbol.text for symbol in members.ion_annotations]
    if not annotations:
        return _list(members)
    kind = annotations[0].removeprefix(SET)
    if len(annotations) > 1 or kind not in ("SS", "NS", "BS") or annotations[0] == kind:
        raise UnreadableItem(f"a list is annotated {annotations}; known are {SET}SS, {SET}NS and {SET}BS")
    return {kind: [_member(member, kind[0]) for member in members]}


def _member(value: Any, kind: str) -> Any:
    typed = _typed(value)
    if kind not in typed:
        raise UnreadableItem(f"a set of {kind} holds {value!r:.60}")
    return typed[kind]


def _unannotated(value: Any) -> Any:
    if value.ion_annotations:
        raise UnreadableItem(f"{value!r:.60} has the annotation {value.ion_annotations[0].text!r}; only sets have one")
    return value


def _blob(value: Any) -> Any:
    from amazon.ion.core import IonType

    if value.ion_type is not IonType.BLOB:
        raise UnreadableItem(f"{value!r:.60} is a clob, which no DynamoDB type becomes in ION")
    return value
