"""The control table: all state of a migration, every record written by compare-and-set.

One item per record: `migration` (partition key), `record` (sort key), `revision`, `body` (JSON). A pod can
vanish at any instruction: nothing is kept in the daemon.

| record           | written by            | holds                                                        |
|------------------|-----------------------|--------------------------------------------------------------|
| `migration`      | the leader, `resync`  | phase, anchor, backfill version, whether readers may switch  |
| `g<n>/part#<n>`  | the worker of a part  | rows read, applied, rejected, skipped; done or why not       |
| `g<n>/shard#<id>`| the shard's process   | the last positions with their versions, heartbeats, counts   |
| `settings`       | a person, the CLI     | limits and pauses, set while it runs                         |
| `stray#<shard>/…`| the shard's process   | a write of the source after the writers' switch, not applied |
| `dead#<id>`      | who met the rejection | a change that the target refuses, and what became of it      |
| `target_settings`| `schema --apply`      | the target's settings as they were before the move           |
| `target_hazard`  | the leader            | what of the target's settings endangers the move now         |
| `completion`     | `moveout complete`    | that the move is over: nothing of it is applied any more     |
| `proof`          | the leader            | round of proof and the instant that is proven                |
| `heartbeats`     | the leader            | which reserved keys were ever used (`daemon/reserved.py`)    |
| `seal`           | the leader            | how far the stream is sealed, or opened again                |
| `export`         | the leader, a person  | the export that is waited for (`daemon/exporting.py`)        |
| `verify#run`     | who verifies, the CLI | the run of the comparison, and what it has found so far      |
| `verify#part#…`  | who verifies          | how far the comparison of a part of the backfill is          |
| `verify#diff#…`  | who finds one         | a key that differs, and what became of it                    |
| `leader`         | every replica         | who leads, until when                                        |
| `signal`         | the leader            | the published document                                       |
| `hook#<n>`       | the leader            | events that a hook is still to be told (`signal/outbox.py`)  |
| `verify#watch`   | who verifies, repairs | the keys that shards watch now (`daemon/verify/watching.py`) |

Each anchoring, the first and those of `moveout resync`, reserves a generation: its parts and shards have names of
their own, so that nothing of an attempt that crashed, or of before a gap, can be taken for new.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

import msgspec
from botocore.exceptions import ClientError

from daemon.phase import Phase
from daemon.routes import Routes
from daemon.sections import Mode
from daemon.switching import Step, Switch

T = TypeVar("T")
Kind = Literal["full", "incremental", "scan", "files"]
# One for each time that a process ended between its save and the KCL's checkpoint, and no more.
POSITIONS_MAX = 1000
REPLICAS_MAX = 100


def parts_of(generation: int) -> str:
    """What the records of the generation's parts begin with."""
    return f"g{generation}/part#"


def shards_of(generation: int) -> str:
    """What the records of the generation's shards begin with."""
    return f"g{generation}/shard#"


class Conflict(Exception):
    """Somebody else has written the record since it was read."""


class Sweep(msgspec.Struct, frozen=True):
    """Rows that a resync must look at when it has loaded everything: those that it has not brought up to date.

    Rows with `since <= version < below` are removed, at version `at`; with `ask_source` only those that the source
    does not hold. Versions are microseconds.
    """

    below: int
    at: int
    since: int = 0
    ask_source: bool = False


class Migration(msgspec.Struct, frozen=True):
    """The decisions taken so far. Times are epoch seconds, versions microseconds."""

    phase: Phase = Phase.CREATED
    message: str = "created"
    mode: Mode = "backfill-and-tail"
    epoch: int = 0
    manifest: str = ""
    stream_arn: str = ""
    anchored_at: float = 0
    exported_at: float = 0  # everything before is in the export, or was applied; from here on the stream is needed
    backfill_version: int = 0
    parts: int = 0  # how many there are to load
    settled: bool = False
    settled_at: float = 0  # when a sweep was seen to be done; what is proven of before is not proven of its rows
    caught_up_since: float | None = None
    ready_since: float | None = None
    gap: str | None = None
    generation: int = 0  # of the parts and shards that are in force
    reserved: int = 0  # the last generation that an attempt to anchor has taken
    anchor_version: int = 0  # every version of the stream lies above it, every version of an older generation below
    pending: bool = False  # an export is being made: the parts are not known yet
    sweep: Sweep | None = None  # what is left to remove from the target once a resync has loaded everything
    routes: Routes = Routes()
    switch: Switch | None = None  # of the writers: the attempt that is under way, or the last one
    loaded_in: int | None = None  # the generation that has the parts, where it is an older one

    @property
    def mark(self) -> str:
        """What tells this anchoring's heartbeats from all others, also from those of another move of the table."""
        return f"{self.generation}@{self.anchored_at:.6f}"

    @property
    def is_sealed(self) -> bool:
        """The writers have switched behind a sealed stream: the source has none, and after 24 hours not even that."""
        switch = self.switch
        return self.phase is Phase.SWITCHED and switch is not None and switch.sealing and switch.step is Step.DONE

    @property
    def parts_generation(self) -> int:
        """The generation of the parts that are in force."""
        return self.generation if self.loaded_in is None else self.loaded_in


class Part(msgspec.Struct, frozen=True):
    """One file of the export, and how far it has been loaded."""

    name: str  # s3:// URL
    md5: str  # base64, of the compressed bytes
    items: int  # by the manifest
    done: bool = False
    rows_read: int = 0
    applied: int = 0
    rejected: int = 0
    skipped: int = 0  # heartbeats of our own that the export caught
    error: str | None = None
    version: int = 0  # of all its rows, in microseconds; 0: the migration's backfill version
    kind: Kind = "full"  # where its rows come from, and whether it tells of deletions
    format: str = "DYNAMODB_JSON"  # what its lines look like
    counted: bool = True  # `items` is a promise of the manifest; else an estimate, until the part is done
    size_bytes: int = 0  # as stored; 0: not known
    bytes_read: int = 0  # of JSON, or of what the source calls its own
    position: str = ""  # behind the last row that is accounted for, as its source names it; "": at the begin


class Settings(msgspec.Struct, frozen=True):
    """What a person has set while the service runs, over the configuration. None: as configured."""

    items_per_second: float | None = None  # of the backfill, all workers together
    read_percent: float | None = None  # of the table's read capacity, for a scan
    read_units_per_second: float | None = None
    write_percent: float | None = None  # of a DynamoDB target's write capacity, for the backfill
    write_units_per_second: float | None = None
    verify_items_per_second: float | None = None
    backfill_paused: bool = False
    tail_paused: bool = False


class Position(msgspec.Struct, frozen=True, array_like=True):
    """A sequence number and the version that its record got."""

    sequence: str
    version: int


class ShardState(msgspec.Struct, frozen=True):
    """How far one shard has been applied. `anchor` is the version from which its first record goes on.

    `positions` rise; they begin with the last one that the KCL is known to have. Those beyond what a replay starts
    from stay: a replay computes the same versions again, and another process may have checkpointed one of them.
    """

    anchor: int
    parent: str | None = None
    positions: Sequence[Position] = ()
    ended: bool = False
    heartbeat_round: int = 0
    heartbeat_key: str = ""
    owner: str = ""
    records: int = 0
    applied: int = 0
    expired: int = 0
    rejected: int = 0
    applied_to: float = 0  # epoch seconds: creation of the newest record applied
    updated_at: float = 0
    trouble: str | None = None
    empty_polls: int = 0  # in a row, up to now: a page with records begins anew, and so does another process
    empty_since: float = 0  # epoch seconds of the first and the last of them
    empty_until: float = 0
    quiet_since_round: int = 0  # of heartbeats; no application record came since. 0: one came after the last round
    claimed_at: float = 0  # epoch seconds; whoever had the shard before may not know yet
    frozen_epoch: int = 0  # its owner has said that it applies nothing more (daemon/freeze.py)
    strays: int = 0  # application records after the writers' switch: kept, not applied (daemon/stray.py)
    preimages: int = 0  # events whose old image was held against the target's row, and those that found another row
    preimages_wrong: int = 0
    retries: int = 0  # attempts at the target that failed and were made again
    watch: str = ""  # the watch that this state tells of, and the hashes of its keys that an event has come of since
    touched: Sequence[int] = ()

    @property
    def version(self) -> int:
        """The last version dealt, which a child shard goes on from."""
        return self.positions[-1].version if self.positions else self.anchor

    def advanced(self, position: Position, checkpointed: str | None) -> "ShardState":
        """With one more position; without those before `checkpointed`, which the KCL has by now or has passed."""
        known = {int(p.sequence): p for p in (*self.positions, position)}
        from_here = int(checkpointed) if checkpointed is not None else 0
        kept = [known[number] for number in sorted(known) if number >= from_here]
        return msgspec.structs.replace(self, positions=kept[-POSITIONS_MAX:])


class Tally(msgspec.Struct, frozen=True):
    """Counts of shards: records delivered, changes applied, deletions by TTL, shards read to their end."""

    records: int = 0
    applied: int = 0
    expired: int = 0
    ended: int = 0
    strays: int = 0
    retries: int = 0
    preimages: int = 0
    preimages_wrong: int = 0

    def plus(self, state: ShardState) -> "Tally":
        """With one more shard."""
        return Tally(
            self.records + state.records,
            self.applied + state.applied,
            self.expired + state.expired,
            self.ended + state.ended,
            self.strays + state.strays,
            self.retries + state.retries,
            self.preimages + state.preimages,
            self.preimages_wrong + state.preimages_wrong,
        )


class Proof(msgspec.Struct, frozen=True):
    """Rounds of heartbeats: the last one begun, the last one proven and the instant that it proves.

    `archived` counts the shards whose records were dropped, after they had left the stream.
    """

    round: int = 0
    proven_round: int = 0
    applied_through: float | None = None
    reason: str = "no round of heartbeats has come through yet"
    shards_unowned: int = 0
    shards_open: int = 0
    archived: Tally = Tally()
    counted: Sequence[str] = ()  # the shards that were archived last, so that none is counted twice
    generation: int = 0  # of the anchoring whose stream it is about
    proven_at: float | None = None  # when that was concluded, epoch seconds
    probably_through: float | None = None  # as applied_through, but only likely: the stream was quiet (daemon/quiet.py)

    def of(self, generation: int) -> "Proof":
        """What it proves of this generation: a resync reads its stream from the begin, and old changes pass again."""
        if self.generation == generation:
            return self
        return msgspec.structs.replace(
            self,
            generation=generation,
            proven_round=self.round,
            applied_through=None,
            proven_at=None,
            probably_through=None,
        )


class Leader(msgspec.Struct, frozen=True):
    """Who leads, and until when (epoch seconds)."""

    owner: str
    until: float


class Control:
    """Reads and writes the records of one migration. Every method may raise ClientError or BotoCoreError."""

    def __init__(self, client: Any, table: str, migration: str) -> None:
        self._client = client
        self._table = table
        self._migration = migration

    def create_table(self) -> None:
        """Create the table when it is missing; wait until it can be used."""
        try:
            self._client.create_table(
                TableName=self._table,
                AttributeDefinitions=[
                    {"AttributeName": "migration", "AttributeType": "S"},
                    {"AttributeName": "record", "AttributeType": "S"},
                ],
                KeySchema=[
                    {"AttributeName": "migration", "KeyType": "HASH"},
                    {"AttributeName": "record", "KeyType": "RANGE"},
                ],
                BillingMode="PAY_PER_REQUEST",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceInUseException":
                raise
        self._client.get_waiter("table_exists").wait(
            TableName=self._table, WaiterConfig={"Delay": 1, "MaxAttempts": 120}
        )

    def get(self, record: str, kind: type[T]) -> tuple[T, int] | None:
        """The record and its revision, or None."""
        answer = self._client.get_item(TableName=self._table, Key=self._key(record), ConsistentRead=True)
        return _read(answer["Item"], kind) if "Item" in answer else None

    def all(self, prefix: str, kind: type[T]) -> dict[str, tuple[T, int]]:
        """Every record whose name begins with prefix, by the rest of its name."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="#m = :m AND begins_with(#r, :p)",
            ExpressionAttributeNames={"#m": "migration", "#r": "record"},
            ExpressionAttributeValues={":m": {"S": self._migration}, ":p": {"S": prefix}},
            ConsistentRead=True,
        )
        items = (item for page in pages for item in page["Items"])
        return {item["record"]["S"].removeprefix(prefix): _read(item, kind) for item in items}

    def put(self, record: str, value: msgspec.Struct, revision: int) -> int:
        """Write the record if it still has this revision (0: does not exist). The new one; raises Conflict."""
        try:
            self._client.put_item(
                TableName=self._table,
                Item={
                    **self._key(record),
                    "revision": {"N": str(revision + 1)},
                    "body": {"S": msgspec.json.encode(value).decode()},
                },
                ConditionExpression="#v = :v" if revision else "attribute_not_exists(#v)",
                ExpressionAttributeNames={"#v": "revision"},
                **({"ExpressionAttributeValues": {":v": {"N": str(revision)}}} if revision else {}),
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                raise Conflict(f"{record} of {self._migration} is not at revision {revision} any more") from error
            raise
        return revision + 1

    def delete(self, record: str) -> None:
        """Forget a record; nothing when it is not there."""
        self._client.delete_item(TableName=self._table, Key=self._key(record))

    def update(self, record: str, kind: type[T], change: Callable[[T | None], T]) -> T:
        """Read, change, write; again when somebody else was quicker."""
        for _ in range(REPLICAS_MAX):
            value, revision = self.get(record, kind) or (None, 0)
            changed = change(value)
            try:
                self.put(record, changed, revision)  # type: ignore[arg-type]
            except Conflict:
                continue
            return changed
        raise Conflict(f"{record} of {self._migration} changed under {REPLICAS_MAX} attempts")

    def _key(self, record: str) -> dict[str, Any]:
        return {"migration": {"S": self._migration}, "record": {"S": record}}


def _read(item: Any, kind: type[T]) -> tuple[T, int]:
    return msgspec.json.decode(item["body"]["S"], type=kind), int(item["revision"]["N"])
