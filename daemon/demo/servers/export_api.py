"""A stand-in for AWS's export API, which DynamoDB Local has not: it answers these operations, and hands on all others.

Shapes and rules are those of the API reference, and of what others saw on AWS: an export is asked for, is IN_PROGRESS
for a while, and then COMPLETED with files in S3, or FAILED; a token brings the same export again.
"""

import argparse
import http.client
import random
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from daemon.demo.export import Place, new_place, write_export
from daemon.demo.incremental_export import Write, compacted, write_incremental_export
from daemon.demo.servers import loopback
from daemon.demo.servers.process import ServerProcess, free_port, listens
from daemon.demo.wire import DynamoDbRefused, Wire

PREFIX = "com.amazonaws.dynamodb.v20120810#"
TARGET = "DynamoDB_20120810."
FORMATS = ("DYNAMODB_JSON", "ION")
SMALLEST_WINDOW_SECONDS, LARGEST_WINDOW_SECONDS = 15 * 60, 24 * 3600
CLOCK_SECONDS = 60  # a request's time may lie ahead of AWS's clock by this much
START_SECONDS_MAX = 60.0
HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding", "content-length")

Json = dict[str, Any]
History = Callable[[str], Iterable[Write]]


class Refused(Exception):
    """An answer of HTTP 400: its code and its message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ExportApi:
    """The operations, over the tables behind `wire`. Safe to use from several threads.

    `seconds`: how long an export is IN_PROGRESS at least. `history`: the writes to a table, by its ARN, which
    incremental exports are made of; without it there are none.
    """

    def __init__(self, wire: Wire, s3: Any, seconds: float, history: History | None = None) -> None:
        self._wire = wire
        self._s3 = s3
        self.seconds = seconds
        self._history = history
        self._lock = threading.Lock()
        self._recovery: dict[str, float] = {}  # table -> since when (epoch seconds)
        self._exports: dict[str, Json] = {}  # ARN -> description, in the order of their begin
        self._tokens: dict[str, tuple[Json, str]] = {}
        self.failures: list[tuple[str, str]] = []  # code and message of the next exports: each FAILED
        self.asked: list[Json] = []  # every request for an export

    def operation(self, name: str) -> Callable[[Json], Json] | None:
        """What answers it; None for what DynamoDB Local answers."""
        return {
            "ExportTableToPointInTime": self._export,
            "DescribeExport": self._describe,
            "ListExports": self._list,
            "DescribeContinuousBackups": self._describe_backups,
            "UpdateContinuousBackups": self._update_backups,
        }.get(name)

    def _update_backups(self, request: Json) -> Json:
        name = request["TableName"]
        self._table(name, "TableNotFoundException")
        with self._lock:
            if request["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]:
                self._recovery.setdefault(name, time.time())
            else:
                self._recovery.pop(name, None)
        return self._describe_backups(request)

    def _describe_backups(self, request: Json) -> Json:
        self._table(request["TableName"], "TableNotFoundException")
        since = self._recovery.get(request["TableName"])
        recovery: Json = {"PointInTimeRecoveryStatus": "DISABLED" if since is None else "ENABLED"}
        if since is not None:
            recovery |= {"EarliestRestorableDateTime": since, "LatestRestorableDateTime": time.time()}
        backups = {"ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": recovery}
        return {"ContinuousBackupsDescription": backups}

    def _export(self, request: Json) -> Json:
        table = self._table(request["TableArn"].rpartition("/")[2], "TableNotFoundException")
        _validated(request)
        with self._lock:
            self.asked.append(request)
            named = request.get("ClientToken")
            if named in self._tokens:
                return self._same(request, *self._tokens[named])
            description = self._begun(request, table)
            if named is not None:
                self._tokens[named] = request, description["ExportArn"]
        threading.Thread(target=self._make, args=(description, table, request), daemon=True).start()
        return {"ExportDescription": dict(description)}

    def _same(self, request: Json, known: Json, arn: str) -> Json:
        if request != known:
            raise Refused("ExportConflictException", "Duplicate request detected")
        return {"ExportDescription": dict(self._exports[arn])}

    def _begun(self, request: Json, table: Json) -> Json:
        now = datetime.now(UTC)
        since = self._recovery.get(table["TableName"])
        if since is None:
            raise Refused(
                "PointInTimeRecoveryUnavailableException",
                f"Point in time recovery is not enabled for table '{table['TableName']}'",
            )
        for instant in _instants(request):
            if not int(since) <= instant <= now.timestamp() + CLOCK_SECONDS:
                raise Refused("InvalidExportTimeException", "The export time is outside of the recovery window")
        place = new_place(request["S3Bucket"], request.get("S3Prefix", ""), now, random.Random(uuid.uuid4().int))
        description = {
            "ExportArn": f"{table['TableArn']}/export/{place.export_id}",
            "ExportStatus": "IN_PROGRESS",
            "StartTime": now.timestamp(),
            "TableArn": table["TableArn"],
            "TableId": table.get("TableId", ""),
            "S3Prefix": "",
            "S3SseAlgorithm": "AES256",
            "ExportFormat": "DYNAMODB_JSON",
            **request,
        }
        if request.get("ExportType") != "INCREMENTAL_EXPORT":
            description.setdefault("ExportTime", now.timestamp())
        self._exports[description["ExportArn"]] = description
        return description

    def _make(self, description: Json, table: Json, request: Json) -> None:
        """Write the files, and let it be done when its time is over; a bucket that is not there is told only now."""
        began = time.monotonic()
        outcome = self._outcome(description, table, request)
        time.sleep(max(0.0, self.seconds - (time.monotonic() - began)))
        with self._lock:
            description |= {**outcome, "EndTime": time.time()}

    def _outcome(self, description: Json, table: Json, request: Json) -> Json:
        if self.failures:
            code, message = self.failures.pop(0)
            return {"ExportStatus": "FAILED", "FailureCode": code, "FailureMessage": message}
        place = Place(request["S3Bucket"], description["S3Prefix"].strip("/"), description["ExportArn"].split("/")[-1])
        try:
            url = self._written(place, description, table)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            words = error.response["Error"]["Message"]
            return {"ExportStatus": "FAILED", "FailureCode": f"S3{code}", "FailureMessage": words}
        except (BotoCoreError, OSError) as error:
            return {"ExportStatus": "FAILED", "FailureCode": "InternalServerError", "FailureMessage": str(error)}
        manifest = url.removeprefix(f"s3://{place.bucket}/")
        summary = msgspec.json.decode(self._s3.get_object(Bucket=place.bucket, Key=manifest)["Body"].read())
        counts = {"ItemCount": summary["itemCount"], "BilledSizeBytes": summary["billedSizeBytes"]}
        return {"ExportStatus": "COMPLETED", "ExportManifest": manifest, **counts}

    def _written(self, place: Place, description: Json, table: Json) -> str:
        """The manifest's URL. Raises ClientError."""
        arn = table["TableArn"]
        if description.get("ExportType") != "INCREMENTAL_EXPORT":
            at = datetime.fromtimestamp(description["ExportTime"], UTC)
            items = self._wire.scan(table["TableName"])
            return write_export(self._s3, place.bucket, place.prefix, arn, items, export_time=at, place=place)
        window = description["IncrementalExportSpecification"]
        begin, end = window["ExportFromTime"], window["ExportToTime"]
        history = self._history(arn) if self._history else ()
        records = compacted(history, int(begin * 1e6), int(end * 1e6))
        view = window.get("ExportViewType", "NEW_AND_OLD_IMAGES")
        return write_incremental_export(
            self._s3, place.bucket, place.prefix, arn, records, from_time=begin, to_time=end, view=view, place=place
        )

    def _describe(self, request: Json) -> Json:
        with self._lock:
            found = self._exports.get(request["ExportArn"])
            if found is None:
                raise Refused("ExportNotFoundException", f"Export not found: {request['ExportArn']}")
            return {"ExportDescription": dict(found)}

    def _list(self, request: Json) -> Json:
        with self._lock:
            found = [e for e in self._exports.values() if request.get("TableArn") in (None, e["TableArn"])]
        first = int(request.get("NextToken", 0))
        last = first + request.get("MaxResults", 25)
        named = ("ExportArn", "ExportStatus", "ExportType")
        summaries = [{name: e[name] for name in named if name in e} for e in found[first:last]]
        return {"ExportSummaries": summaries, **({"NextToken": str(last)} if last < len(found) else {})}

    def _table(self, name: str, missing: str) -> Json:
        try:
            answer = self._wire.call("DescribeTable", {"TableName": name})
        except DynamoDbRefused as error:
            raise Refused(missing, f"Table not found: {name}") from error
        table: Json = msgspec.json.decode(answer)["Table"]
        return table


def _validated(request: Json) -> None:
    wanted = request.get("ExportFormat", FORMATS[0])
    if wanted not in FORMATS:
        raise Refused("ValidationException", f"Value '{wanted}' at 'exportFormat' failed to satisfy constraint")
    if request.get("ExportType") != "INCREMENTAL_EXPORT":
        return
    begin, end = _instants(request)
    if not SMALLEST_WINDOW_SECONDS <= end - begin <= LARGEST_WINDOW_SECONDS:
        raise Refused(
            "InvalidExportTimeException", "Difference between export period from and to times is out of bounds"
        )


def _instants(request: Json) -> list[float]:
    """The times of the table that are asked for, in epoch seconds."""
    if request.get("ExportType") == "INCREMENTAL_EXPORT":
        window = request["IncrementalExportSpecification"]
        return [window["ExportFromTime"], window["ExportToTime"]]
    return [request["ExportTime"]] if "ExportTime" in request else []


class _Handler(BaseHTTPRequestHandler):
    """One connection: our own operations, and everything else as it came."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    api: ExportApi
    behind: str  # host and port of DynamoDB Local

    def setup(self) -> None:
        super().setup()
        self._onward = http.client.HTTPConnection(self.behind, timeout=60)

    def finish(self) -> None:
        self._onward.close()
        super().finish()

    def do_POST(self) -> None:
        """Every request of DynamoDB is one."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        name = self.headers.get("X-Amz-Target", "").removeprefix(TARGET)
        operation = self.api.operation(name)
        if operation is None:
            self._hand_on(body)
            return
        try:
            self._answer(http.HTTPStatus.OK, operation(msgspec.json.decode(body)))
        except Refused as error:
            told = {"__type": PREFIX + error.code, "message": str(error)}
            self._answer(http.HTTPStatus.BAD_REQUEST, told)

    def _answer(self, status: int, document: Mapping[str, Any]) -> None:
        self._send(status, {"Content-Type": "application/x-amz-json-1.0"}, msgspec.json.encode(document))

    def _hand_on(self, body: bytes) -> None:
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
        try:
            self._onward.request("POST", self.path, body=body, headers=headers)
            answer = self._onward.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            # DynamoDB is away: the client sees a connection that ends, as it would without us.
            self._onward.close()
            self.close_connection = True
            return
        passed = {name: value for name, value in answer.getheaders() if name.lower() not in HOP_BY_HOP}
        self._send(answer.status, passed, content)

    def _send(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        self.send_response_only(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        """Not a line per request."""


def serving(api: ExportApi, dynamodb_url: str, port: int = 0) -> AbstractContextManager[str]:
    """Serve on the loopback address; the URL."""
    handler = type("Handler", (_Handler,), {"api": api, "behind": urlsplit(dynamodb_url).netloc})
    return loopback.serving(handler, port)


class ExportServer:
    """The stand-in as a process of its own."""

    def __init__(self, folder: Path, dynamodb_url: str, s3_url: str, seconds: float) -> None:
        self._process = ServerProcess("the export API", folder / "export-api.log")
        self._port = free_port()
        self.endpoint_url = f"http://127.0.0.1:{self._port}"
        options = {"port": self._port, "dynamodb": dynamodb_url, "s3": s3_url, "seconds": seconds}
        self._options = [word for name, value in options.items() for word in (f"--{name}", str(value))]

    def start(self) -> Self:
        """Start it; returns when it answers. Raises ServerFailed."""
        self._process.start([sys.executable, "-m", "daemon.demo.servers.export_api", *self._options])
        self._process.wait_until(lambda: listens(self._port), START_SECONDS_MAX)
        return self

    def stop(self) -> None:
        """End it; what it knew of exports is gone."""
        self._process.stop(grace_seconds=3)


def main() -> None:
    """Serve until SIGTERM."""
    import boto3
    from botocore.config import Config

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--dynamodb", required=True, help="URL of DynamoDB Local")
    parser.add_argument("--s3", required=True, help="URL of the S3 server")
    parser.add_argument("--seconds", type=float, default=3.0, help="that an export takes at least")
    options = parser.parse_args()
    path_style = Config(s3={"addressing_style": "path"})
    s3 = boto3.client("s3", endpoint_url=options.s3, region_name="us-east-1", config=path_style)
    api = ExportApi(Wire(options.dynamodb), s3, options.seconds)
    with serving(api, options.dynamodb, options.port):
        threading.Event().wait()


if __name__ == "__main__":
    main()
