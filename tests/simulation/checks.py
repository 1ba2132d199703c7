"""The invariants, held at every step.

I1  after the storm the target equals the source
I2  what a checkpoint passes is durable: in the target, or among the dead letters
I3  no false "lag zero": what is said to be applied through is applied
I4  generation, phase within it, and epoch only move forward
"""

import json

from daemon.control import Migration
from daemon.cutover import FOLLOWING
from daemon.phase import Phase
from daemon.source.heartbeat import PREFIX

ORDER = list(Phase)


class Violation(AssertionError):
    """An invariant does not hold."""


class Checks:
    """Watches one world. Raises its Violation."""

    def __init__(self, world):
        self.world = world
        self.forward = (0, 0, 0)
        self.proofs = self.proven = 0
        self.gaps = 0

    def _fail(self, what):
        raise Violation(f"seed {self.world.seed}: {what}")

    # I2

    def watch(self, serving):
        """Remember what this process has read, and what became of it."""
        inner = serving.inner
        serving.read, serving.durable = {}, set()
        read, apply, keep = inner._read, inner._apply, inner._keep

        def reading(body, sequence, clock):
            event = read(body, sequence, clock)
            serving.read[int(sequence)] = event.change
            return event

        def applying(changes):
            rejections = apply(changes)
            refused = {rejection.change for rejection in rejections}
            serving.durable.update(change for change in changes if change not in refused)
            return rejections

        def keeping(rejections):
            keep(rejections)
            serving.durable.update(rejection.change for rejection in rejections)

        detect, keep_stray = inner._detect, inner._keep_stray

        def keeping_stray(shard, event, body):
            keep_stray(shard, event, body)
            serving.durable.add(event.change)

        def detecting(events, records):
            detect(events, records)
            # What it passes over, a process before it had made durable: applied, or kept as a stray.
            serving.durable.update(event.change for event in events if int(event.sequence) <= inner._known_to)
            serving.durable.update(event.change for event in events if event.expired)

        inner._read, inner._apply, inner._keep = reading, applying, keeping
        inner._detect, inner._keep_stray = detecting, keeping_stray

    def checkpoint(self, serving, sequence):
        """The KCL is about to remember this position; None is the shard's end."""
        number = None if sequence is None else int(sequence)
        for at, change in serving.read.items():
            if change is not None and (number is None or at <= number) and change not in serving.durable:
                self._fail(f"I2: {serving.shard} is checkpointed at {sequence}, but record {at} is not durable")
        shard = serving.jvm.shards().get(serving.shard)
        delivered = max(serving.read, default=0)
        if number is not None and number > max(delivered, serving.after):
            self._fail(f"I2: {serving.shard} is checkpointed at {number}, delivered was {delivered}")
        if (
            number is None
            and shard is not None
            and shard.records
            and shard.records[-1].number > max(delivered, serving.after)
        ):
            self._fail(f"I2: {serving.shard} is ended before its last record")

    # I3, I4

    def published(self, service):
        """After each turn of a replica."""
        document = service.published
        if document is None:
            return
        if document.ready.readers and document.dead_letters.open:
            self._fail("I3: ready, with dead letters open")
        self._moves_forward(service)
        # Once the writers have switched the source is only watched, and the target has newer writes of their own.
        if service._leading and document.lag.seconds is not None and document.phase is not Phase.SWITCHED:
            self._applied_through(document)

    def _moves_forward(self, service):
        found = service._control.get("migration", Migration)
        if found is None:
            return
        migration = found[0]
        now = (migration.generation, ORDER.index(migration.phase), migration.epoch)
        # A switch that was undone before COMMIT goes on replicating.
        undone = self.forward[1] == ORDER.index(Phase.SWITCHING) and migration.phase is Phase.REPLICATING
        if (now[:2] < self.forward[:2] and not undone) or now[2] < self.forward[2]:
            self._fail(f"I4: from {self.forward} back to {now}")
        if migration.ready_since is not None and migration.phase not in FOLLOWING:
            self._fail(f"I4: ready in phase {migration.phase}")
        self.forward = now

    def _applied_through(self, document):
        from datetime import datetime

        through = datetime.fromisoformat(document.lag.applied_through).timestamp()
        if through <= self.proven:
            return
        self.proven = through
        self.proofs += 1
        rows = self.rows()
        letters = {letter.key for letter in self._letters()}
        for key, puts in self.world.source.history.items():
            if json.dumps({"id": {"S": key}}, separators=(",", ":")) not in letters:
                self._reached(key, puts, rows.get(key), through)

    def _reached(self, key, puts, row, through):
        """The target holds the state of the key as of `through`, or a later one."""
        before = [put for put in puts if put.at < through - 0.002]  # the document has whole milliseconds
        if not before:
            return
        allowed = [before[-1].image, *[put.image for put in puts if put.number > before[-1].number]]
        if row not in allowed:
            self._fail(f"I3: applied through {through} is claimed, but {key} is {row}, written was {before[-1]}")

    def _letters(self):
        letters = self.world.operator().dead_letters.all().values()
        return [letter for letter in letters if letter.state == "open"]

    # I1

    def rows(self):
        """What the target holds: key -> item in typed JSON, without what a sink adds."""
        if self.world.kind == "cassandra":
            visible = self.world.target.visible()
            return {key[0]: {"id": {"S": key[0]}, **_attributes(cells)} for key, cells in visible.items()}
        table = self.world.target.tables.get("orders")
        items = table.items.values() if table is not None else ()
        return {item["id"]["S"]: {n: v for n, v in item.items() if n != "moveout:version"} for item in items}

    def target_equals_source(self):
        """The end."""
        rows = {key: row for key, row in self.rows().items() if not key.startswith(PREFIX)}
        if rows != self.world.source.items:
            differing = {
                key: (rows.get(key), self.world.source.items.get(key))
                for key in {*rows, *self.world.source.items}
                if rows.get(key) != self.world.source.items.get(key)
            }
            self._fail(f"I1: target and source differ (target, source): {differing}")
        if len(rows) != len(self.rows()):
            self._fail("I1: heartbeats are in the target")

    def ready(self):
        """True when some replica says that readers may switch, with all that was written in the target."""
        for replica in self.world.replicas:
            service = replica.service
            document = service.published if service is not None else None
            if document is not None and service._leading and document.ready.readers:
                return self.proven > self.world.stopped_at
        return False

    def healed(self):
        """A resync has begun."""
        self.gaps += 1

    def last_message(self):
        """What the service says about why it is not ready."""
        found = [r.service.published.message for r in self.world.replicas if r.service and r.service.published]
        return found[-1] if found else "nothing was published"


def _attributes(cells):
    """Of a row in either layout: what has a column of its own is an attribute as well."""
    typed = {name: value for name, value in cells.items() if name not in ("attrs", "version")}
    told = {name: {"BOOL": value} if isinstance(value, bool) else {"N": str(value)} for name, value in typed.items()}
    return {**json.loads(cells["attrs"]), **told}
