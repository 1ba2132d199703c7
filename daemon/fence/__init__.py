"""What keeps the application from writing while its writers switch: each way behind one small protocol."""

from typing import Any, NamedTuple, Protocol

from daemon.config import Config
from daemon.routes import Side


class FenceFailed(Exception):
    """The fence cannot be held, or not be lifted: what it answered, and what to do."""


class Attempt(NamedTuple):
    """Of which switch, and with which epoch, so that what comes late can be told from what holds."""

    switch: str
    epoch: int


class Fence(Protocol):
    """One way. Both are idempotent: after a crash they are asked for again. The leader asks, one at a time."""

    def hold(self, attempt: Attempt) -> None:
        """When it returns, no writer that it governs begins a write. Raises FenceFailed, ClientError, BotoCoreError."""

    def lift(self, attempt: Attempt, writes: Side) -> None:
        """The writers go on, at this side. Also where nothing is held. Raises as hold."""


def fences(config: Config, dynamodb: Any) -> list[Fence]:
    """The configured ones, in the order in which they are held; the flag is no part of it, it is the published route.

    `dynamodb` is boto3's client on the source's side.
    """
    asked, made = config.cutover.fence, list[Fence]()
    if asked.webhook is not None:
        from daemon.fence.webhook import Webhook

        made.append(Webhook(asked.webhook, config.migration, config.source.table))
    if asked.resource_policy is not None:
        from daemon.fence.resource_policy import ResourcePolicyFence

        made.append(ResourcePolicyFence(dynamodb, config.source.table, asked.resource_policy.except_role_arns))
    return made
