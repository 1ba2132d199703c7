"""Stand-ins for what cannot be made to fail on purpose. Hand-written, small, and honest about what they fake."""

import io
import json
from types import SimpleNamespace

import msgspec
from amazon_kclpy.kcl import CheckpointError
from botocore.exceptions import ClientError

from daemon.control import Conflict
from sinks.memory import MemorySink
from sinks.sink import SinkUnavailable


class Crash(BaseException):
    """The process dies here: no code of ours may catch it."""


class MemoryControl:
    """daemon.control.Control over a dict: records survive a crash, as they do in DynamoDB."""

    def __init__(self):
        self.records = {}

    def get(self, record, kind):
        if record not in self.records:
            return None
        body, revision = self.records[record]
        return msgspec.json.decode(body, type=kind), revision

    def all(self, prefix, kind):
        names = [name for name in self.records if name.startswith(prefix)]
        return {name.removeprefix(prefix): self.get(name, kind) for name in sorted(names)}

    def put(self, record, value, revision):
        if self.records.get(record, (b"", 0))[1] != revision:
            raise Conflict(record)
        self.records[record] = (msgspec.json.encode(value), revision + 1)
        return revision + 1

    def update(self, record, kind, change):
        value, revision = self.get(record, kind) or (None, 0)
        changed = change(value)
        self.put(record, changed, revision)
        return changed


class ObjectStore:
    """As much of boto3's S3 client as an export's reader asks for."""

    def __init__(self):
        self.objects = {}

    def put_object(self, *, Bucket, Key, Body, **_):  # noqa: N803  boto3's names
        self.objects[Bucket, Key] = Body if isinstance(Body, bytes) else Body.read()
        return {"ETag": self._etag(Bucket, Key)}

    def head_object(self, *, Bucket, Key):  # noqa: N803
        return {"ContentLength": len(self._found(Bucket, Key, "404", "HeadObject"))}

    def get_object(self, *, Bucket, Key, IfMatch=None):  # noqa: N803
        body = self._found(Bucket, Key, "NoSuchKey", "GetObject")
        if IfMatch not in (None, self._etag(Bucket, Key)):
            raise ClientError({"Error": {"Code": "PreconditionFailed", "Message": "changed"}}, "GetObject")
        return {"Body": io.BytesIO(body), "ETag": self._etag(Bucket, Key)}

    def _etag(self, bucket, key):
        return f'"{hash(self.objects[bucket, key])}-1"'

    def _found(self, bucket, key, code, operation):
        if (bucket, key) not in self.objects:
            raise ClientError({"Error": {"Code": code, "Message": "not there"}}, operation)
        return self.objects[bucket, key]


class Checkpointer:
    """KCL's checkpointer: remembers the last checkpoint, as the lease table does; can refuse on demand."""

    def __init__(self, lease):
        self._lease = lease
        self.refusals = []

    def checkpoint(self, sequence=None):
        if self.refusals:
            raise CheckpointError(self.refusals.pop(0))
        self._lease.checkpoint = sequence or "SHARD_END"
        self._lease.history.append(self._lease.checkpoint)


class Lease:
    """What KCL's lease table holds for one shard."""

    def __init__(self):
        self.checkpoint = "TRIM_HORIZON"
        self.history = []


def no_letters(rejections):
    """For runs in which the sink must refuse nothing."""
    raise AssertionError(f"refused: {rejections}")


class FlakySink(MemorySink):
    """A memory sink that is away when told so, before or after it has stored the changes."""

    def __init__(self):
        super().__init__()
        self.failures = []  # "before" or "after"

    def apply(self, changes):
        failure = self.failures.pop(0) if self.failures else None
        if failure == "before":
            raise SinkUnavailable("away")
        super().apply(changes)
        if failure == "after":
            raise SinkUnavailable("timed out, although it was applied")
        return ()


def record(sequence, event, key, image=None, *, old=None, second=1_700_000_000, **extra):
    """A stream record as amazon_kclpy hands it to a processor."""
    keys = {"id": {"S": key}}
    detail = {
        "ApproximateCreationDateTime": second * 1000,
        "Keys": keys,
        "SequenceNumber": f"{sequence:021d}",
        "NewImage": {} if image is None else {**keys, **image},
        "OldImage": {} if old is None else {**keys, **old},
    }
    body = {"eventName": event, "dynamodb": detail, "userIdentity": None, **extra}
    return SimpleNamespace(sequence_number=f"{sequence:021d}", binary_data=json.dumps(body).encode())


def page(records, checkpointer):
    """What KCL passes to process_records."""
    return SimpleNamespace(records=records, checkpointer=checkpointer, millis_behind_latest=None)
