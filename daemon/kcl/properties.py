"""The launcher's properties file. Always made here: MultiLang ignores a mistyped name without a word.

Values that equal a type's default (`false`, `0`) cannot be set by property at all (facts/kcl §1.2), so none
of these is.
"""

from collections.abc import Iterator

import msgspec

# AWS allows two readers of a shard at once; more leases than this on one worker would starve the pool.
SHARDS_PER_WORKER_MAX = 128


class UnusableSetting(Exception):
    """A setting that the KCL would take and then ignore or misread."""


class KclSide(msgspec.Struct, frozen=True, kw_only=True):
    """Where the stream is, or the KCL's own tables, and whose credentials are used there."""

    region: str
    endpoint_url: str | None = None
    role_arn: str | None = None  # None: the JVM's own, by AWS's chain
    external_id: str | None = None
    sts_region: str | None = None  # None: region
    sts_endpoint_url: str | None = None


class KclSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the launcher is told. Times in milliseconds."""

    stream_arn: str
    application_name: str  # prefix of the KCL's three tables: a new stream gets new ones
    worker_id: str  # stable, so that a crashed worker claims its shards again at once; one process per id
    stream: KclSide
    leases: KclSide  # of the KCL's three tables
    executable: tuple[str, ...]  # the command of a shard's process, by words
    session_name: str = "moveout"  # under which roles are taken
    failover_millis: int = 10_000
    lease_assignment_millis: int = 2_000
    idle_millis: int = 250
    shard_audit_millis: int = 15_000
    leader_lease_millis: int = 20_000
    leader_heartbeat_millis: int = 5_000


def render(settings: KclSettings) -> str:
    """The properties as text. Raises UnusableSetting."""
    _check(settings)
    properties = {
        "executableName": " ".join(settings.executable),
        "streamName": settings.stream_arn,  # `streamArn` would be validated as a Kinesis ARN
        "applicationName": settings.application_name,
        "workerId": settings.worker_id,
        # MultiLang demands one, and the launcher does not use it: the two sides have their own (Side.java).
        "AwsCredentialsProvider": "DefaultCredentialsProvider",
        "regionName": settings.stream.region,
        "initialPositionInStream": "TRIM_HORIZON",  # LATEST loses what came before the first look
        "metricsLevel": "NONE",  # no CloudWatch right, no CloudWatch bill
        "disableWorkerMetrics": "true",  # a worker whose CPU metric fails would get no leases
        "failoverTimeMillis": settings.failover_millis,  # after that a dead worker's shards are free
        "leaseAssignmentIntervalMillis": settings.lease_assignment_millis,  # the pause at a shard's rollover
        "parentShardPollIntervalMillis": 1_000,  # how soon a child sees that its parent is done
        "shardSyncIntervalMillis": 1,  # only a sleep after each shard sync; a minute by default
        "callProcessRecordsEvenForEmptyRecordList": "true",  # a regular tick, for checkpoints of quiet shards
        "maxLeasesForWorker": SHARDS_PER_WORKER_MAX,
        "isGracefulLeaseHandoffEnabled": "true",  # a shard that moves on is checkpointed first
        "gracefulLeaseHandoffTimeoutMillis": 30_000,
        "shutdownGraceMillis": 20_000,
        "taskBackoffTimeMillis": 500,
        # Read by our launcher; MultiLang has no such properties.
        "idleMillis": settings.idle_millis,
        "shardAuditIntervalMillis": settings.shard_audit_millis,
        "leaderLeaseMillis": settings.leader_lease_millis,  # 120 s by default: that long nobody would assign shards
        "leaderHeartbeatMillis": settings.leader_heartbeat_millis,
        "maxPendingProcessRecordsInput": 2,  # pages fetched ahead per shard: bounds memory
        "roleSessionName": settings.session_name,
        **_of_side("stream", settings.stream),
        **_of_side("leases", settings.leases),
    }
    return "".join(f"{name}={_escaped(str(value))}\n" for name, value in properties.items())


def _of_side(name: str, side: KclSide) -> dict[str, str]:
    """As Side.java reads it: what is not there is AWS's own."""
    told = {
        "Region": side.region,
        "Endpoint": side.endpoint_url,
        "RoleArn": side.role_arn,
        "ExternalId": side.external_id,
        "StsRegion": (side.sts_region or side.region) if side.role_arn else None,
        "StsEndpoint": side.sts_endpoint_url if side.role_arn else None,
    }
    return {f"{name}{key}": value for key, value in told.items() if value is not None}


def _escaped(value: str) -> str:
    """As java.util.Properties reads it: a bare backslash vanishes, and what is not ASCII is taken for Latin-1."""
    doubled = value.replace("\\", "\\\\")
    units = doubled.encode("utf-16-be")
    codes = (int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2))
    return "".join(chr(code) if " " <= chr(code) <= "~" else f"\\u{code:04x}" for code in codes)


def _values(settings: KclSettings) -> Iterator[tuple[str, object]]:
    for name, value in msgspec.structs.asdict(settings).items():
        if isinstance(value, KclSide):
            yield from ((f"{name}.{part}", inner) for part, inner in msgspec.structs.asdict(value).items())
        else:
            yield name, value


def _check(settings: KclSettings) -> None:
    for word in settings.executable:
        if not word or any(character.isspace() for character in word):
            raise UnusableSetting(
                f"{word!r} has a space in it, and the KCL splits the command of a shard's process at every space: "
                "move the Python environment or the configuration to a path without spaces"
            )
    for name, value in _values(settings):
        if isinstance(value, int) and value <= 0:
            raise UnusableSetting(f"{name} is {value}: the KCL would ignore it and take its own default; use 1 or more")
        if isinstance(value, str) and value != value.strip():
            raise UnusableSetting(
                f"{name} is {value!r}: the KCL would read it without the space around it; remove that"
            )
        if isinstance(value, str) and not value.isprintable():
            raise UnusableSetting(f"{name} is {value!r}: it has a line break or another control character; remove it")
    if settings.leader_lease_millis < 2 * settings.leader_heartbeat_millis:
        raise UnusableSetting("leader_lease_millis must be at least twice leader_heartbeat_millis")
