"""A node's error codes as the driver's own exceptions, so that sinks/cassandra/errors.py understands both ways."""

from cassandra import AuthenticationFailed, InvalidRequest, Unauthorized, Unavailable, WriteFailure, WriteTimeout

from sinks.cassandra.driver import ConsistencyLevel, OverloadedErrorMessage, ServerError, SyntaxException
from sinks.cassandra.lane.frames import error_of

# native_protocol_v4.spec, section 9.
OVERLOADED, WRITE_TIMEOUT, INVALID, UNPREPARED = 0x1001, 0x1100, 0x2200, 0x2500
# The node may take it a moment later.
BUSY = frozenset({OVERLOADED, WRITE_TIMEOUT})


def refusal(body: bytes) -> tuple[int, Exception]:
    """Code of an ERROR, and the exception for it. Raises Malformed."""
    code, message = error_of(body)
    return code, _exception(code, message)


def _exception(code: int, message: str) -> Exception:
    """The driver's classes are untyped: each is made as the driver makes it from a reply."""
    made: Exception
    match code:
        case 0x2200:
            made = InvalidRequest(message)
        case 0x2100:
            made = Unauthorized(message)
        case 0x0100:
            made = AuthenticationFailed(message)
        case 0x2000:
            made = SyntaxException(code, message, None)
        case 0x1001:
            made = OverloadedErrorMessage(code, message, None)
        case 0x1000:
            made = Unavailable(message)
        case 0x1100:
            # It wants a type and a consistency for its attributes; the message has the node's own words for them.
            made = WriteTimeout(message, write_type=0, consistency=ConsistencyLevel.ANY)
        case 0x1500:
            made = WriteFailure(message, write_type=0)
        case _:
            made = ServerError(code, f"{message} (CQL error {code:#06x})", None)
    return made
