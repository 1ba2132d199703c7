"""A source whose shards have clocks of their own, the real shard processes over it, and a target that gets damaged.

Whoever repairs is in one thread with all of it: between any two of its requests the world goes on, and it may die.
"""

import random
from decimal import Decimal
from types import SimpleNamespace

import msgspec
from fakes import Checkpointer, Crash, Lease, MemoryControl, no_letters, page, record

from daemon import lag
from daemon.control import Migration, Proof, ShardState, shards_of
from daemon.kcl.processor import Claimed, ShardLost, ShardProcessor
from daemon.lineage import inherited, resumed
from daemon.phase import Phase
from daemon.source.heartbeat import PREFIX, ROUND
from daemon.source.shards import Shard, Stream
from daemon.source.stream import record_reader
from daemon.verify.preimage import ControlFacts, Preimages
from daemon.verify.repair import Repairer
from daemon.verify.watching import ShardWatch, Watch
from sinks.attributes import encode_item
from sinks.change import Change, Item, Key, KeyAttribute, KeySchema
from sinks.memory import MemorySink

KEYS = KeySchema(KeyAttribute("id", "S"))
BEGIN = 1_700_000_000.0
SHARDS, GENERATION = 3, 1
DRIFT_SECONDS = 0.4


class Tied(AssertionError):
    """Two items of one key have one version: which one a target keeps is its own affair."""


class Target(MemorySink):
    """As strict as CQL is treacherous."""

    def apply(self, changes):
        for change in changes:
            known = self.changes.get(change.key)
            if known is not None and known.version == change.version and told(known) not in (told(change), DAMAGED):
                raise Tied(f"{known} and {change}")
        return super().apply(changes)


DAMAGED = "damaged"


def told(change):
    """An item's attributes, or that it is none that anybody wrote."""
    found = change.item.attributes() if change.item is not None else None
    return DAMAGED if found is None or DAMAGED in found else found


class OpenShard:
    """One shard: its records, who reads it, and its clock's drift."""

    def __init__(self, world, name, parent, bucket):
        self.world, self.name, self.parent, self.bucket = world, name, parent, bucket
        self.records, self.closed, self.lease = [], False, Lease()
        self.drift = world.chance.uniform(-DRIFT_SECONDS, DRIFT_SECONDS)
        self.process, self.busy, self.read = None, None, 0

    def write(self, event, key, image, old=None):
        self.world.sequence += 1
        second = int(self.world.now + self.drift)
        self.records.append(record(self.world.sequence, event, key, image, old=old, second=second))

    def may_begin(self):
        parent = self.world.shards.get(self.parent)
        return parent is None or parent.lease.checkpoint == "SHARD_END"

    def serve(self):
        """One thing that its process does."""
        if self.lease.checkpoint == "SHARD_END" or not self.may_begin():
            return
        if self.process is None:
            self._begin()
            return
        if self.process is self.busy:
            return  # it waits in the middle of a page
        size = self.world.chance.choice((0, 1, 3, 20))
        arrived, process, at = self.records[self.read : self.read + size], self.process, self.read
        self.busy = process
        try:
            process.process_records(page(arrived, Checkpointer(self.lease)))
        except ShardLost:
            return  # killed and replaced while it waited: its page is applied, its state is not saved
        finally:
            self.busy = None
        if process is not self.process:
            return
        self.read = at + len(arrived)
        if self.closed and self.read == len(self.records):
            process.shard_ended(SimpleNamespace(checkpointer=Checkpointer(self.lease)))

    def _begin(self):
        """A new process, which knows what its predecessor has made durable, and reads from the KCL's checkpoint."""
        world, after = self.world, self.lease.checkpoint
        made = ShardProcessor(
            claim=self._claim,
            open_sink=lambda: None,
            read=world.reader,
            apply=world.target.apply,
            keep=no_letters,
            checkpoint_seconds=1,
            clock=world,
            watch=ShardWatch(world.control, world),
            assertion=world.assertion(),
        )
        made.initialize(SimpleNamespace(shard_id=self.name, sequence_number=after))
        self.process = made
        self.read = sum(int(one.sequence_number) <= int(after) for one in self.records) if after.isdigit() else 0

    def _claim(self, name, after):
        control, where = self.world.control, shards_of(GENERATION) + name
        found = control.get(where, ShardState)
        if found is None:
            parent = control.get(shards_of(GENERATION) + str(self.parent), ShardState)
            found = inherited(Shard(name, self.parent, closed=False), parent[0]), 0
        put = lambda state, revision: control.put(where, state, revision)  # noqa: E731
        claimed = Claimed(*found, put, resumed(name, found[0], after), self.world)
        claimed.claim("test")
        return claimed


class World:
    """Also the clock of everything in it."""

    def __init__(self, seed, keys=60, writes=0.07, kills=0.01, *, asserts=False):
        self.write_rate, self.kill_rate, self.asserts, self.rows, self.begun = writes, kills, asserts, [], False
        self.chance = random.Random(seed)
        self.now, self.sequence, self.number = BEGIN, 0, 0
        self.control, self.target, self.source = MemoryControl(), Target(), {}
        self.reader = record_reader(KEYS, wants_before=(lambda _: True) if asserts else None)
        self.keys = [f"k{number}" for number in range(keys)]
        self.shards, self.depth, self.writes, self.crashes = {}, 0, True, 0
        for bucket in range(SHARDS):
            self._open(None, bucket, BEGIN - 1000)
            self.control.put(shards_of(GENERATION) + list(self.shards)[-1], ShardState(anchor=0), 0)
        self.listed, self.listed_after, self.beaten_at = self.listing(), 0, 0.0

    # the clock

    def time(self):
        return self.now

    monotonic = time

    def sleep(self, seconds):
        until = self.now + seconds
        while self.now < until:
            self.step()

    # the stream

    def _open(self, parent, bucket, at):
        name = f"shardId-{int(at * 1000):020d}-{bucket}{len(self.shards)}"
        self.shards[name] = OpenShard(self, name, parent, bucket)

    def listing(self):
        shards = {s.name: Shard(s.name, s.parent, s.closed) for s in self.shards.values()}
        return Stream("arn", "NEW_AND_OLD_IMAGES", "ENABLED", 0.0, shards, self.now)

    def open_shards(self):
        return [shard for shard in self.shards.values() if not shard.closed]

    def rollover(self):
        parent = self.chance.choice(self.open_shards())
        parent.closed = True
        self._open(parent.name, parent.bucket, self.now)

    def write(self, key, image):
        before = self.source.pop(key, None)
        if image is None and before is None:
            return
        if image is not None:
            self.source[key] = image
        event = "REMOVE" if image is None else ("INSERT" if before is None else "MODIFY")
        bucket = self.keys.index(key) % SHARDS
        next(s for s in self.open_shards() if s.bucket == bucket).write(event, key, image, before)

    # the backfill, and the assertion

    def assertion(self):
        if not self.asserts:
            return None
        facts = ControlFacts(self.control, KEYS, GENERATION, 2.0, self)
        return Preimages(self._sometimes_away, facts, None, self)

    def _sometimes_away(self, keys):
        self._between(0)
        return self.target.read(keys)

    def export(self):
        """All rows of now, for a backfill that takes its time, at a version of a moment ago."""
        self.version = int(self.now - 5) * 1_000_000 - 1  # no event has it
        self.rows = [Change(Key(key), self.version, item_of(key, image)) for key, image in self.source.items()]
        self.chance.shuffle(self.rows)
        self.begun = True
        self._phase(Phase.BACKFILLING)

    def _phase(self, phase):
        made = Migration(phase=phase, backfill_version=self.version, generation=GENERATION, parts=1)
        self.control.update("migration", Migration, lambda _: made)

    def _load(self):
        self.target.apply([self.rows.pop()])
        if not self.rows:
            self._phase(Phase.REPLICATING)

    # what everybody does

    def step(self):
        self.now += self.chance.uniform(0, 0.2)
        luck = self.chance.random()
        if self.rows and self.chance.random() < 0.2:
            self._load()
        elif luck < self.write_rate and self.writes:
            self.number += 1
            image = {"n": {"N": str(self.number)}} if self.chance.random() < 0.7 else None
            self.write(self.chance.choice(self.keys), image)
        elif luck < 0.8:
            self.chance.choice(list(self.shards.values())).serve()
        elif luck < 0.98:
            self.lead()
        elif luck < 0.98 + self.kill_rate:
            self.chance.choice(list(self.shards.values())).process = None  # killed
        elif luck < 0.992 and self.kill_rate and len(self.shards) < 8:
            self.rollover()

    def lead(self):
        """As daemon/prove.py: rounds of heartbeats, and what has come through."""
        if self.now - self.beaten_at >= 1:
            self.beaten_at = self.now
            begun = self.control.update("proof", Proof, lambda p: next_round(p or Proof(generation=GENERATION)))
            for shard in self.open_shards():
                shard.write("MODIFY", f"{PREFIX}{shard.bucket:020d}", {ROUND: {"N": str(begun.round)}})
            self.listed, self.listed_after = self.listing(), begun.round
        proven = lag.coverage(self.listed, self.states(), self.listed_after).proven_round
        proof, revision = self.control.get("proof", Proof) or (Proof(generation=GENERATION), 0)
        if proven > proof.proven_round:
            self.control.put("proof", proof_of(proof, proven), revision)

    def states(self):
        return {name: state for name, (state, _) in self.control.all(shards_of(GENERATION), ShardState).items()}

    def damage(self, key):
        """What a target must never do, at the very version that is there."""
        known = self.target.changes.get(Key(key))
        if known is None:
            return None
        kind = "extra" if known.item is None else self.chance.choice(("missing", "stale", "changed"))
        other = Item(encode_item({"id": key, "damaged": kind}))
        made = {
            "missing": Change(known.key, known.version, None),
            "stale": Change(known.key, known.version - 7_000_000, other),
            "changed": Change(known.key, known.version, other),
            "extra": Change(known.key, known.version, other),
        }[kind]
        self.target.changes[known.key] = made
        return kind

    def settle(self):
        """The application rests, and all that is in the stream is applied."""
        self.writes = False
        for _ in range(3000):
            if all(s.read == len(s.records) and s.process for s in self.shards.values() if not s.closed) and all(
                s.lease.checkpoint == "SHARD_END" for s in self.shards.values() if s.closed
            ):
                break
            for shard in list(self.shards.values()):
                shard.serve()
        else:
            raise AssertionError("the stream is not read to its end")
        self.writes = True

    def wrong(self):
        """The keys whose row is not the source's item."""
        return [key for key in self.keys if self.row(key) != self.source.get(key)]

    def row(self, key):
        change = self.target.changes.get(Key(key))
        if change is None or change.item is None:
            return None
        return {n: {"N": str(v)} for n, v in change.item.attributes().items() if n != "id"}

    # who repairs

    def repairer(self, crash_rate=0.0, kind=Repairer):
        def between(act):
            def acted(*arguments):
                self._between(crash_rate)
                found = act(*arguments)
                self._between(crash_rate)
                return found

            return acted

        control = SimpleNamespace(**{n: between(getattr(self.control, n)) for n in ("get", "all", "put", "update")})
        watch = Watch(control, GENERATION, self)
        return kind(
            control=control,
            generation=GENERATION,
            watch=watch,
            source=between(self._read),
            target=SimpleNamespace(apply=between(self.target.apply), read=between(self.target.read)),
            listing=between(self.listing),
            clock=self,
        )

    def _between(self, crash_rate):
        if self.chance.random() < crash_rate:
            self.crashes += 1
            raise Crash
        for _ in range(self.chance.choice((0, 0, 1, 2, 6))):
            self.step()

    def _read(self, keys):
        found = {key: self.source.get(key.partition) for key in keys}
        return {key: item_of(key.partition, image) for key, image in found.items() if image}


def item_of(key, image):
    return Item(encode_item({"id": key, **attributes(image)}))


def attributes(image):
    return {name: Decimal(value["N"]) for name, value in image.items()}


def next_round(proof):
    return msgspec.structs.replace(proof, round=proof.round + 1)


def proof_of(proof, proven):
    return msgspec.structs.replace(proof, proven_round=proven, generation=GENERATION)
