"""What botocore's errors mean for a write (AWS developer guide, "Error handling with DynamoDB")."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from sinks.access import RoleRefused
from sinks.sink import SinkError, SinkMisconfigured, SinkUnavailable

# A person is needed: no retry makes a table, a right or a credential appear.
_MISCONFIGURED = frozenset(
    {
        "ResourceNotFoundException",
        "AccessDeniedException",
        "UnrecognizedClientException",
        "ExpiredTokenException",  # a role's are renewed before that: these are keys that nobody renews
        "MissingAuthenticationTokenException",
        "InvalidSignatureException",
        "IncompleteSignatureException",
    }
)
# More than the table takes now.
THROTTLED = frozenset({"ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"})
# Another try may cure it: throttled, or the service has a bad moment.
TRANSIENT = THROTTLED | frozenset(
    {
        "TransactionInProgressException",
        "InternalServerError",
        "ServiceUnavailable",
        "HTTP500",
        "HTTP502",
        "HTTP503",
        "HTTP504",
    }
)
# This item can never be stored: over 400 KB, a key of the wrong type, a full item collection.
_REJECTED = frozenset({"ValidationException", "ValidationError", "ItemCollectionSizeLimitExceededException"})


def code_of(error: ClientError) -> str:
    """The service's error code."""
    return str(error.response["Error"]["Code"])


def is_rejection(error: ClientError) -> bool:
    """True when this item can never be stored as it is."""
    return code_of(error) in _REJECTED or any(reason in _REJECTED for reason in cancellation_codes(error))


def cancellation_codes(error: ClientError) -> Sequence[str]:
    """Why each action of a cancelled transaction failed, in the order of the actions; `None` is no failure."""
    reasons: Sequence[Mapping[str, Any]] = error.response.get("CancellationReasons", ())
    return [str(reason.get("Code", "None")) for reason in reasons]


def as_sink_error(error: ClientError | BotoCoreError) -> SinkError:
    """The engine's word for an error that is neither a failed condition nor a rejection."""
    if isinstance(error, NoCredentialsError):
        return SinkMisconfigured(f"no AWS credentials for the target: {error}")
    if isinstance(error, RoleRefused):
        return SinkMisconfigured(str(error))
    if isinstance(error, ClientError) and code_of(error) in _MISCONFIGURED:
        return SinkMisconfigured(f"the target refused: {error}")
    return SinkUnavailable(f"{type(error).__name__}: {error}")


def client_error(operation: str, status: int, content: bytes, explain: Callable[[str], str | None]) -> ClientError:
    """The service's error as botocore's own class, with the fields that come beside the code."""
    try:
        fields: dict[str, Any] = dict(msgspec.json.decode(content))
    except (msgspec.MsgspecError, TypeError, ValueError):
        fields = {"message": content[:200].decode(errors="replace")}
    code = str(fields.get("__type", f"HTTP{status}")).rpartition("#")[2]
    message = fields.get("message", fields.get("Message", ""))
    more = explain(code)
    told = f"{str(message).rstrip('.')}. {more}" if more else message
    response: Any = {**fields, "Error": {"Code": code, "Message": told}}
    return ClientError(response, operation)
