"""The seam between what is written and how it travels: requests out, answers back, in their order."""

from collections.abc import Iterable
from typing import Protocol, TypeAlias

from botocore.exceptions import BotoCoreError, ClientError

# The body of a 200, or why there is none. HTTPClientError: the request may have been carried out all the same.
Outcome: TypeAlias = bytes | ClientError | BotoCoreError


class Exchange(Protocol):
    """Sends bodies of DynamoDB's JSON protocol, each in one attempt."""

    def send(self, operation: str, bodies: Iterable[bytes], in_flight: int) -> list[Outcome]:
        """What became of each, in their order; at most `in_flight` at a time.

        When this returns, each has been answered or given up. A body is asked for when its turn comes, so that not
        all of them are in memory at once.
        """

    def close(self) -> None:
        """Drop the connections. Safe to call twice; the next `send` opens its own."""
