"""The switch of the writers, drilled: an application that follows the published routes, and everything that may fail.

A client polls the route, decides, and writes a moment later, at most `PATIENCE_SECONDS` after it has looked; a careless
one writes whenever it comes to it. What they wrote is compared with what the target holds in the end.
"""

import json

import msgspec
from fakes import Crash
from simulation.faults import Fault
from simulation.kcl import Jvm
from simulation.world import World

from daemon import cutting_over
from daemon.abort import aborted, lift
from daemon.control import Migration
from daemon.fence import FenceFailed
from daemon.phase import Phase
from daemon.preflight import CheckFailed
from daemon.stray import STRAYS, Stray
from daemon.switching import Step

PATIENCE_SECONDS, POLL_SECONDS = 2.0, 1.5
WINDOW_SECONDS = 4.0  # above the sum of the two
TIMEOUTS_SECONDS = (15.0, 60.0, 300.0)
ATTEMPTS_MAX = 4


class Client:
    """One writer of the application."""

    code = None

    def __init__(self, world, *, careless=False):
        self.world, self.careless = world, careless
        self.epoch, self.routes, self.looked_at = -1, None, float("-inf")
        self.planned = None

    def step(self, chance, now):  # noqa: ARG002  an actor's
        if self.planned is not None:
            write, at = self.planned
            self.planned = None
            if self.careless or self.world.clock.now - at <= PATIENCE_SECONDS:
                write()
            return
        if self.world.clock.now - self.looked_at > (60.0 if self.careless else POLL_SECONDS):
            self._look()
        if self.routes is None or self.routes.writes_fenced or chance.random() < 0.3:
            return
        key = chance.choice(self.world.keys)
        number = self.world.next_number()
        image = None if chance.random() < 0.3 else {"n": {"N": str(number)}}
        write = self.world.write_source if self.routes.writes == "source" else self.world.write_target
        self.planned = (lambda: write(key, image), self.world.clock.now)

    def _look(self):
        migration = self.world.record()
        assert migration.epoch >= self.epoch
        self.epoch, self.routes, self.looked_at = migration.epoch, migration.routes, self.world.clock.now


class SimFence:
    """A fence of its own beside the flag, which now and then refuses or answers too late. An older epoch is ignored."""

    def __init__(self, world):
        self.world, self.held, self.epoch = world, False, 0

    def hold(self, attempt):
        self.world.between()
        if self.world.adverse and self.world.chance.random() < 0.1:
            raise FenceFailed("the lock is somebody else's")
        self._becomes(attempt, held=True)
        self.world.between()

    def lift(self, attempt, writes):  # noqa: ARG002  the protocol's
        self.world.between()
        self._becomes(attempt, held=False)
        if self.world.adverse and self.world.chance.random() < 0.2:
            raise FenceFailed("it was lifted, and the answer was lost")

    def _becomes(self, attempt, *, held):
        if attempt.epoch >= self.epoch:
            self.epoch, self.held = attempt.epoch, held


class CutoverWorld(World):
    """A move that is ready, whose writers then switch. `crash_at`: all of ours dies as that step is persisted."""

    def __init__(self, seed, *, crash_at=None, careless=None, give_up=False, **settings):
        self.fence, self.crash_at, self.crashed = SimFence(self), crash_at, 0
        self.commit_at, self.app_writes, self.numbers = None, {}, 10_000
        self.attempts, self.undone, self.last_step, self.give_up = 0, 0, None, give_up
        super().__init__(seed, layout="document", crash_rate=0.0005, poison_rate=0.0, **settings)
        self.poisonous, self.clients = False, []
        careless = self.chance.random() < 0.3 if careless is None else careless
        self.careless = careless
        self.clock.idle = self._meanwhile
        if self.kind == "cassandra":
            self.target.skews = (self.chance.uniform(-3, 3), self.chance.uniform(-3, 3))
        else:
            # What lands after any patience is what the hard fence is for (README, "The switch of the writers").
            self.sink_faults.kinds = tuple(kind for kind in self.sink_faults.kinds if kind is not Fault.LATE)

    def _configured(self):
        config = super()._configured()
        cutover = config.cutover.model_copy(update={"window_seconds": WINDOW_SECONDS})
        return config.model_copy(update={"cutover": cutover})

    def fences(self):
        return [self.fence]

    # the application

    def next_number(self):
        self.numbers += 1
        return self.numbers

    def write_source(self, key, image):
        self.source.write(key, image)

    def write_target(self, key, image):
        skew = self.chance.choice(self.target.skews) if self.kind == "cassandra" else 0.0
        at = int((self.clock.now + skew) * 1e6)
        at = max(at, self.app_writes.get(key, (0, None))[0] + 1)
        self.app_writes[key] = (at, image)
        if self.kind == "cassandra":
            self._write_cql(key, image, at)
            return
        item = {"id": {"S": key}, **(image or {})}
        operation = ("DeleteItem", {"Key": {"id": {"S": key}}}) if image is None else ("PutItem", {"Item": item})
        self.target.execute(operation[0], {"TableName": "orders", **operation[1]})

    def _write_cql(self, key, image, at):
        self.target.delete((key,), at - 1 if image is not None else at)
        if image is not None:
            cells = {"attrs": json.dumps(image, separators=(",", ":")), "version": at}
            self.target.insert((key,), cells, at)

    # the world

    def record(self):
        """The migration record as it lies there; nobody is asked."""
        item = self.control_store.execute(
            "GetItem",
            {
                "TableName": "moveout-control",
                "ConsistentRead": True,
                "Key": {"migration": {"S": "sim"}, "record": {"S": "migration"}},
            },
        )["Item"]
        return msgspec.json.decode(item["body"]["S"], type=Migration)

    def disturbers(self):
        write, *_, disturb = super().disturbers()
        return [*self.clients, disturb] if self.chance.random() < 0.2 else self.clients or [write]

    def steals(self):
        return self.adverse and self.chance.random() < 0.02

    def _storm(self, *, rages):
        """Faults, crashes and thefts while the switch is under way; the move is ready before each attempt."""
        rates = self.rates if rages else (0.0, 0.0)
        self.adverse, (self.control_faults.rate, self.sink_faults.rate) = rages, rates

    def _actors(self):
        found = super()._actors()
        if not self.adverse:
            found += self.clients
        if any(not isinstance(actor, Jvm) for actor in self.actors_now) and self.chance.random() < 0.7:
            return [actor for actor in found if not isinstance(actor, Jvm)]
        return found

    def step(self):
        super().step()
        self.look()

    def between(self):
        self.look()
        super().between()

    def look(self):
        """What must hold at every instant; and the crash that was asked for."""
        if not self.attempts:
            return
        migration = self.record()
        routes, phase = migration.routes, migration.phase
        if routes.writes == "target" and phase is not Phase.SWITCHED:
            self.checks._fail(f"writes go to the target in phase {phase}")
        if phase is Phase.SWITCHED and (routes.writes == "source" or routes.writes_fenced):
            self.checks._fail(f"switched, and the route is {routes}")
        if routes.writes_fenced and phase is not Phase.SWITCHING:
            self.checks._fail(f"fenced in phase {phase}")
        if phase is Phase.SWITCHED and self.commit_at is None:
            self.commit_at = self.clock.now
        step = migration.switch.step if migration.switch else None
        if step is not self.last_step:
            self.last_step = step
            if step is self.crash_at and not self.crashed:
                self.crashed += 1
                for replica in self.replicas:
                    replica.kill()
                self.may_crash()

    def _meanwhile(self):
        """While a shard's process sleeps, or stands still, everybody else goes on; its siblings too."""
        actor = self.actors_now[-1] if self.actors_now else None
        if not isinstance(actor, Jvm):
            self.between()
            return
        if any(not isinstance(below, Jvm) for below in self.actors_now):
            raise Crash  # whom it waits for is below it on this one stack: it is killed instead
        siblings = [one for one in actor.servings.values() if not (one.ended or one.busy)]
        if siblings and self.chance.random() < 0.5:
            sibling = self.chance.choice(siblings)
            actor._guarded(lambda: sibling.poll(self.clock.now))
        else:
            self.step()
        self.may_crash()
        if actor.code is not None:
            raise Crash

    # the drill

    def run(self):
        self._before()
        self.poisonous = False
        self.rates = (self.control_faults.rate / 4, self.sink_faults.rate / 4)
        self._calm()
        self._until(self.checks.ready, "become ready")
        known = self.operator()
        self._ask(lambda: cutting_over.route_readers(known, 100))
        self.clients = [Client(self), Client(self), Client(self, careless=self.careless)]
        if self.give_up:
            self._give_up(known)
            return
        while self.record().phase is not Phase.SWITCHED:
            self.attempts += 1
            if self.attempts > 4 * ATTEMPTS_MAX:
                self.checks._fail(f"cannot switch: {self.record().switch}")
            self._storm(rages=False)
            self._attempt_switch(known)
        self._finish()

    def _ask(self, act):
        """A person's command, which may meet any fault; again until it was heard."""
        for _ in range(200):
            try:
                return act()
            except CheckFailed as error:
                return str(error)
            except (Crash, Exception) as error:  # noqa: BLE001  as a person sees it
                self.said.append(f"operator: {type(error).__name__}: {error}")
                self.step()
        raise AssertionError(f"seed {self.seed}: nobody listens")

    def _attempt_switch(self, known):
        for _ in range(4000):
            if not self._ask(lambda: cutting_over.writers_refused(known)):
                break
            self.step()
        else:
            self.checks._fail(f"not ready again: {self.checks.last_message()} {self.said[-3:]}")
        self._storm(rages=self.attempts <= ATTEMPTS_MAX)
        timeout = self.chance.choice(TIMEOUTS_SECONDS) if self.adverse else 300.0
        self._ask(lambda: cutting_over.request_writers(known, timeout))
        for number in range(4000):
            migration = self.record()
            if migration.phase is not Phase.SWITCHING or migration.switch.step is Step.DONE:
                self.undone += migration.phase is Phase.REPLICATING
                return
            if self.adverse and self.chance.random() < 0.003 and number > 20:
                self._ask(lambda: cutting_over.cancel_writers(known))
            self.step()
        self.checks._fail(f"the switch does not end: {self.record().switch} {self.said[-3:]}")

    def _finish(self):
        for _ in range(150):
            self.step()
        self._calm()
        for client in self.clients:
            client.step = lambda *_: None
        for _ in range(4000):
            if self.record().switch.step is Step.DONE and not self._behind():
                break
            self.step()
        else:
            self.checks._fail(f"does not open, or watch: {self.record().switch} {self.said[-3:]}")
        self.nothing_is_lost()

    def _behind(self):
        """Records of the source that nobody has looked at yet."""
        leases = self.lease_tables.of(next(reversed(self.lease_tables.tables)))
        for shard in self.source.shards.values():
            lease = leases.get(shard.name)
            done = lease is not None and (
                lease.checkpoint == "SHARD_END"
                or (lease.checkpoint.isdigit() and int(lease.checkpoint) >= self._last_write(shard))
            )
            if shard.records and not done:
                return True
        return False

    def _last_write(self, shard):
        own = [r.number for r in shard.records if b"moveout#heartbeat" not in r.binary_data]
        return own[-1] if own else 0

    def _give_up(self, known):
        """An abort at some instant of a switch."""
        self.attempts += 1
        self._storm(rages=True)
        self._ask(lambda: cutting_over.request_writers(known, 60.0))
        for _ in range(self.chance.randrange(150)):
            self.step()
        if self.record().phase is Phase.SWITCHED:
            return
        told = self._ask(
            lambda: known.control.update("migration", Migration, lambda now: aborted(now, self.clock.now)).message
        )
        if self.record().phase is Phase.SWITCHED:
            assert "cannot be aborted" in told
            return
        self._ask(lambda: lift(known, self.record()))
        self._calm()
        for _ in range(400):
            self.step()
        migration = self.record()
        if (
            migration.phase is not Phase.ABORTED
            or migration.routes.writes != "source"
            or migration.routes.reads_percent
        ):
            self.checks._fail(f"aborted, and the record is {migration}")
        if self.fence.held:
            self.checks._fail("aborted, and the fence is held")
        if [child for child in self.children if child.code is None]:
            self.checks._fail("aborted, and a process goes on")

    def strays(self):
        return {name: stray for name, (stray, _) in self.operator().control.all(STRAYS, Stray).items()}

    def nothing_is_lost(self):
        """Each write of the application is in the target, was overwritten by a newer one, or is kept as a stray."""
        if self.fence.held:
            self.checks._fail("switched, and the fence is held")
        strays, rows = self.strays(), self.checks.rows()
        images = [json.loads(bytes(stray.new)) or {} for stray in strays.values()]
        kept = {image.get("n", {}).get("N") for image in images} - {None}
        gone = sum(stray.event == "REMOVE" for stray in strays.values())
        if strays and not any(client.careless for client in self.clients):
            self.checks._fail(f"strays, and nobody was careless: {list(strays)}")
        for key in self.keys:
            self._kept(key, rows.get(key), kept, gone)

    def _is_kept(self, key, put, kept):
        """As a stray: it came through the fence behind its proof. A deletion has no number: it is one of this key."""
        if put.image is not None:
            return put.image.get("n", {}).get("N") in kept
        removed = [stray for stray in self.strays().values() if stray.event == "REMOVE"]
        fenced = put.at > self.record().switch.fenced_at
        return fenced and any(json.loads(bytes(stray.key))["id"]["S"] == key for stray in removed)

    def _kept(self, key, row, kept, gone):
        puts = self.source.history.get(key, [])
        after = [put for put in puts if put.at > self.commit_at]
        for put in after:
            if put.image is not None and put.image["n"]["N"] not in kept:
                self.checks._fail(f"{key}: {put} came after COMMIT at {self.commit_at}, and nobody has kept it")
        if any(put.image is None for put in after) and not gone:
            self.checks._fail(f"{key}: a deletion came after COMMIT, and nobody has kept it")
        if key in self.app_writes:
            image = self.app_writes[key][1]
            wanted = [None if image is None else {"id": {"S": key}, **image}]
        else:
            before = [put for put in puts if put.at <= self.commit_at]
            late = [put for put in before if self._is_kept(key, put, kept)]
            certain = [put for put in before if put not in late]
            wanted = [certain[-1].image if certain else None, *(put.image for put in late)]
        if row not in wanted:
            self.checks._fail(f"{key} is {row} in the target, {wanted} was written")
