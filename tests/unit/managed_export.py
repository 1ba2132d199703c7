"""A fake of AWS's export API, and a migration whose export is waited for, on a clock of its own."""

from datetime import UTC, datetime
from types import SimpleNamespace

from botocore.exceptions import ClientError
from fakes import Crash, MemoryControl, ObjectStore

from daemon import anchor, exporting
from daemon.config import Config
from daemon.control import Migration, Part, parts_of
from daemon.cutover import Limits
from daemon.demo.export import write_export
from daemon.exporting import RECORD, Job
from daemon.phase import Phase
from sinks.change import KeyAttribute, KeySchema
from sinks.memory import MemorySink

TABLE_ARN = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders"
NOW = 1_700_000_000.5
MARGIN = 120
LIMITS = Limits(max_lag_seconds=5, stable_for_seconds=10)
ROWS = [{"id": {"S": str(number)}} for number in range(7)]


def answer(code, operation="ExportTableToPointInTime", message="because"):
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


class ExportApi:
    """AWS's side: exports by their tokens. Nothing is over before `finish` or `fail` says so."""

    def __init__(self, store, clock):
        self.store, self.clock = store, clock
        self.exports, self.tokens, self.requests, self.refusals = {}, {}, [], []
        self.recovery = "ENABLED"

    def export_table_to_point_in_time(self, **request):
        self.requests.append(request)
        if self.refusals:
            raise self.refusals.pop(0)
        known = self.tokens.get(request["ClientToken"])
        if known is not None and known[0] != request:
            raise answer("ExportConflictException", message="Duplicate request detected")
        if known is None:
            arn = f"{TABLE_ARN}/export/0{len(self.exports)}"
            self.tokens[request["ClientToken"]] = request, arn
            self.exports[arn] = {
                "ExportArn": arn,
                "ExportStatus": "IN_PROGRESS",
                "TableArn": TABLE_ARN,
                "S3Bucket": request["S3Bucket"],
                "ClientToken": request["ClientToken"],
                "ExportTime": datetime.fromtimestamp(request["ExportTime"], UTC),
            }
        arn = self.tokens[request["ClientToken"]][1]
        return {"ExportDescription": self.exports[arn]}

    def describe_export(self, *, ExportArn):  # noqa: N803  boto3's names
        if ExportArn not in self.exports:
            raise answer("ExportNotFoundException", "DescribeExport")
        found = self.exports[ExportArn]
        if isinstance(found, Exception):
            raise found
        return {"ExportDescription": found}

    def list_exports(self, *, TableArn, NextToken="0"):  # noqa: N803
        """One to a page."""
        assert TableArn == TABLE_ARN
        arns, number = list(self.exports), int(NextToken)
        more = {"NextToken": str(number + 1)} if number + 1 < len(arns) else {}
        return {"ExportSummaries": [{"ExportArn": arn} for arn in arns[number : number + 1]], **more}

    def describe_continuous_backups(self, **_):
        found = {"PointInTimeRecoveryStatus": self.recovery}
        return {"ContinuousBackupsDescription": {"PointInTimeRecoveryDescription": found}}

    def describe_table(self, **_):
        return {"Table": {"TableArn": TABLE_ARN, "TableSizeBytes": 3_200_000_000}}

    def finish(self, arn=None, **summary):
        """The export is made, as of its ExportTime."""
        arn = arn or list(self.exports)[-1]
        at = summary.get("export_time") or self.exports[arn]["ExportTime"]
        url = write_export(self.store, "bbb", "p", summary.get("table_arn", TABLE_ARN), ROWS, files=3, export_time=at)
        self.exports[arn] |= {"ExportStatus": "COMPLETED", "ExportManifest": url.removeprefix("s3://bbb/")}
        return url

    def fail(self, code, message="because"):
        self.exports[list(self.exports)[-1]] |= {
            "ExportStatus": "FAILED",
            "FailureCode": code,
            "FailureMessage": message,
        }


class Clock:
    def __init__(self):
        self.now = NOW

    def time(self):
        return self.now

    monotonic = time


class CrashingControl(MemoryControl):
    """Dies right before, or right after, one of its writes."""

    def __init__(self):
        super().__init__()
        self.writes, self.dies_at, self.after = 0, None, False

    def put(self, record, value, revision):
        number, self.writes = self.writes, self.writes + 1
        if number == self.dies_at and not self.after:
            raise Crash
        revision = super().put(record, value, revision)
        if number == self.dies_at:
            raise Crash
        return revision


def configured(**backfill):
    return Config(
        migration="orders",
        source={"table": "orders", "region": "eu-west-1"},
        backfill={"clock_margin_seconds": MARGIN, **(backfill or {"export": {"bucket": "bbb"}})},
        target={"kind": "dynamodb", "table": "moved", "region": "eu-west-1"},
        dead_letters={"to": "/letters"},
    )


class Move:
    """A migration whose export is waited for."""

    def __init__(self, control=None, **backfill):
        self.clock, self.store = Clock(), ObjectStore()
        self.api = ExportApi(self.store, self.clock)
        self.control = control or MemoryControl()
        stream = SimpleNamespace(arn="arn:stream", shards={"s": None}, created_at=NOW - 3600)
        self.known = SimpleNamespace(
            config=configured(**backfill),
            clock=self.clock,
            control=self.control,
            control_of=lambda _: MemoryControl(),
            dynamodb=self.api,
            s3=self.store,
            table=SimpleNamespace(arn=TABLE_ARN),
            facts=SimpleNamespace(keys=KeySchema(KeyAttribute("id", "S")), table_arn=TABLE_ARN, stream=stream),
            letter_box=SimpleNamespace(try_out=lambda: "/letters"),
            sink=MemorySink,
        )

    def anchored(self):
        self.known.facts.stream.shards = {"s": SimpleNamespace(parent=None, id="s")}
        return anchor.anchor(self.known)

    def waits(self):
        """As the anchor leaves it."""
        self.control.update(
            "migration",
            Migration,
            lambda _: Migration(
                phase=Phase.ANCHORED, pending=True, generation=1, reserved=1, anchored_at=NOW, exported_at=NOW
            ),
        )
        return self

    def advance(self, seconds=0.0):
        self.clock.now += seconds
        exporting.advance(self.known)
        return self.job

    @property
    def job(self):
        found = self.control.get(RECORD, Job)
        return found[0] if found else None

    @property
    def migration(self):
        return self.control.get("migration", Migration)[0]

    @property
    def parts(self):
        return [part for part, _ in self.control.all(parts_of(1), Part).values()]


def running(**backfill):
    move = Move(**backfill).waits()
    move.advance(MARGIN + 1)
    assert move.job.state == "running"
    return move
