"""What DynamoDB is asked for when moveout lets an export be made, and what its answers mean.

ExportTableToPointInTime, DescribeExport and ListExports of the API reference. Coded from AWS's documentation and held
to the stand-in of `daemon/demo/servers/export_api.py`; not run on AWS.
"""

from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from daemon.sections import ExportRequest

# AWS forgets a token 8 hours after the first request with it; a request after that is a new one.
TOKEN_SECONDS = 7 * 3600
PASSES = 1_000_000  # tries: whoever waits is served
SOME_TRIES = 8
AGAIN = "then `moveout export --again` (the service must be restarted first where its configuration was changed)"


class Refusal(NamedTuple):
    """Why AWS does not make the export, what to do, and how often the same may be tried before a person must act."""

    message: str
    tries: int = 0


class Described(NamedTuple):
    """An export as DescribeExport tells it. Times are epoch seconds; 0 where AWS says nothing."""

    arn: str
    status: str  # IN_PROGRESS, COMPLETED, FAILED
    table_arn: str
    kind: str  # FULL_EXPORT, INCREMENTAL_EXPORT
    export_time: float
    manifest: str  # s3:// URL of manifest-summary.json; "" until it is COMPLETED
    failure: Refusal | None
    token: str


def token(migration: str, generation: int, attempt: int, anchored_at: float) -> str:
    """The same for each repetition of one request, another for each attempt: AWS answers it with the same export.

    The instant of the anchor is in it, for a move that was given up and begun anew has the same name and generation.
    """
    digest = sha256(f"{migration}/{generation}/{attempt}/{anchored_at:.3f}".encode()).hexdigest()
    return f"moveout-{digest[:24]}"


def request(wanted: ExportRequest, table_arn: str, export_time: int, client_token: str) -> dict[str, Any]:
    """The parameters of ExportTableToPointInTime; `export_time` in epoch seconds."""
    asked: dict[str, Any] = {
        "TableArn": table_arn,
        "S3Bucket": wanted.bucket,
        "S3Prefix": wanted.prefix,
        "ExportTime": export_time,
        "ExportType": "FULL_EXPORT",
        "ExportFormat": wanted.format,
        "ClientToken": client_token,
        "S3SseAlgorithm": "KMS" if wanted.kms_key_id else "AES256",
    }
    if wanted.kms_key_id:
        asked["S3SseKmsKeyId"] = wanted.kms_key_id
    if wanted.bucket_owner:
        asked["S3BucketOwner"] = wanted.bucket_owner
    return asked


def described(dynamodb: Any, arn: str) -> Described:
    """The export as it is now. Raises ClientError, BotoCoreError."""
    found = dynamodb.describe_export(ExportArn=arn)["ExportDescription"]
    status = found.get("ExportStatus", "")
    # The name alone is not enough for the reader: it wants the bucket too.
    manifest = f"s3://{found['S3Bucket']}/{found['ExportManifest']}" if found.get("ExportManifest") else ""
    failure = failed(found.get("FailureCode", ""), found.get("FailureMessage", "")) if status == "FAILED" else None
    return Described(
        arn=arn,
        status=status,
        table_arn=found.get("TableArn", ""),
        kind=found.get("ExportType", "FULL_EXPORT"),  # AWS leaves it out where it was not asked for
        export_time=_epoch(found.get("ExportTime") or found.get("StartTime")),
        manifest=manifest,
        failure=failure,
        token=found.get("ClientToken", ""),
    )


def made_before(dynamodb: Any, table_arn: str, client_token: str) -> str | None:
    """The ARN of the export that was asked for with this token, where there is one. Raises ClientError, BotoCoreError.

    For a request so old that AWS has forgotten its token: the same request would make a second export.
    """
    arns = _exports_of(dynamodb, table_arn)
    return next((arn for arn in arns if described(dynamodb, arn).token == client_token), None)


def _exports_of(dynamodb: Any, table_arn: str) -> Iterator[str]:
    """Those of the last 90 days. botocore has no paginator for them."""
    more: dict[str, str] = {}
    while True:
        page = dynamodb.list_exports(TableArn=table_arn, **more)
        yield from (summary["ExportArn"] for summary in page["ExportSummaries"])
        if not page.get("NextToken"):
            return
        more = {"NextToken": page["NextToken"]}


def refused(error: ClientError, table: str) -> Refusal:
    """What AWS's answer to the request means: the exceptions of ExportTableToPointInTime, and those of all requests."""
    code, words = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    match code:
        case "PointInTimeRecoveryUnavailableException":
            return Refusal(f"point-in-time recovery of {table!r} is off. Enable it: {recovery_command(table)}; {AGAIN}")
        case "InvalidExportTimeException":
            # A clock of ours that is ahead of AWS's, or a recovery that lags its usual five minutes: both pass.
            return Refusal(
                f"AWS refuses the export's time ({words}): it is not, or not yet, within the time of point-in-time "
                f"recovery. Compare this machine's clock, and see aws dynamodb describe-continuous-backups "
                f"--table-name {table}; {AGAIN}",
                SOME_TRIES,
            )
        case "LimitExceededException":
            return Refusal(f"too many exports are being made in this account (AWS: {words}): it is asked again", PASSES)
        case "ExportConflictException":
            return Refusal(f"AWS sees a conflict with another export of the same token or place ({words}): {AGAIN}")
        case "TableNotFoundException":
            return Refusal(f"AWS does not find the table {table!r} ({words}): check source.region and account, {AGAIN}")
        case "AccessDeniedException":
            return Refusal(
                f"the export was refused ({words}): allow dynamodb:ExportTableToPointInTime on the table, and "
                f"s3:PutObject, s3:PutObjectAcl and s3:AbortMultipartUpload on the bucket; {AGAIN}"
            )
    if _passes(code) or error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500:  # noqa: PLR2004
        return Refusal(f"AWS cannot take the request now ({code}: {words}): it is asked again", SOME_TRIES)
    return Refusal(f"AWS refuses the export ({code}: {words}). Put it right, {AGAIN}")


def failed(code: str, words: str) -> Refusal:
    """What a FAILED export means. AWS documents no list of codes: S3NoSuchBucket was seen by others' tests on AWS.

    The others go by how AWS names its errors; one that is not known is shown as it is.
    """
    told = f"AWS's export FAILED with {code or 'no code'} ({words or 'no message'})"
    match code:
        case "S3NoSuchBucket":
            return Refusal(f"{told}: make the bucket, or set backfill.export.bucket to one that exists, {AGAIN}")
        case "S3AccessDenied" | "AccessDenied" | "S3AccessDeniedException":
            return Refusal(
                f"{told}: allow s3:PutObject, s3:PutObjectAcl and s3:AbortMultipartUpload on the bucket to whoever "
                f"runs moveout, and set backfill.export.bucket_owner where it is another account's, {AGAIN}"
            )
    if _passes(code):
        return Refusal(f"{told}: it is made again", SOME_TRIES)
    if "KMS" in code.upper():
        return Refusal(
            f"{told}: the key must be enabled, in the bucket's region, and allow kms:GenerateDataKey and kms:Decrypt "
            f"to whoever runs moveout; see backfill.export.kms_key_id, {AGAIN}"
        )
    return Refusal(f"{told}. Put it right, {AGAIN}")


def recovery_command(table: str) -> str:
    """The command that enables point-in-time recovery."""
    return (
        f"aws dynamodb update-continuous-backups --table-name {table} "
        "--point-in-time-recovery-specification PointInTimeRecoveryEnabled=true"
    )


def _passes(code: str) -> bool:
    """A code of a moment's trouble on AWS's side."""
    passing = ("InternalServerError", "InternalError", "InternalFailure", "ServiceUnavailable", "SlowDown", "Throttl")
    return any(name in code for name in passing)


def _epoch(instant: datetime | None) -> float:
    return instant.timestamp() if instant is not None else 0.0
