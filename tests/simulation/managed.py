"""AWS's export API over the simulated source: for worlds in which moveout asks for its export itself.

Answers are lost before or after they had an effect, exports take a minute, and some of them fail.
"""

from datetime import UTC, datetime

from simulation.dynamodb_store import failed
from simulation.source import ARN, TABLE

from daemon import exporting
from daemon.control import Migration
from daemon.sections import ExportRequest

BUCKET = "exports"
TAKES_SECONDS = 60.0


class Exports:
    """ExportTableToPointInTime, DescribeExport, ListExports, DescribeContinuousBackups."""

    def __init__(self, world):
        self._world = world
        self._done_at = {}
        self.made, self.tokens = {}, {}
        self.asked = 0

    def describe_continuous_backups(self, *, TableName):  # noqa: N803  boto3's names
        assert TableName == TABLE
        on = {"PointInTimeRecoveryStatus": "ENABLED"}
        return {"ContinuousBackupsDescription": {"PointInTimeRecoveryDescription": on}}

    def export_table_to_point_in_time(self, **request):
        self._may_fail(0.2)
        self.asked += 1
        known, arn = self.tokens.setdefault(request["ClientToken"], (request, f"{ARN}/export/{len(self.made)}"))
        if known != request:
            raise failed("ExportConflictException", "Duplicate request detected")
        if arn not in self.made:
            at = datetime.fromtimestamp(request["ExportTime"], UTC)
            self.made[arn] = {
                "ExportArn": arn,
                "ExportStatus": "IN_PROGRESS",
                "TableArn": ARN,
                "S3Bucket": request["S3Bucket"],
                "ExportTime": at,
                "ClientToken": request["ClientToken"],
            }
            self._done_at[arn] = self._world.clock.now + self._world.chance.uniform(5, TAKES_SECONDS)
        self._may_fail(0.2)
        return {"ExportDescription": self.made[arn]}

    def describe_export(self, *, ExportArn):  # noqa: N803
        self._may_fail(0.05)
        found, world = self.made[ExportArn], self._world
        if found["ExportStatus"] == "IN_PROGRESS" and world.clock.now >= self._done_at[ExportArn]:
            code = world.chance.choice(("InternalServerError", "S3NoSuchBucket", None, None)) if world.adverse else None
            if code is not None:
                found |= {"ExportStatus": "FAILED", "FailureCode": code}
            else:
                url = world.source.full_export(world.s3, at=found["ExportTime"].timestamp())
                found |= {"ExportStatus": "COMPLETED", "ExportManifest": url.removeprefix(f"s3://{BUCKET}/")}
        return {"ExportDescription": dict(found)}

    def list_exports(self, **_):
        return {"ExportSummaries": [{"ExportArn": arn} for arn in self.made]}

    def _may_fail(self, rate):
        self._world.between()
        if self._world.adverse and self._world.chance.random() < rate:
            raise failed("InternalServerError")


def asks_for_its_export(config):
    """This configuration, without a manifest."""
    backfill = {"manifest": None, "export": ExportRequest(bucket=BUCKET, poll_seconds=1), "clock_margin_seconds": 60}
    return config.model_copy(update={"backfill": config.backfill.model_copy(update=backfill)})


def attempted_again(known):
    """A person reads that the export failed, and asks for another one."""
    migration = known.control.get("migration", Migration)
    job = known.control.get(exporting.RECORD, exporting.Job)
    if migration is not None and exporting.pending(migration[0]) and job is not None and job[0].state == "failed":
        exporting.again(known.control)
