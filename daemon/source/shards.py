"""The shard tree of a stream, as DescribeStream lists it.

The listing is eventually consistent: a closed leaf may have no child yet, an open parent may have one
already. What is concluded from it (daemon/lag.py) may therefore come late, never wrong.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from daemon.clock import SYSTEM, Clock


def created_at(shard: str) -> float:
    """Epoch seconds, from the middle of `shardId-00000001541626099285-f35f62ef`; 0 when it is not there."""
    middle = shard.split("-")[1] if shard.count("-") > 1 else ""
    return int(middle) / 1000 if middle.isdigit() else 0.0


class Shard(msgspec.Struct, frozen=True):
    """One shard: its id, its parent's where it has one, and whether it takes no more records."""

    id: str
    parent: str | None
    closed: bool

    @property
    def created_at(self) -> float:
        """Epoch seconds; 0 when it is not known."""
        return created_at(self.id)


class Stream(msgspec.Struct, frozen=True):
    """A stream: what it delivers, since when, and its shards by id."""

    arn: str
    view_type: str
    status: str
    created_at: float  # epoch seconds
    shards: Mapping[str, Shard]
    listed_at: float = 0.0  # epoch seconds, when the listing began

    @property
    def leaves(self) -> list[Shard]:
        """Shards without a listed child: where records arrive."""
        parents = {shard.parent for shard in self.shards.values()}
        return [shard for shard in self.shards.values() if shard.id not in parents]


def describe(client: Any, arn: str, clock: Clock = SYSTEM) -> Stream:
    """The whole tree, all pages. Raises ClientError, BotoCoreError."""
    shards: dict[str, Shard] = {}
    page: dict[str, Any] = {}
    start: dict[str, str] = {}
    listed_at = clock.time()
    while True:
        page = client.describe_stream(StreamArn=arn, **start)["StreamDescription"]
        for found in page["Shards"]:
            closed = "EndingSequenceNumber" in found["SequenceNumberRange"]
            shards[found["ShardId"]] = Shard(found["ShardId"], found.get("ParentShardId"), closed)
        if "LastEvaluatedShardId" not in page:
            break
        start = {"ExclusiveStartShardId": page["LastEvaluatedShardId"]}
    created = page["CreationRequestDateTime"].timestamp()
    return Stream(arn, page["StreamViewType"], page["StreamStatus"], created, shards, listed_at)
