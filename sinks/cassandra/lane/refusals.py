"""A node's ERROR; what each code means is in sinks/cassandra/errors.py, for both ways to a node."""

from sinks.cassandra.errors import CqlError
from sinks.cassandra.lane.frames import error_of

# native_protocol_v4.spec, section 9.
OVERLOADED, WRITE_TIMEOUT, INVALID, UNPREPARED = 0x1001, 0x1100, 0x2200, 0x2500
# The node may take it a moment later.
BUSY = frozenset({OVERLOADED, WRITE_TIMEOUT})


def refusal(body: bytes) -> CqlError:
    """The ERROR of this body. Raises Malformed."""
    return CqlError(*error_of(body))
