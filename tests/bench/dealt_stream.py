"""A stream of many shards for the bench: DynamoDB Local has one open shard per table.

Stands where DynamoDB Streams stands (`source.streams_endpoint_url`): tells as many shards as asked for, and deals the
records of the one real shard to them by their partition keys, as AWS's partitions do. Records, sequence numbers and
order per key are DynamoDB Local's own; only the division into shards is made here.
"""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit
from zlib import crc32

from daemon.demo.servers.loopback import LoopbackServer, serving

TARGET = "DynamoDBStreams_20120810."
# DynamoDB Local looks at the shape of a signature only.
SIGNED = (
    "AWS4-HMAC-SHA256 Credential=bench/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=bench"
)
POLL_SECONDS = 0.1
PAGE_RECORDS = 1000

Json = dict[str, Any]


class Trimmed(Exception):
    """The iterator points before the oldest record."""


class DealtStream:
    """The records of one stream, dealt to `shards` shards as they come."""

    def __init__(self, endpoint_url: str, arn: str, shards: int) -> None:
        self._address, self._arn = urlsplit(endpoint_url).netloc, arn
        self._described = self._ask("DescribeStream", {"StreamArn": arn})
        (shard,) = self._described["StreamDescription"]["Shards"]
        middle = shard["ShardId"].rpartition("-")[0]
        self._shards = [f"{middle}-{number:08x}" for number in range(shards)]
        self._described["StreamDescription"]["Shards"] = [{**shard, "ShardId": name} for name in self._shards]
        self._records: dict[str, list[Json]] = {name: [] for name in self._shards}
        self._real = {"StreamArn": arn, "ShardId": shard["ShardId"]}
        self._last = ""  # sequence number
        self._ends = threading.Event()
        self._reader = threading.Thread(target=self._read, name="dealer")
        self._reader.start()

    def answer(self, operation: str, asked: Json) -> Json:
        """One call of DynamoDB Streams. Raises KeyError for an operation or a shard that is not known."""
        return {
            "DescribeStream": self._describe,
            "GetShardIterator": self._iterate,
            "GetRecords": self._page,
        }[operation](asked)

    def close(self) -> None:
        """Read no more."""
        self._ends.set()
        self._reader.join()

    def _describe(self, _: Json) -> Json:
        return self._described

    def _iterate(self, asked: Json) -> Json:
        records = self._records[asked["ShardId"]]
        match asked["ShardIteratorType"]:
            case "TRIM_HORIZON":
                position = 0
            case "LATEST":
                position = len(records)
            case kind:
                number = int(asked["SequenceNumber"]) + (kind == "AFTER_SEQUENCE_NUMBER")
                before = (one for one in records if int(one["dynamodb"]["SequenceNumber"]) < number)
                position = sum(1 for _ in before)
        return {"ShardIterator": f"{asked['ShardId']}/{position}"}

    def _page(self, asked: Json) -> Json:
        shard, _, position = asked["ShardIterator"].rpartition("/")
        at = int(position)
        page = self._records[shard][at : at + min(asked.get("Limit", PAGE_RECORDS), PAGE_RECORDS)]
        return {"Records": page, "NextShardIterator": f"{shard}/{at + len(page)}"}

    def _read(self) -> None:
        while not self._ends.is_set():
            try:
                page = self._ask("GetRecords", {"ShardIterator": self._iterator(), "Limit": PAGE_RECORDS})
            except Trimmed:  # it was empty when the iterator was made, and is not any more
                continue
            for record in page["Records"]:
                self._last = record["dynamodb"]["SequenceNumber"]
                self._records[self._dealt(record)].append(record)
            if not page["Records"]:
                time.sleep(POLL_SECONDS)

    def _iterator(self) -> str:
        """A new one each time: one of a shard that was empty is refused as trimmed later."""
        begin = {"ShardIteratorType": "TRIM_HORIZON"}
        after = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": self._last}
        found = self._ask("GetShardIterator", self._real | (after if self._last else begin))
        iterator: str = found["ShardIterator"]
        return iterator

    def _dealt(self, record: Json) -> str:
        partition = json.dumps(record["dynamodb"]["Keys"]["id"])
        return self._shards[crc32(partition.encode()) % len(self._shards)]

    def _ask(self, operation: str, asked: Json) -> Json:
        connection = http.client.HTTPConnection(self._address, timeout=30)
        headers = {
            "X-Amz-Target": TARGET + operation,
            "Content-Type": "application/x-amz-json-1.0",
            "Authorization": SIGNED,
        }
        try:
            connection.request("POST", "/", json.dumps(asked), headers)
            found = connection.getresponse()
            answer: Json = json.loads(found.read())
        finally:
            connection.close()
        if "TrimmedDataAccessException" in answer.get("__type", ""):
            raise Trimmed
        if found.status != http.HTTPStatus.OK:
            raise OSError(f"{operation} was answered with {found.status}: {answer}")
        return answer


@contextmanager
def dealt(endpoint_url: str, arn: str, shards: int) -> Iterator[str]:
    """The address of a stand-in for this stream, with so many shards."""
    stream = DealtStream(endpoint_url, arn, shards)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet: two of them wait 40 ms for Nagle

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps(stream.answer(self.headers["X-Amz-Target"].removeprefix(TARGET), asked)).encode()
            self.send_response(http.HTTPStatus.OK)
            self.send_header("Content-Type", "application/x-amz-json-1.0")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Silent: the bench prints one table."""

    class Server(LoopbackServer):
        def handle_error(self, *_: Any) -> None:
            """A JVM that ends resets its connections."""

    with closing(stream), serving(Handler, server=Server) as url:
        yield url
