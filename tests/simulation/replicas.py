"""What runs in a world: replicas of the service with their children, over the world's stores."""

import json

import msgspec
from botocore.exceptions import HTTPClientError
from fakes import Crash, ObjectStore
from simulation.dynamodb_store import failed
from simulation.dynamodb_wire import Client
from simulation.faults import Faults
from simulation.kcl import EXIT_FAILED, EXIT_KILLED, Jvm
from simulation.source import TABLE, Streams, described_table

from daemon import worker
from daemon.app import Parts
from daemon.beside import FAILURES, Beside
from daemon.control import Conflict, Migration
from daemon.kcl.start import application_name
from daemon.preflight import CheckFailed
from daemon.service import Service

BEGIN = 1_700_000_000.0


class SimClock:
    """daemon.clock.Clock; whoever sleeps lets others act."""

    def __init__(self, chance):
        self.now = BEGIN
        self._chance = chance
        self.idle = lambda: None

    def time(self):
        return self.now

    def monotonic(self):
        return self.now

    def advance(self, seconds):
        self.now += seconds

    def sleep(self, _):
        """For how long is by our dice: the sleeper's own (jitter) are not of this seed."""
        self.now += self._chance.uniform(0, 2)
        self.idle()


class Interruptions(Faults):
    """Faults that also let others act, and let the asker die, before a request."""

    def __init__(self, world, **settings):
        super().__init__(world.chance, **settings)
        self._world = world

    def next(self, operation, key):
        self._world.between()
        return super().next(operation, key)


class SimStore(ObjectStore):
    """S3 that is slow down, cuts bodies short, or loses an object for a while."""

    def __init__(self, world):
        super().__init__()
        self._world = world

    def get_object(self, **request):
        self._world.between()
        found = super().get_object(**request)
        if self._world.adverse and self._world.chance.random() < 0.03:
            body = found["Body"].read()
            found["Body"] = type(found["Body"])(body[: len(body) // 2])
        return found


class SourceClient(Client):
    """boto3's DynamoDB client on the source's side: the source table, and the control table beside it."""

    def __init__(self, world, faults):
        super().__init__(world.control_store, faults)
        self._world = world

    def describe_table(self, *, TableName):  # noqa: N803  boto3's names
        if TableName == TABLE:
            return described_table(self._world.source)
        return super().describe_table(TableName=TableName)

    def describe_time_to_live(self, *, TableName):  # noqa: ARG002, N803
        return {"TimeToLiveDescription": {"TimeToLiveStatus": "DISABLED"}}

    def put_item(self, **request):
        if request["TableName"] != TABLE:
            return super().put_item(**request)
        self._world.between()
        self._world.source.beat(request["Item"])
        return {}

    def get_item(self, **request):
        if request["TableName"] != TABLE:
            return super().get_item(**request)
        item = self._world.source.items.get(request["Key"]["id"]["S"])
        return {"Item": item} if item is not None else {}

    def __getattr__(self, operation):
        # Not of the store: the operations of exports, in worlds that have them.
        return getattr(self._world.exports, operation)

    def scan(self, **request):
        if request["TableName"] != TABLE:
            return super().scan(**request)
        return {}  # whether it may be scanned


class ScanCalls:
    """Scans of the source table: throttled, unanswered, cut short, and stale up to STALE_SECONDS_MAX."""

    def __init__(self, world):
        self._world = world

    def raw(self, operation, request):
        world = self._world
        world.between()
        fault = world.chance.choice(("throttled", "lost", "cut")) if world.adverse and world.sparse() else None
        if fault == "throttled":
            raise failed("ProvisionedThroughputExceededException", "slow down")
        asked = json.loads(msgspec.json.encode(request))
        answer = json.dumps(self._scanned(asked) if operation == "Scan" else self._many(asked)).encode()
        world.between()
        if fault == "lost":
            raise HTTPClientError(error=TimeoutError("timed out"))
        return answer[: len(answer) // 2] if fault == "cut" else answer

    def _scanned(self, asked):
        return self._world.source.scanned(asked)

    def _many(self, asked):
        """BatchGetItem, consistent; now and then some keys are left for another call."""
        keys = asked["RequestItems"][TABLE]["Keys"]
        taken = self._world.chance.randint(1, len(keys)) if self._world.adverse and self._world.sparse() else len(keys)
        found = [self._world.source.items.get(key["id"]["S"]) for key in keys[:taken]]
        left = {TABLE: {"Keys": keys[taken:], "ConsistentRead": True}} if keys[taken:] else {}
        return {"Responses": {TABLE: [item for item in found if item is not None]}, "UnprocessedKeys": left}

    def close(self):
        """Nothing is open."""


class SimParts(Parts):
    """The parts of one replica, over the world's stores."""

    def __init__(self, world, replica):
        tail = world.config.tail.model_copy(update={"worker_id": f"replica-{replica}"})
        super().__init__(world.config.model_copy(update={"tail": tail}))
        self._world = world
        self.clock, self.chance = world.clock, world.chance
        # cached_property: what is set here is never made
        self.dynamodb = SourceClient(world, world.control_faults)
        self.streams = Streams(world.source)
        self.s3 = world.s3

    def calls(self):
        return ScanCalls(self._world)

    def fences(self):
        return self._world.fences()

    def sink(self, *, may_create=True, writers=None):  # noqa: ARG002  as Parts has it
        world = self._world
        return world.sink_kind(
            world.target, self.keys, world.sink_faults, create_table=may_create, **world.sink_options
        )


class InlineBeside(Beside):
    """A thread's work at once: others act between its requests."""

    def __init__(self, world, name, act, every_seconds):
        super().__init__(name, act, every_seconds, world.clock)
        self._world = world

    def _spawn(self):
        if self._name == "settle" and self._world.loading():
            return  # see README, "What the simulator leaves out"
        self._run()


class SimWorker:
    """A backfill worker: a Process whose whole work is one step, with others in between."""

    def __init__(self, world, known, index, of):
        self.world, self.known, self.index, self.of = world, known, index, of
        self.code, self.busy = None, False
        self.pid = world.next_pid()

    def poll(self):
        return self.code

    def stop(self, grace_seconds):  # noqa: ARG002  the protocol's
        self.code = EXIT_KILLED if self.code is None else self.code
        return self.code

    kill = stop

    def step(self, chance, now):  # noqa: ARG002  an actor's
        if self.code is not None or self.busy:
            return
        self.busy = True
        try:
            worker.run(self.known, self.index, self.of)
            self.code = 0
        except Crash:
            self.code = EXIT_KILLED
        except Exception as error:  # noqa: BLE001  as the command line: one line and an exit code
            self.world.said.append(f"worker: {type(error).__name__}: {error}")
            self.code = EXIT_FAILED
        finally:
            self.busy = False


class SimProcesses:
    """daemon.processes.Processes: children that the world steps."""

    def __init__(self, world, known):
        self._world, self._known = world, known

    def check(self):
        """No JRE is needed here."""

    def kcl(self):
        migration, _ = self._known.control.get("migration", Migration)
        application = application_name("sim", migration.stream_arn, migration.generation)
        return self._world.born(Jvm(self._world, self._known, application, migration.stream_arn, migration.generation))

    def worker(self, index, of):
        return self._world.born(SimWorker(self._world, self._known, index, of))

    def beside(self, name, act, every_seconds=0.0):
        return InlineBeside(self._world, name, act, every_seconds)


class Replica:
    """`moveout run`, which may be killed at any request and is started again."""

    def __init__(self, world, number):
        self.world, self.number = world, number
        self.service, self.children, self.busy, self.code = None, [], False, None

    def step(self, chance, now):  # noqa: ARG002  an actor's
        if self.busy:
            return
        self.busy = True
        try:
            if self.service is None:
                self._start()
            else:
                self.service.turn()
                self.world.checks.published(self.service)
        except Crash:
            self.kill()
        except (CheckFailed, Conflict, *FAILURES) as error:
            self.world.said.append(f"service: {type(error).__name__}: {error}")
            self.kill()
        finally:
            self.busy = False

    def _start(self):
        self.code = None
        known = SimParts(self.world, self.number)
        service = Service(known, SimProcesses(self.world, known))
        service.prepare()
        if service.begun():
            self.service = service

    def kill(self):
        """The pod is gone, children and all."""
        self.code, self.service = EXIT_KILLED, None
        for child in self.world.children_of(self.number):
            child.kill(0) if isinstance(child, SimWorker) else child.kill()
