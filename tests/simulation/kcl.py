"""The KCL's part: leases, which shard may begin, what a page holds, who learns when that a lease is gone.

Around the real processor. A worker whose lease was taken goes on writing until its next checkpoint is refused; a
child waits for its parent's end; a record that is gone ends the JVM as GapDetector does (exit 44).
"""

from types import SimpleNamespace

from amazon_kclpy.kcl import CheckpointError
from fakes import Crash

from daemon.kcl.jvm import EXIT_GAP
from daemon.kcl.shard import processor

EXIT_KILLED, EXIT_FAILED, EXIT_STOPPED = -9, 1, 0
PAGE_RECORDS = (1, 2, 5, 40)


class Lease:
    """One row of the KCL's lease table."""

    def __init__(self):
        self.checkpoint, self.owner = "TRIM_HORIZON", None


class LeaseTables:
    """The lease tables, one per application name."""

    def __init__(self):
        self.tables = {}

    def of(self, application):
        return self.tables.setdefault(application, {})


class Serving:
    """One shard in the hands of one process."""

    def __init__(self, jvm, shard, lease):
        self.jvm, self.shard, self.lease = jvm, shard, lease
        self.ended = self.busy = False
        self.inner = processor(jvm.known, jvm.generation, shard)
        jvm.world.watch(self)
        # The lease may be another's when this process has begun: it reads from where it was told to begin.
        checkpoint = lease.checkpoint
        self.inner.initialize(SimpleNamespace(shard_id=shard, sequence_number=checkpoint))
        self.after = int(checkpoint) if checkpoint.isdigit() else 0

    @property
    def owned(self):
        return self.lease.owner is self.jvm

    def checkpoint(self, sequence=None):
        """amazon_kclpy's checkpointer: refused once the lease is another's."""
        self.jvm.world.may_crash()
        if not self.owned:
            raise CheckpointError("ShutdownException")
        fault = self.jvm.world.checkpoint_fault()
        if fault is not None:
            raise CheckpointError(fault)
        self.jvm.world.checked(self, sequence)
        self.lease.checkpoint = sequence or "SHARD_END"
        self.jvm.world.may_crash()

    def poll(self, now):
        """One page, perhaps empty although there is more, perhaps the last one together with the end."""
        self.busy = True  # it may stand still in there, while the other shards of this JVM go on
        try:
            self._poll(now)
        finally:
            self.busy = False

    def _poll(self, now):
        shard = self.jvm.shards().get(self.shard)
        # Whoever begins at the horizon is never told that something was there before.
        if shard is None or (self.after and shard.trimmed > self.after):
            raise GapMet(self.shard)
        left = [r for r in shard.records if r.number > self.after]
        ready = [r for r in left if r.visible_at <= now]
        size = 0 if self.jvm.world.sparse() else self.jvm.world.page_records()
        page = ready[:size]
        self.inner.process_records(SimpleNamespace(records=page, checkpointer=self, millis_behind_latest=None))
        if page:
            self.after = page[-1].number
        at_end = shard.closed_at is not None and len(page) == len(left)
        if at_end and not self.jvm.world.sparse():
            self.inner.shard_ended(SimpleNamespace(checkpointer=self))
            self.ended = True


class GapMet(Exception):
    """The iterator is beyond the horizon, or the shard is gone."""


class Jvm:
    """The KCL of one replica: a Process, as daemon.supervise wants it. Stepped by the world."""

    def __init__(self, world, known, application, arn, generation):
        self.world, self.known = world, known
        self.application, self.arn, self.generation = application, arn, generation
        self.leases = world.lease_tables.of(application)
        self.servings = {}
        self.code = None
        self.busy = False
        self.pid = world.next_pid()

    def shards(self):
        """What is left of the stream that it reads."""
        return self.world.source.stream(self.arn)[0]

    def poll(self):
        """Its exit code, or None while it runs."""
        return self.code

    def stop(self, grace_seconds):  # noqa: ARG002  the protocol's
        """SIGTERM: each shard may checkpoint what it has applied."""
        if self.code is None:
            self.busy = True
            for serving in list(self.servings.values()):
                if serving.owned and not (serving.ended or serving.busy):
                    self._guarded(lambda s=serving: s.inner.shutdown_requested(SimpleNamespace(checkpointer=s)))
            self._end(EXIT_STOPPED if self.code is None else self.code)
        return self.code

    def kill(self):
        """The JVM and its children are gone, between two instructions."""
        if self.code is None:
            self._end(EXIT_KILLED)

    def step(self, chance, now):
        """One thing that the KCL does next."""
        if self.code is not None or self.busy:
            return
        self.busy = True
        try:
            self._guarded(lambda: self._act(chance, now))
        finally:
            self.busy = False

    def _act(self, chance, now):
        if not self.servings or chance.random() < 0.2:
            self._look_for_shards()
            self._take(chance)
        running = [s for s in self.servings.values() if not s.ended]
        if running:
            serving = chance.choice(running)
            if not serving.owned and chance.random() < 0.5:
                serving.inner.lease_lost(None)
                self.servings.pop(serving.shard, None)
            else:
                serving.poll(now)
                if serving.inner._lost:
                    self.servings.pop(serving.shard, None)

    def _look_for_shards(self):
        """Leases for the shards whose parents are done, or were never listed."""
        found = self.world.source.listed(self.arn)
        listed = {shard.name for shard in found}
        for shard in found:
            parent = self.leases.get(shard.parent)
            begins = shard.parent not in listed if parent is None else parent.checkpoint == "SHARD_END"
            if begins and shard.name not in self.leases:
                self.leases[shard.name] = Lease()

    def _take(self, chance):
        """A free lease, or now and then one of a live worker."""
        for shard, lease in self.leases.items():
            if lease.checkpoint == "SHARD_END" or lease.owner is self:
                continue
            dead = lease.owner is None or lease.owner.code is not None
            if dead or self.world.steals():
                self._hand_over(lease, chance)
                lease.owner = self
                self.servings.pop(shard, None)
                self.servings[shard] = Serving(self, shard, lease)
                return

    def _hand_over(self, lease, chance):
        """The one who loses a lease may be told first, so that it checkpoints."""
        loser = lease.owner
        if loser is None or loser.code is not None or loser.busy or chance.random() < 0.5:
            return
        loser.busy = True  # a shard's process does one thing after the other: its pipe has one end
        try:
            for serving in [s for s in loser.servings.values() if s.lease is lease]:
                loser._guarded(lambda s=serving: s.inner.shutdown_requested(SimpleNamespace(checkpointer=s)))
                loser.servings.pop(serving.shard, None)
        finally:
            loser.busy = False

    def _guarded(self, act):
        """Whatever a shard's process raises ends it, and with it the JVM (OrDie)."""
        try:
            act()
        except Crash:
            self._end(EXIT_KILLED)
        except GapMet:
            self._end(EXIT_GAP)
        except Exception as error:  # noqa: BLE001  as in production
            self.world.said.append(f"shard process: {type(error).__name__}: {error}")
            self._end(EXIT_FAILED)

    def _end(self, code):
        self.code = code
        for lease in self.leases.values():
            if lease.owner is self:
                lease.owner = None
        self.servings.clear()
