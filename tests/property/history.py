"""Random histories of one table, and the engine run over them with crashes.

What the engine promises is held against these.

A history is a list of writes, in the order in which they were acknowledged. The stream delivers them in two
shards, parent then child; the export has caught some prefix of each key's writes.
"""

import random
from types import SimpleNamespace

from fakes import Checkpointer, Crash, Lease, MemoryControl, no_letters, page, record

from daemon.control import Conflict, ShardState
from daemon.kcl.processor import Claimed, ShardProcessor
from daemon.lineage import inherited, resumed
from daemon.source.shards import Shard
from daemon.source.stream import record_reader
from sinks.attributes import encode_item
from sinks.change import Change, Item, Key, KeyAttribute, KeySchema
from sinks.memory import MemorySink

KEYS = KeySchema(KeyAttribute("id", "S"))
FIRST_SECOND = 1_700_000_000
BACKFILL_VERSION = (FIRST_SECOND - 300) * 10**6


class History:
    """Writes of one table: some before the export's earliest cut, then the rest, several in one second."""

    def __init__(self, seed, writes=40, keys=4):
        chance = random.Random(seed)
        self.chance = chance
        self.final = {}
        self.records = []
        self.cuts = [{} for _ in range(writes + 1)]
        second = FIRST_SECOND
        for number in range(writes):
            second += chance.choice([0, 0, 0, 1, 2])
            seen = max(FIRST_SECOND, second - chance.choice([0, 0, 0, 1]))  # the stream's clock may go back
            key = f"k{chance.randrange(keys)}"
            image = None if key in self.final and chance.random() < 0.3 else {"n": {"N": str(number)}}
            event = "REMOVE" if image is None else ("MODIFY" if key in self.final else "INSERT")
            self.final.pop(key, None)
            if image is not None:
                self.final[key] = {"id": {"S": key}, **image}
            self.records.append(record(number + 1, event, key, image, second=seen))
            self.cuts[number + 1] = dict(self.final)
        self.split_at = chance.randrange(writes // 4, writes)

    def export(self):
        """Rows as a fuzzy export has them: each key as it was at some moment of its own."""
        rows = {}
        for key in [f"k{n}" for n in range(8)]:
            state = self.chance.choice(self.cuts)
            if key in state:
                rows[key] = state[key]
        return [
            Change(Key(key), BACKFILL_VERSION, Item(encode_item({"id": key, "n": _number(row)})))
            for key, row in rows.items()
        ]


def _number(row):
    from decimal import Decimal

    return Decimal(row["n"]["N"])


class Run:
    """The engine over a history: KCL's side is played here, with a crash wherever `crash()` says so."""

    def __init__(self, history, *, processor=ShardProcessor, sink=None, crash_rate=0.1):
        self.history = history
        self.processor = processor
        self.sink = sink or MemorySink()
        self.control = MemoryControl()
        self.control.put("shard#parent", ShardState(anchor=0), 0)
        self.leases = {"parent": Lease(), "child": Lease()}
        self.crash_rate = crash_rate
        self.crashes = 0
        self.backfill = history.export()
        self.history.chance.shuffle(self.backfill)

    def to_the_end(self):
        """Until both shards are at their end and the backfill is loaded. Returns what the target holds."""
        records = self.history.records
        shards = {"parent": records[: self.history.split_at], "child": records[self.history.split_at :]}
        while any(lease.checkpoint != "SHARD_END" for lease in self.leases.values()):
            shard = "parent" if self.leases["parent"].checkpoint != "SHARD_END" else "child"
            try:
                self._serve(shard, shards[shard])
            except Crash:
                self.crashes += 1
            except Conflict:
                raise AssertionError("nobody else writes here") from None
        self._load(len(self.backfill))
        return {
            key.partition: change.item.attributes()
            for key, change in self.sink.changes.items()
            if change.item is not None
        }

    def expected(self):
        """What the source holds."""
        return {key: {"id": key, "n": _number(row)} for key, row in self.history.final.items()}

    def _serve(self, shard, records):
        """One life of a shard's process, from KCL's checkpoint on."""
        lease = self.leases[shard]
        process = self.processor(
            claim=self._claim,
            open_sink=lambda: None,
            read=record_reader(KEYS),
            apply=self._maybe(self.sink.apply),
            keep=no_letters,
            checkpoint_seconds=0,
        )
        checkpointer = Checkpointer(lease)
        checkpointer.checkpoint = self._maybe(checkpointer.checkpoint)
        process.initialize(SimpleNamespace(shard_id=shard, sequence_number=lease.checkpoint))
        left = [r for r in records if not lease.checkpoint.isdigit() or int(r.sequence_number) > int(lease.checkpoint)]
        while left:
            size = self.history.chance.randrange(1, 6)
            process.process_records(page(left[:size], checkpointer))
            left = left[size:]
            self._load(int(self.history.chance.random() < 0.1))  # a backfill outlives the stream
        process.shard_ended(SimpleNamespace(checkpointer=checkpointer))

    def _claim(self, shard, sequence):
        found = self.control.get(f"shard#{shard}", ShardState)
        if found is None:
            parent = self.control.get("shard#parent", ShardState)
            found = inherited(Shard("child", "parent", closed=False), parent[0]), 0
        put = self._maybe(lambda state, revision: self.control.put(f"shard#{shard}", state, revision))
        claimed = Claimed(*found, put, resumed(shard, found[0], sequence))
        claimed.claim("test")
        return claimed

    def _load(self, rows):
        for _ in range(min(rows, len(self.backfill))):
            self.sink.apply([self.backfill.pop()])

    def _maybe(self, act):
        """The act, with a crash before it, after it, or not at all."""

        def acted(*arguments):
            where = self.history.chance.random()
            if where < self.crash_rate:
                raise Crash
            result = act(*arguments)
            if where > 1 - self.crash_rate:
                raise Crash
            return result

        return acted
