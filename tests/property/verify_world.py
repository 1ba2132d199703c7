"""A table that lives, its stream, shards that lag and crash, a target: what a comparison must not be fooled by.

Everything happens between two reads of the comparison, by the dice of one seed: writes, deletions, keys that are put
and deleted again and again, pages applied and not yet saved, crashes and replays, rounds of heartbeats.
"""

import json
import random
import zlib
from types import SimpleNamespace

from fakes import MemoryControl

from daemon.control import Part
from daemon.source.page import Page
from daemon.verify.comparison import Comparison, Ports, Shares
from daemon.verify.record import RUN, Records, Run
from daemon.verify.rules import Expiry
from daemon.verify.settle import Settler
from sinks.change import Change, Item, Key, KeyAttribute, KeySchema
from sinks.memory import MemorySink

KEYS = KeySchema(KeyAttribute("id", "S"))
BASE = 1_700_000_000
B = (BASE - 300) * 1_000_000
PAGE_ROWS = 200
TTL = "ttl"


def respelled(item):
    """The same item as another encoder would write it."""
    said = json.loads(item.json)
    for name, value in list(said.items()):
        match value:
            case {"N": number}:
                said[name] = {"N": f"{number}.0" if "." not in number else number}
            case {"SS": members}:
                said[name] = {"SS": members[::-1]}
    return Item(json.dumps(dict(reversed(list(said.items())))).encode())


class Shard:
    """Applies its events in order; what it has saved is what others see of it."""

    def __init__(self, world):
        self.world, self.events, self.version = world, [], BASE * 1_000_000
        self.at, self.saved_at = 0, 0
        self.state = self.saved = SimpleNamespace(round=0, watch="", touched=frozenset())

    def add(self, key, item):
        self.version = max(self.version + 1, int(self.world.now) * 1_000_000)
        self.events.append((key, self.version, item))

    def page(self):
        """A page: look at the watch, then apply."""
        world, state = self.world, self.state
        if world.watch_id != state.watch:
            state = SimpleNamespace(round=state.round, watch=world.watch_id, touched=frozenset())
        for _ in range(world.chance.randrange(1, 12)):
            if self.at == len(self.events):
                break
            key, version, item = self.events[self.at]
            if key is None:
                state = SimpleNamespace(round=max(state.round, item), watch=state.watch, touched=state.touched)
            else:
                change = Change(key, version, None if item is None else respelled(item))
                world.sink.apply([change])
                if key in world.watched:
                    touched = state.touched | {key}
                    state = SimpleNamespace(round=state.round, watch=state.watch, touched=touched)
            self.at += 1
        self.state = state

    def save(self):
        self.saved_at, self.saved = self.at, self.state

    def crash(self):
        """What was not saved is done again."""
        self.at, self.state = self.saved_at, self.saved


class World:
    """`quiet` keys are written before the comparison begins, and not while it runs: damage to them stays."""

    def __init__(self, seed, keys=400, live=40, ttl=True, may_scan=True):
        self.chance = random.Random(seed)
        self.now, self.may_scan = float(BASE), may_scan
        self.ttl = TTL if ttl else None
        self.source, self.sink, self.writes = {}, MemorySink(), 0
        self.shards = [Shard(self) for _ in range(3)]
        self.round, self.watch_id, self.watched = 0, "", frozenset()
        self.control = MemoryControl()
        self.quiet = [Key(f"quiet{n}") for n in range(keys)]
        self.live = [Key(f"live{n}") for n in range(live)]
        self.toggling = [Key(f"toggle{n}") for n in range(live // 4)]
        self.writing = [*self.quiet, *self.live]
        for key in self.writing:
            if self.chance.random() < 0.8:
                self.source[key] = self._item(key)
        self.export = self._exported()
        for key, item in self.export:
            self.sink.apply([Change(key, B, respelled(item))])
        for _ in range(keys):
            self.step()
        self.writing = self.live
        self.drain()

    def _exported(self):
        """Good to a minute: the table is written meanwhile, and all of that is in the stream."""
        rows = []
        for key in list(self.writing):
            if self.chance.random() < 0.2:
                self.write(self.chance.choice(self.writing))
            if key in self.source:
                rows.append((key, self.source[key]))
        return rows

    def _item(self, key, may_expire=True):
        self.writes += 1
        said = {"id": {"S": key.partition}, "n": {"N": str(self.writes)}, "s": {"SS": ["a", "b", f"c{self.writes}"]}}
        if self.chance.random() < 0.3:
            said["flag"] = {"NULL": True}
        if self.ttl and may_expire and self.chance.random() < 0.1:
            said[TTL] = {"N": str(int(self.now) + self.chance.randrange(-500, 500))}
        return Item(json.dumps(said).encode())

    # what happens meanwhile

    def write(self, key, item=None):
        self.now += 0.01
        if item is None and (key in self.source and self.chance.random() < 0.35):
            self._event(key, None)
        else:
            self._event(key, item or self._item(key))

    def _event(self, key, item):
        if item is None:
            self.source.pop(key, None)
        else:
            self.source[key] = item
        self.shards[zlib.crc32(key.partition.encode()) % len(self.shards)].add(key, item)

    def step(self):
        luck, chance = self.chance.random(), self.chance
        shard = chance.choice(self.shards)
        if luck < 0.25:
            self.write(chance.choice(self.writing))
        elif luck < 0.35 and self.toggling:
            key = chance.choice(self.toggling)
            self._event(key, None if key in self.source else self._item(key))
        elif luck < 0.65:
            shard.page()
        elif luck < 0.85:
            shard.save()
        elif luck < 0.87:
            shard.crash()
        elif luck < 0.95:
            self.beat()
        elif luck < 0.97 and self.ttl:
            self._expire()

    def _expire(self):
        """The service deletes an expired item some day; a target with a TTL of its own has done so already."""
        for key, item in list(self.source.items()):
            at = json.loads(item.json).get(TTL)
            if at and float(at["N"]) < self.now and self.chance.random() < 0.5:
                self._event(key, None)
                return
        for change in list(self.sink.changes.values()):
            at = json.loads(change.item.json).get(TTL) if change.item else None
            if at and float(at["N"].removesuffix(".0")) < self.now and self.chance.random() < 0.3:
                self.sink.changes[change.key] = Change(change.key, change.version, None)
                return

    def steps(self, most=3):
        for _ in range(self.chance.randrange(most)):
            self.step()

    def beat(self):
        self.round += 1
        for shard in self.shards:
            shard.add(None, self.round)

    def drain(self):
        while any(shard.at < len(shard.events) for shard in self.shards):
            for shard in self.shards:
                shard.page()
        for shard in self.shards:
            shard.save()

    # settle.Sides

    def target(self, keys):
        found = {}
        for key in keys:
            self.steps(2)
            found.update(self.sink.read([key]))
        return found

    def consistent(self, keys):
        found = {}
        for key in keys:
            self.steps(2)
            if key in self.source:
                found[key] = self.source[key]
        return found

    # settle.Proofs

    def begun(self):
        self.steps()
        return self.round

    def wait_beyond(self, begun):
        while min(shard.saved.round for shard in self.shards) <= begun:
            self.step()

    # settle.Watch

    def begin(self, keys):
        self.watch_id, self.watched = f"w{self.chance.random()}", frozenset(keys)
        while any(shard.saved.watch != self.watch_id for shard in self.shards):
            self.step()
        return self.watch_id

    def end(self):
        self.watch_id, self.watched = "", frozenset()

    def knows(self):
        return True

    def untouched(self, keys):
        assert set(keys) <= self.watched
        return set(keys) - frozenset().union(*(shard.saved.touched for shard in self.shards))

    # the comparison over it

    def compared(self, number=1, shares=Shares(1.0, 1.0), wanted=lambda: None):  # noqa: B008  a value
        """A whole run; its record."""
        return self.resumed(self.claim(number), shares, wanted)

    def claim(self, number=1):
        """Begin a run; its number."""
        _, revision = self.control.get(RUN, Run) or (None, 0)
        self.control.put(RUN, Run(number, 1, owner="here"), revision)
        return number

    def resumed(self, number, shares, wanted):
        """What a process does that finds the run."""
        run, _ = self.control.get(RUN, Run)
        assert run.id == number
        return self.comparison(run, Records(self.control, KEYS), shares, wanted).compare()

    def comparison(self, run, records, shares, wanted):
        part = Part("s3://export/1", "", len(self.export), done=True, version=B)
        sides = SimpleNamespace(target=self.target, source=self.consistent)
        expiry = lambda: Expiry(self.ttl, self.now)  # noqa: E731
        ports = Ports(
            pages=self.pages,
            samples={"sample#0": Part("scan:t#0/1", "", len(self.source), kind="scan")} if self.may_scan else {},
            sides=sides,
            settler=Settler(sides, self, self, expiry),
            versions=self.versions,
            excused=set,
            excused_now=set,
            expiry=expiry,
            pace=SimpleNamespace(spend=lambda _: None),
            time=lambda: self.now,
            wanted=wanted,
        )
        return Comparison(records, run, {"000000": part}, shares, KEYS, ports)

    def pages(self, part):
        if part.kind == "scan":
            yield from self.scanned(int(part.position or 0))
            return
        for start in range(int(part.position or 0), len(self.export), PAGE_ROWS):
            rows = self.export[start : start + PAGE_ROWS]
            yield Page(rows, str(start + len(rows)), 1)

    def scanned(self, start):
        """Keys in one order, each as it is when its page is read."""
        keys = sorted({*self.writing, *self.quiet, *self.toggling}, key=lambda key: key.partition)
        while start < len(keys):
            found = [(key, self.source[key]) for key in keys[start : start + 40] if key in self.source]
            start += 40
            self.steps()
            yield Page(found, str(start), 1)

    def versions(self):
        rows = [(change.key, change.version) for change in self.sink.changes.values() if change.item is not None]
        for start in range(0, len(rows), 50):
            self.steps()
            yield rows[start : start + 50]

    def differences(self):
        """Key -> the difference that stands, and the keys that were too hot."""
        found = Records(self.control, KEYS).differences().values()
        by_state = {state: {} for state in ("open", "hot", "gone", "repaired")}
        for one in found:
            by_state[one.state][Key(json.loads(one.key)["id"]["S"])] = one
        return by_state

    # damage

    def damage(self, kind, key):
        """Plant one; False where this key has nothing to damage."""
        stored, changes = self.sink.read([key]).get(key), self.sink.changes
        item = self.source.get(key)
        expires = any(x is not None and TTL in json.loads(x.json) for x in (item, stored.item if stored else None))
        if expires or (stored is None) != (kind == "extra"):
            return False
        match kind:
            case "missing":
                del changes[key]
            case "extra":
                known = changes.get(key)
                changes[key] = Change(key, known.version - 1 if known else B, self._item(key, may_expire=False))
            case "stale":
                older = json.loads(item.json) | {"n": {"N": "0"}}
                changes[key] = Change(key, B - 5, Item(json.dumps(older).encode()))
            case "changed":
                altered = json.loads(stored.item.json)
                altered["n"] = {"N": altered["n"]["N"] + "1"}
                changes[key] = Change(key, stored.version, Item(json.dumps(altered).encode()))
        return True
