"""One HTTP/1.1 response, as DynamoDB sends it: a length, no chunks (RFC 9112). What is anything else is refused."""

from typing import NamedTuple

HEAD_BYTES_MAX = 16 * 1024
BODY_BYTES_MAX = 32 * 1024 * 1024  # twice the largest answer that DynamoDB gives
_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length:"
_VERSION = b"HTTP/1.1 "


class BadReply(OSError):
    """Whoever answers does not speak HTTP as DynamoDB does. The connection is of no more use."""


class Reply(NamedTuple):
    """A whole response. `lasting`: the connection may be used again."""

    status: int
    body: bytes
    lasting: bool


def reply(received: bytes | bytearray) -> Reply | None:
    """The response, or None while it is not all here. Raises BadReply, also for bytes behind its end."""
    end = received.find(_END)
    if end < 0:
        if len(received) > HEAD_BYTES_MAX:
            raise BadReply(f"a head of more than {HEAD_BYTES_MAX} bytes; DynamoDB's have some hundred")
        _begins_well(received)
        return None
    _begins_well(received)
    head = bytes(received[:end]).lower()
    begin, length = end + len(_END), _length(head)
    missing = begin + length - len(received)
    if missing > 0:
        return None
    if missing < 0:
        raise BadReply(f"{-missing} bytes behind the end of a response that nobody asked for")
    return Reply(_status(head), bytes(received[begin:]), b"\r\nconnection: close" not in head)


def _begins_well(received: bytes | bytearray) -> None:
    if not received.startswith(_VERSION[: len(received)]):
        raise BadReply(f"expected a response that begins with HTTP/1.1, found {bytes(received[:40])!r}")


def _status(head: bytes) -> int:
    digits = head[len(_VERSION) : len(_VERSION) + 3]
    if not digits.isdigit():
        raise BadReply(f"expected a status of three digits, found {head[:40]!r}")
    return int(digits)


def _length(head: bytes) -> int:
    parts = head.split(_LENGTH)
    if len(parts) != 2:  # noqa: PLR2004  before it and behind it
        raise BadReply(f"expected one Content-Length, found {len(parts) - 1} in {head[:200]!r}; set transport: threads")
    digits = parts[1].partition(b"\r\n")[0].strip()
    if not digits.isdigit() or int(digits) > BODY_BYTES_MAX:
        raise BadReply(f"expected a Content-Length up to {BODY_BYTES_MAX}, found {digits!r}")
    return int(digits)
