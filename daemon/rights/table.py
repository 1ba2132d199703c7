"""Command -> the calls that it makes on AWS, with what they are made on. The one list that all policies are made of.

A row stands for calls that are made together: by these commands, on this resource, and, where `option` is not "", only
when the move uses that option. Calls are named as the API names them; of a transaction those that it is made of, for by
these it is allowed (DynamoDB developer guide, "IAM and transactions"). What a command starts is its own: of `run` the
backfill's workers, the shards' processes, verification and the KCL on the JVM.

Held to what was recorded, in both directions, by tests/deploy/test_rights_recorded.py. Policies themselves were **not
run against AWS**: no stand-in checks them.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from daemon.source import heartbeat

SIDES = ("source", "bucket", "control", "target", "secret")

# What can be filled in: see `python -m daemon.rights --help`. Names as in IAM's service authorization reference.
_DYNAMODB = "arn:${partition}:dynamodb:"
_SOURCE = _DYNAMODB + "${source_region}:${source_account}:table/${source_table}"
_CONTROL = _DYNAMODB + "${control_region}:${control_account}:table/"
_TARGET = _DYNAMODB + "${target_region}:${target_account}:table/"
ARNS: Mapping[str, tuple[str, ...]] = {
    "source-table": (_SOURCE,),
    "source-heartbeats": (_SOURCE,),
    "source-stream": (_SOURCE + "/stream/*",),
    "source-export": (_SOURCE + "/export/*",),
    "source-key": ("${source_key_arn}",),
    "export-bucket": ("arn:${partition}:s3:::${export_bucket}",),
    "export-objects": ("arn:${partition}:s3:::${export_bucket}/${export_prefix}*",),
    "export-key": ("${export_key_arn}",),
    "letters": ("arn:${partition}:s3:::${letters_bucket}/${letters_prefix}*",),
    "letters-key": ("${letters_key_arn}",),
    "lines": ("arn:${partition}:s3:::${lines_bucket}/${lines_prefix}*",),
    "lines-bucket": ("arn:${partition}:s3:::${lines_bucket}",),
    "control-table": (_CONTROL + "${control_table}",),
    # daemon/kcl/start.py, application_name; of a migration of several tables its name is followed by a dot.
    "kcl-tables": (_CONTROL + "moveout-${migration}-g*", _CONTROL + "moveout-${migration}.*"),
    "kcl-index": (
        _CONTROL + "moveout-${migration}-g*/index/LeaseOwnerToLeaseKeyIndex",
        _CONTROL + "moveout-${migration}.*/index/LeaseOwnerToLeaseKeyIndex",
    ),
    "signal-table": (_CONTROL + "${signal_table}",),
    "target-table": (_TARGET + "${target_table}",),
    "target-tombstones": (_TARGET + "${tombstone_table}",),
    "target-key": ("${target_key_arn}",),
    "secret": ("${secret_arn}",),
    "secret-key": ("${secret_key_arn}",),
    "*": ("*",),
}

# `dynamodb:LeadingKeys` is the partition key's value, of PutItem and DeleteItem too (service authorization reference).
CONDITIONS: Mapping[str, Any] = {"source-heartbeats": heartbeat.policy("")["Condition"]}

# Actions that AWS lets nobody restrict to a resource (service authorization reference: no resource type).
NO_RESOURCE: Mapping[str, str] = {"dynamodb:ListExports": "*"}

# Calls whose action has another name, or that need none.
ACTIONS: Mapping[str, tuple[str, ...]] = {
    "s3:HeadObject": ("s3:GetObject",),
    "s3:HeadBucket": ("s3:ListBucket",),
    "s3:ListObjectsV2": ("s3:ListBucket",),
    "sts:GetCallerIdentity": (),  # "No permissions are required" (STS API reference)
}


class Need(NamedTuple):
    """Calls, and who makes them on what. `beside`: actions that AWS asks for though no call of ours has their name."""

    side: str
    resource: str
    verbs: tuple[str, ...]
    calls: tuple[str, ...]
    option: str = ""
    beside: tuple[str, ...] = ()


def _of(service: str, names: str) -> tuple[str, ...]:
    return tuple(f"{service}:{name}" for name in names.split())


def _db(names: str) -> tuple[str, ...]:
    return _of("dynamodb", names)


READS = ("status", "verify show", "verify report", "dead-letter list")
SETS = ("set", "pause", "resume", "export", "resync", "verify start", "verify stop", "dead-letter waive")
SWITCHES = ("cutover readers", "cutover writers", "cutover cancel")
ENDS = ("complete", "abort")
LETTERS = ("dead-letter show", "dead-letter retry")
SCHEMA = ("schema", "schema --apply")
ROLES: Mapping[str, tuple[str, ...]] = {
    "service": ("run",),
    "backfill-worker": ("backfill",),
    "operator": ("check", "backfill --sink", *SCHEMA, *SETS, *SWITCHES, "repair", *LETTERS, *ENDS, *READS),
    "status": READS,
}
# Commands that ask nothing of AWS: `wait` asks the service over HTTP.
NOT_ON_AWS = ("demo", "wait")

DEFAULT_OPTIONS = ("export-files", "heartbeat", "letters-s3", "target-dynamodb", "verify")
# Option -> what of the configuration asks for it.
OPTIONS: Mapping[str, str] = {
    "create-target": "target.create_table: true (else `moveout schema --apply` makes the tables)",
    "drop-target": "moveout abort --drop-target",
    "export-files": "backfill.manifest, export_arn, export or files: objects of S3 are read",
    "export-key": "the export's bucket is encrypted by a key of KMS of yours",
    "export-request": "backfill.export or export_arn: moveout asks AWS for the export",
    "fence-policy": "cutover.fence.resource_policy",
    "heartbeat": "tail.proof: heartbeat, which is the default",
    "letters-key": "the bucket of dead letters is encrypted by a key of KMS of yours",
    "letters-s3": "dead_letters.to: s3://…, which is the default",
    "lines-s3": "a dry run or a target of kind jsonl into s3://…",
    "ordered": "target.mode: ordered",
    "scan": "backfill.from: scan",
    "seal": "tail.proof: seal",
    "secret": "password_secret of a CQL target",
    "secret-key": "that secret is encrypted by a key of KMS of yours",
    "signal-item": "signal.dynamodb_item",
    "source-key": "the source table is encrypted by a key of KMS of yours",
    "target-dynamodb": "target.kind: dynamodb",
    "target-key": "the target table is encrypted by a key of KMS of yours",
    "verify": "verification, which is on unless verify.auto is off",
}
_POLICY = _db("GetResourcePolicy PutResourcePolicy DeleteResourcePolicy")
_KCL = _db("CreateTable DescribeTable UpdateTable GetItem PutItem UpdateItem DeleteItem Scan")
_WRITES_EXPORT = _of("s3", "PutObject PutObjectAcl AbortMultipartUpload")
_USES_KEY = _of("kms", "Decrypt DescribeKey")
_TAGS = _db("TagResource")
LOADS = ("run", "backfill")
PLANS = ("run", "check", "backfill --sink", "resync")
READS_ITEMS = (*PLANS, "backfill")
OPENS = (*LOADS, "check", *SCHEMA, "repair", "complete", "dead-letter retry")  # the target
KEYED = (*OPENS, "backfill --sink", "resync", "verify start", "verify stop", "dead-letter waive", "abort")
WRITES = (*LOADS, "repair", "dead-letter retry")
KNOWS = (*SETS, *SWITCHES, "repair", *LETTERS, *ENDS)
LISTS = ("repair", "resync", "dead-letter retry", "dead-letter waive", *ENDS, *READS)

NEEDS: tuple[Need, ...] = (
    # The source table. Whoever reads or writes keys asks for their names and types.
    Need("source", "source-table", (*KEYED, "dead-letter show", *READS[1:]), _db("DescribeTable")),
    Need("source", "source-table", SCHEMA, _db("DescribeTimeToLive ListTagsOfResource")),
    # Does the item of a dead letter, of a gap, of a window still exist?
    Need("source", "source-table", (*LOADS, "dead-letter retry", "repair"), _db("GetItem")),
    Need("source", "source-heartbeats", ("run",), _db("PutItem"), "heartbeat"),
    Need("source", "source-heartbeats", ENDS, _db("DeleteItem"), "heartbeat"),
    Need("source", "source-table", ("run",), _db("DescribeTimeToLive"), "heartbeat"),
    Need("source", "source-table", ("run",), _db("BatchGetItem DescribeTimeToLive Scan"), "verify"),
    Need("source", "source-table", READS_ITEMS, _db("Scan"), "scan"),
    Need("source", "source-table", ("set",), _db("DescribeTable"), "scan"),  # set backfill.read_percent
    Need("source", "source-table", ("run",), _db("UpdateTable"), "seal"),
    Need("source", "source-table", ("run", "abort"), _POLICY, "fence-policy"),
    # The stream.
    Need("source", "source-stream", ("run",), _db("DescribeStream GetShardIterator GetRecords")),
    Need("source", "source-stream", ("check", "repair", "resync"), _db("DescribeStream")),
    # The export, which AWS writes with the rights of whoever asks for it.
    Need("source", "source-table", ("run", "check"), _db("DescribeContinuousBackups"), "export-request"),
    Need("source", "source-table", ("run",), _db("ExportTableToPointInTime ListExports"), "export-request"),
    Need("source", "source-export", ("run", "check"), _db("DescribeExport"), "export-request"),
    Need("source", "export-objects", ("run",), (), "export-request", _WRITES_EXPORT),
    # DynamoDB uses a table's key for whoever asks it (developer guide, "DynamoDB encryption at rest").
    Need("source", "source-key", (*READS_ITEMS, "repair", "dead-letter retry", *ENDS), (), "source-key", _USES_KEY),
    # The export's files. Without ListBucket S3 tells a missing file as a refused one.
    Need("bucket", "export-objects", PLANS, _of("s3", "GetObject HeadObject"), "export-files"),
    Need("bucket", "export-objects", ("backfill",), _of("s3", "GetObject"), "export-files"),
    Need("bucket", "export-bucket", PLANS, _of("s3", "ListObjectsV2"), "export-files"),
    Need("bucket", "export-bucket", ("backfill",), (), "export-files", _of("s3", "ListBucket")),
    Need("bucket", "export-key", READS_ITEMS, (), "export-key", _of("kms", "Decrypt")),
    # The dead letters.
    Need("bucket", "letters", LOADS, _of("s3", "PutObject"), "letters-s3"),
    Need("bucket", "letters", LETTERS, _of("s3", "GetObject"), "letters-s3"),
    Need("bucket", "letters-key", LOADS, (), "letters-key", _of("kms", "GenerateDataKey")),
    Need("bucket", "letters-key", LETTERS, (), "letters-key", _of("kms", "Decrypt")),
    # The control table: records by name, and lists of them.
    Need("control", "control-table", ("run", "schema --apply"), _db("CreateTable DescribeTable")),
    Need("control", "control-table", (*LOADS, *KNOWS), _db("GetItem")),
    Need("control", "control-table", ("schema --apply", "status", "verify show", "verify report"), _db("GetItem")),
    Need("control", "control-table", (*LOADS, *LISTS), _db("Query")),
    Need("control", "control-table", (*LOADS, "schema --apply", *SETS, *SWITCHES), _db("PutItem")),
    Need("control", "control-table", ("repair", "dead-letter retry", *ENDS), _db("PutItem")),
    Need("control", "control-table", ("run",), _db("DeleteItem")),
    # The KCL's three tables (Kinesis developer guide, "IAM permissions required for KCL consumer applications").
    Need("control", "kcl-tables", ("run",), _KCL),
    Need("control", "kcl-index", ("run",), _db("Query")),
    Need("control", "kcl-tables", ("abort",), _db("DeleteTable")),
    Need("control", "signal-table", ("run",), _db("UpdateItem"), "signal-item"),
    # A target in DynamoDB.
    Need("target", "target-table", OPENS, _db("DescribeTable"), "target-dynamodb"),
    Need("target", "target-table", ("set",), _db("DescribeTable"), "target-dynamodb"),  # set target.write_percent
    Need("target", "target-tombstones", OPENS, _db("DescribeTable"), "target-dynamodb"),
    Need("target", "target-table", (*LOADS, "check", "repair", "dead-letter retry"), _db("Scan"), "target-dynamodb"),
    Need("target", "target-table", WRITES, _db("PutItem DeleteItem"), "target-dynamodb"),
    Need("target", "target-table", WRITES, _db("BatchWriteItem"), "ordered"),
    Need("target", "target-table", ("run", "repair"), _db("GetItem"), "target-dynamodb"),
    Need("target", "target-tombstones", WRITES, _db("ConditionCheckItem UpdateItem"), "target-dynamodb"),
    Need("target", "target-tombstones", ("run", "complete"), _db("Scan"), "target-dynamodb"),
    Need("target", "target-table", ("complete",), _db("Scan UpdateItem"), "target-dynamodb"),
    Need("target", "target-tombstones", ("complete",), _db("DeleteTable"), "target-dynamodb"),
    Need("target", "target-table", LOADS, _db("CreateTable"), "create-target"),
    Need("target", "target-tombstones", LOADS, _db("CreateTable"), "create-target"),
    Need("target", "target-table", SCHEMA, _db("ListTagsOfResource"), "target-dynamodb"),
    Need("target", "target-table", ("schema --apply",), _db("CreateTable UpdateTable"), "target-dynamodb", _TAGS),
    Need("target", "target-tombstones", ("schema --apply",), _db("CreateTable"), "target-dynamodb"),
    Need("target", "target-table", ("abort",), _db("DeleteTable"), "drop-target"),
    Need("target", "target-tombstones", ("abort",), _db("DeleteTable"), "drop-target"),
    Need("target", "target-key", OPENS, (), "target-key", _USES_KEY),
    Need("target", "target-key", ("schema --apply",), (), "target-key", _of("kms", "CreateGrant")),
    # Lines of JSON in S3.
    Need("target", "lines", (*LOADS, "backfill --sink"), _of("s3", "PutObject"), "lines-s3"),
    Need("target", "lines-bucket", (*LOADS, "backfill --sink", "check"), _of("s3", "HeadBucket"), "lines-s3"),
    # A CQL target's password.
    Need("secret", "secret", (*OPENS, "abort"), _of("secretsmanager", "GetSecretValue"), "secret"),
    Need("secret", "secret-key", (*OPENS, "abort"), (), "secret-key", _of("kms", "Decrypt")),
)
