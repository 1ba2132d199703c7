"""What errors of CQL mean for a move: two tables, one of the protocol's codes, one of classes in Python.

Seen on real nodes: daemon/README.md, "Errors of the CQL driver". From documentation: the native protocol's
specification v4 and v5, section "Error codes"; ScyllaDB's "CQL protocol extensions", "Rate limit error".
"""

import ssl
import struct
from collections.abc import Mapping
from enum import Enum

from sinks.cassandra.driver import NoHostAvailable, cassandra, connection, protocol
from sinks.sink import SinkError, SinkMisconfigured, SinkUnavailable


class Meaning(Enum):
    """What the engine does about it."""

    UNAVAILABLE = "unavailable"  # send the same again, for ever
    MISCONFIGURED = "misconfigured"  # stop: a person is needed
    REJECTED = "rejected"  # this one row can never be stored


UNAVAILABLE, MISCONFIGURED, REJECTED = Meaning.UNAVAILABLE, Meaning.MISCONFIGURED, Meaning.REJECTED

# Codes of an ERROR frame. One that is not here is retried and visible, rather than taken for a verdict on the data:
# ScyllaDB numbers its rate limit as it goes.
CODES: Mapping[int, Meaning] = {
    0x0000: UNAVAILABLE,  # server error
    0x000A: MISCONFIGURED,  # protocol error: the same bytes would be refused again
    0x0100: MISCONFIGURED,  # bad credentials
    0x1000: UNAVAILABLE,  # fewer replicas than the consistency needs
    0x1001: UNAVAILABLE,  # overloaded
    0x1002: UNAVAILABLE,  # bootstrapping
    0x1003: UNAVAILABLE,  # truncate error
    0x1100: UNAVAILABLE,  # write timeout
    0x1200: UNAVAILABLE,  # read timeout
    0x1300: UNAVAILABLE,  # read failure
    0x1400: MISCONFIGURED,  # function failure
    0x1500: UNAVAILABLE,  # write failure
    0x1600: UNAVAILABLE,  # CDC write failure: its space is full
    0x1700: UNAVAILABLE,  # CAS write unknown
    0x2000: MISCONFIGURED,  # syntax error
    0x2100: MISCONFIGURED,  # unauthorized
    0x2200: REJECTED,  # invalid: too large, a null key; a missing table or column as well
    0x2300: MISCONFIGURED,  # config error
    0x2400: MISCONFIGURED,  # already exists
    0x2500: UNAVAILABLE,  # unprepared: prepared anew, it is taken
    0x8000: UNAVAILABLE,  # the driver's own "client write error"
}
# The client's own refusals of a value: the row can never be stored as it is.
UNBINDABLE = (TypeError, ValueError, AttributeError, OverflowError, struct.error)
# The first that fits counts: a refused certificate is a ValueError as well, and an OSError.
CLASSES: tuple[tuple[type[Exception], Meaning], ...] = (
    (ssl.SSLCertVerificationError, MISCONFIGURED),
    (OSError, UNAVAILABLE),
    (cassandra.AuthenticationFailed, MISCONFIGURED),
    (cassandra.Unauthorized, MISCONFIGURED),
    (cassandra.InvalidRequest, REJECTED),
    (cassandra.RequestValidationException, MISCONFIGURED),
    (cassandra.FunctionFailure, MISCONFIGURED),
    (cassandra.RequestExecutionException, UNAVAILABLE),
    (cassandra.OperationTimedOut, UNAVAILABLE),
    (cassandra.UnresolvableContactPoints, UNAVAILABLE),  # a name server may be away
    (cassandra.UnsupportedOperation, MISCONFIGURED),
    (cassandra.DependencyException, MISCONFIGURED),
    (protocol.NotSupportedError, MISCONFIGURED),
    (connection.ProtocolVersionUnsupported, MISCONFIGURED),
    (connection.ConnectionException, UNAVAILABLE),
    (connection.ConnectionBusy, UNAVAILABLE),
    (connection.ProtocolError, MISCONFIGURED),
    *((refused, REJECTED) for refused in UNBINDABLE),
)
# Cassandra says "bad credentials" and "unauthorized" as well when it could not read its own tables of roles: with
# system_auth on one node, whenever that one is away (PasswordAuthenticator, CassandraAuthorizer, 5.0).
COULD_NOT_ASK = "Unable to perform auth"


class CqlError(Exception):
    """An ERROR frame as it came. Code and message are the server's (native protocol v4, "ERROR")."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"CQL error 0x{code:04X}: {message}")
        self.code, self.message = code, message


def meaning_of_code(code: int, message: str) -> Meaning:
    """What an ERROR frame means.

    A missing table or column has the code of a row that is too large, with other words: look at the schema again
    before a row is believed to be at fault.
    """
    meaning = CODES.get(code, UNAVAILABLE)
    return UNAVAILABLE if meaning is MISCONFIGURED and COULD_NOT_ASK in message else meaning


def meaning_of(error: Exception) -> Meaning:
    """What an error of the driver, of a lane, or of the client's own encoding means."""
    if isinstance(error, CqlError | protocol.ErrorMessage):
        return meaning_of_code(error.code, error.message)
    if isinstance(error, NoHostAvailable):
        return MISCONFIGURED if any(_needs_a_person(cause) for cause in _causes(error)) else UNAVAILABLE
    meaning = next((meaning for known, meaning in CLASSES if isinstance(error, known)), UNAVAILABLE)
    return UNAVAILABLE if meaning is MISCONFIGURED and COULD_NOT_ASK in str(error) else meaning


def is_rejection(error: Exception) -> bool:
    """True when this row can never be stored: too large, a null key, a value that does not fit.

    A missing table or column raises InvalidRequest as well, with other words: the caller looks at the schema again
    before it believes that a row is at fault.
    """
    return meaning_of(error) is REJECTED


def as_sink_error(error: Exception) -> SinkError:
    """The engine's word for an error that is about no row."""
    if isinstance(error, SinkError):
        return error
    if isinstance(error, NoHostAvailable):
        return _no_host(error)
    match meaning_of(error):
        case Meaning.REJECTED if isinstance(error, UNBINDABLE):
            # Ours or the driver's, but there is no row to blame: retried and visible.
            return SinkUnavailable(f"unexpected {type(error).__name__}: {error}")
        case Meaning.UNAVAILABLE:
            return SinkUnavailable(f"{type(error).__name__}: {error}")
    return SinkMisconfigured(f"the target refused: {error}")


def nobody_listens(error: Exception) -> bool:
    """True when there is nobody who could be misunderstood: every node refused the connection, or none was found."""
    return not isinstance(error, NoHostAvailable) or all(
        isinstance(cause, ConnectionRefusedError) for cause in _causes(error)
    )


def _causes(error: NoHostAvailable) -> list[Exception]:
    """What each node said: a dict by node, or a list where the driver asked none."""
    return list(error.errors.values() if isinstance(error.errors, dict) else error.errors)


def _needs_a_person(cause: Exception) -> bool:
    # Of a statement no node took; what they said of a row is not looked at here.
    return isinstance(cause, Exception) and meaning_of(cause) is MISCONFIGURED


def _no_host(error: NoHostAvailable) -> SinkError:
    if meaning_of(error) is UNAVAILABLE:
        return SinkUnavailable(f"no node answers: {error}")
    if any(isinstance(cause, cassandra.AuthenticationFailed) for cause in _causes(error)):
        return SinkMisconfigured(
            f"no node accepts the user name and password: {error}. Check target.username, and what "
            "target.password_env, password_file or password_secret names"
        )
    return SinkMisconfigured(f"no node takes the connection: {error}")
