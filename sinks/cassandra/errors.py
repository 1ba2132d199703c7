"""What the driver's errors mean, as seen on a real node (daemon/README.md, "Errors of the CQL driver")."""

from cassandra import (
    AuthenticationFailed,
    InvalidRequest,
    OperationTimedOut,
    RequestExecutionException,
    Unauthorized,
)

from sinks.cassandra.driver import ConnectionException, NoHostAvailable, OverloadedErrorMessage, SyntaxException
from sinks.sink import SinkError, SinkMisconfigured, SinkUnavailable

# The client's own refusals of a value: the row can never be stored as it is.
UNBINDABLE = (TypeError, ValueError, AttributeError, OverflowError)


def is_rejection(error: Exception) -> bool:
    """True when this row can never be stored: too large, a null key, a value that does not fit.

    A missing table or column raises InvalidRequest as well, with other words: the caller looks at the schema again
    before it believes that a row is at fault.
    """
    return isinstance(error, (InvalidRequest, *UNBINDABLE))


def as_sink_error(error: Exception) -> SinkError:
    """The engine's word for a driver error that is no rejection."""
    if isinstance(error, SinkError):
        return error
    if isinstance(error, Unauthorized | AuthenticationFailed | SyntaxException | InvalidRequest):
        return SinkMisconfigured(f"the target refused: {error}")
    if isinstance(error, NoHostAvailable):
        return _no_host(error)
    if isinstance(error, OverloadedErrorMessage):
        return SinkUnavailable(f"the target is overloaded: {error}")
    if isinstance(error, RequestExecutionException | OperationTimedOut | ConnectionException | OSError):
        return SinkUnavailable(f"{type(error).__name__}: {error}")
    # Unknown errors are retried and visible, rather than taken for a verdict on the data.
    return SinkUnavailable(f"unexpected {type(error).__name__}: {error}")


def _no_host(error: NoHostAvailable) -> SinkError:
    causes = error.errors.values() if isinstance(error.errors, dict) else error.errors
    if any(isinstance(cause, AuthenticationFailed) for cause in causes):
        return SinkMisconfigured(f"no node accepts the user name and password: {error}")
    return SinkUnavailable(f"no node answers: {error}")
