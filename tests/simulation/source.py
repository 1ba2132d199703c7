"""The source: a table, its stream and its exports, as adversarial as AWS may be.

What the stream may do here: publish late, hand out empty and short pages, show one half of a split before the other,
show a closed shard without its child, roll over in the middle of anything, let its clock go back a second, forget
what is older than 24 hours, and be disabled and enabled again.
"""

import json
import zlib
from datetime import UTC, datetime
from typing import NamedTuple

from simulation.dynamodb_store import failed

from daemon.demo.export import write_export
from daemon.demo.incremental_export import Write as TimedWrite
from daemon.demo.incremental_export import compacted, write_incremental_export

TABLE = "orders"
ARN = "arn:aws:dynamodb:simulated:1:table/orders"
RANGES = 4
DAY = 86_400.0
# Within these a listing and a record become visible; the engine's own margins lie above (lag.SIBLING_SECONDS).
LISTED_SECONDS, PUBLISHED_SECONDS = 8.0, 3.0
PAGE_SHARDS = 3
# Of a scan; below clock_margin_seconds.
STALE_SECONDS_MAX = 100.0


class Put(NamedTuple):
    """One write of the application: what the key holds from then on (None: nothing), and when."""

    number: int
    at: float
    image: dict | None


class Record(NamedTuple):
    """A record of the stream, as amazon_kclpy hands it out."""

    number: int
    visible_at: float
    created_at: float
    sequence_number: str
    binary_data: bytes


class SimShard:
    """One shard, and what is left of its records."""

    def __init__(self, name, parent, ranges, opened_at, listed_at):
        self.name, self.parent, self.ranges = name, parent, ranges
        self.opened_at, self.listed_at = opened_at, listed_at
        self.closed_at = None
        self.records = []
        self.trimmed = 0  # sequence number up to which records are gone


class Source:
    """The table and everything that AWS makes of it."""

    def __init__(self, chance, clock):
        self.chance, self.clock = chance, clock
        self.items, self.history, self.beats = {}, {}, {}
        self.writes = self.sequence = self.streams = 0
        self.arn, self.enabled, self.shards, self.former = None, False, {}, {}
        self.lag_of_aws = chance.uniform(-2, 2)  # the stream's clock against ours, in seconds
        self.lag_of_exports = chance.uniform(-20, 20)

    # what the application and the operator do

    def enable(self):
        """A new stream: a new ARN, new shards. The one before can be read for another day."""
        if self.arn is not None:
            self.former[self.arn] = (self.shards, self.created_at)
        self.streams += 1
        self.arn, self.enabled = f"{ARN}/stream/{self.streams}", True
        self.created_at = self.clock.now
        self.shards = {}
        for part in ([0, 1, 2, 3],) if self.chance.random() < 0.5 else ([0, 1], [2, 3]):
            self._open(None, frozenset(part), at_once=True)

    def disable(self):
        """What is written from now on is in no stream; the shards are closed."""
        self.enabled = False
        for shard in self.shards.values():
            shard.closed_at = shard.closed_at or self.clock.now

    def write(self, key, image):
        """A put (attributes beside the key) or a deletion (None)."""
        self.writes += 1
        before = self.items.pop(key, None)
        if image is not None:
            self.items[key] = {"id": {"S": key}, **image}
        elif before is None:
            return  # deleting nothing writes no record
        self.history.setdefault(key, []).append(Put(self.writes, self.clock.now, self.items.get(key)))
        event = "REMOVE" if image is None else ("MODIFY" if before is not None else "INSERT")
        self._publish(key, event, self.items.get(key), before)

    def beat(self, item):
        """A heartbeat: a put like any other."""
        key = item["id"]["S"]
        known = self.beats.get(key)
        if known != item:  # an unchanged put writes no record
            self.beats[key] = item
            self._publish(key, "MODIFY" if known else "INSERT", item, known)

    def reshape(self):
        """One open shard rolls over or splits."""
        parent = self.chance.choice([s for s in self.shards.values() if s.closed_at is None])
        parent.closed_at = self.clock.now
        parts = sorted(parent.ranges)
        cut = len(parts) // 2 if len(parts) > 1 and self.chance.random() < 0.5 else 0
        for part in (parts[:cut], parts[cut:]):
            if part:
                self._open(parent.name, frozenset(part))

    def trim(self):
        """Forget what is older than a day."""
        horizon = self.clock.now - DAY
        for shards in (self.shards, *[shards for shards, _ in self.former.values()]):
            self._trim(shards, horizon)

    def _trim(self, shards, horizon):
        for shard in list(shards.values()):
            while shard.records and shard.records[0].created_at < horizon:
                shard.trimmed = shard.records.pop(0).number
            if shard.closed_at is not None and shard.closed_at < horizon and not shard.records:
                del shards[shard.name]

    def close_old_shards(self):
        """AWS closes a shard after some four hours."""
        for shard in [s for s in self.shards.values() if s.closed_at is None]:
            if self.clock.now - shard.opened_at > 4 * 3600:
                shard.closed_at = self.clock.now
                self._open(shard.name, shard.ranges)

    def full_export(self, store, files=2, at=None):
        """As of now, or of then, good to a minute: of each key some state that it had around it. Its manifest's URL."""
        latest = 0 if at is None else 50
        at = at or self.clock.now
        rows = []
        for key in sorted(self.history):
            image = self._state(key, at + self.chance.uniform(-50, latest))
            if image is not None:
                rows.append(image)
        rows += list(self.beats.values())
        return write_export(
            store,
            "exports",
            "sim",
            ARN,
            rows,
            files=files,
            export_time=datetime.fromtimestamp(at, UTC),
            seed=self.chance.randrange(1 << 30),
        )

    def window(self, store, begin, end):
        """An incremental export of [begin, end), by the clock of all exports, which may be off by some seconds."""
        off = self.lag_of_exports
        writes = [
            TimedWrite(int((put.at + off) * 1e6), {"id": {"S": key}}, put.image)
            for key, puts in sorted(self.history.items())
            for put in puts
        ]
        writes.sort(key=lambda write: write.at_micros)
        records = compacted(writes, int(begin * 1e6), int(end * 1e6))
        seed = self.chance.randrange(1 << 30)
        return write_incremental_export(
            store, "exports", "sim", ARN, records, from_time=begin, to_time=end, files=2, seed=seed
        )

    def scanned(self, request):
        """A page of a segment. Eventually consistent: of each key a state of not long ago."""
        stale = 0.0 if request["ConsistentRead"] else STALE_SECONDS_MAX
        after = request.get("ExclusiveStartKey", {}).get("id", {}).get("S", "")
        rows = dict(self.beats)
        for key in self.history:
            rows[key] = self._state(key, self.clock.now - self.chance.uniform(0, stale))
        own = [k for k in rows if zlib.crc32(k.encode()) % request["TotalSegments"] == request["Segment"]]
        left = sorted(key for key in own if key > after and rows[key] is not None)
        page = left[: request["Limit"]]
        more = {"LastEvaluatedKey": {"id": {"S": page[-1]}}} if len(left) > len(page) else {}
        return {"Items": [rows[key] for key in page], "ConsumedCapacity": {"CapacityUnits": 0.5}, **more}

    def _state(self, key, at):
        before = [put for put in self.history[key] if put.at <= at]
        return before[-1].image if before else None

    # the stream

    def _open(self, parent, ranges, *, at_once=False):
        self.clock.advance(0.001)  # no two shards of one name
        name = f"shardId-{int(self.clock.now * 1000):020d}-{len(self.shards):08x}"
        shown = self.clock.now + (0.0 if at_once else self.chance.uniform(0, LISTED_SECONDS))
        # A child is never listed before its parent: AWS lists by age.
        listed_at = max(shown, self.shards[parent].listed_at) if parent in self.shards else shown
        self.shards[name] = SimShard(name, parent, ranges, self.clock.now, listed_at)

    def _publish(self, key, event, image, before):
        if not self.enabled:
            return
        part = zlib.crc32(key.encode()) % RANGES
        shard = next(s for s in self.shards.values() if s.closed_at is None and part in s.ranges)
        self.sequence += self.chance.choice((1, 7, 1000))
        created = int(self.clock.now + self.lag_of_aws - self.chance.choice((0, 0, 0, 0.9)))
        last = shard.records[-1].visible_at if shard.records else 0.0
        visible = max(last, self.clock.now + self.chance.choice((0, 0, self.chance.uniform(0, PUBLISHED_SECONDS))))
        sequence = f"{self.sequence:021d}"
        detail = {
            "ApproximateCreationDateTime": created * 1000,
            "Keys": {"id": {"S": key}},
            "SequenceNumber": sequence,
            "NewImage": image or {},
            "OldImage": before or {},
        }
        body = json.dumps({"eventName": event, "dynamodb": detail, "userIdentity": None}).encode()
        shard.records.append(Record(self.sequence, visible, self.clock.now, sequence, body))

    def stream(self, arn):
        """Shards and creation time of the stream, or of a former one. Raises ClientError."""
        if arn == self.arn:
            return self.shards, self.created_at
        if arn not in self.former:
            raise failed("ResourceNotFoundException", "no such stream")
        return self.former[arn]

    def listed(self, arn):
        """The shards that a listing shows now."""
        return [shard for shard in self.stream(arn)[0].values() if shard.listed_at <= self.clock.now]


class Streams:
    """boto3's client of DynamoDB Streams, as far as DescribeStream goes."""

    def __init__(self, source):
        self._source = source

    def describe_stream(self, *, StreamArn, ExclusiveStartShardId=None):  # noqa: N803  boto3's names
        source = self._source
        shards, created_at = source.stream(StreamArn)
        names = [shard.name for shard in source.listed(StreamArn)]
        start = names.index(ExclusiveStartShardId) + 1 if ExclusiveStartShardId in names else 0
        shown = names[start : start + PAGE_SHARDS]
        description = {
            "StreamArn": StreamArn,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
            "StreamStatus": "ENABLED" if source.enabled and StreamArn == source.arn else "DISABLED",
            "CreationRequestDateTime": datetime.fromtimestamp(created_at, UTC),
            "Shards": [self._described(shards[name]) for name in shown],
        }
        if start + PAGE_SHARDS < len(names):
            description["LastEvaluatedShardId"] = shown[-1]
        return {"StreamDescription": description}

    def _described(self, shard):
        numbers = {"StartingSequenceNumber": "1"}
        if shard.closed_at is not None:
            numbers["EndingSequenceNumber"] = "2"
        described = {"ShardId": shard.name, "SequenceNumberRange": numbers}
        return described if shard.parent is None else {**described, "ParentShardId": shard.parent}


def described_table(source):
    """What DescribeTable says of the source."""
    described = {
        "TableName": TABLE,
        "TableArn": ARN,
        "TableStatus": "ACTIVE",
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    }
    if source.arn is not None:
        described["LatestStreamArn"] = source.arn
        described["StreamSpecification"] = {"StreamEnabled": source.enabled}
    return {"Table": described}
