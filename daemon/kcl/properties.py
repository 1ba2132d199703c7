"""The launcher's properties file. Always made here: MultiLang ignores a mistyped name without a word.

Values that equal a type's default (`false`, `0`) cannot be set by property at all (facts/kcl §1.2), so none
of these is.
"""

import msgspec

# AWS allows two readers of a shard at once; more leases than this on one worker would starve the pool.
SHARDS_PER_WORKER_MAX = 128


class UnusableSetting(Exception):
    """A setting that the KCL would take and then ignore or misread."""


class KclSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the launcher is told. Times in milliseconds."""

    stream_arn: str
    application_name: str  # prefix of the KCL's three tables: a new stream gets new ones
    worker_id: str  # stable, so that a crashed worker claims its shards again at once; one process per id
    region: str
    executable: tuple[str, ...]  # the command of a shard's process, by words
    endpoint_url: str | None = None
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
        "AwsCredentialsProvider": "DefaultCredentialsProvider",  # environment, profile, web identity, container, host
        "regionName": settings.region,
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
    }
    if settings.endpoint_url is not None:
        properties["dynamoDBEndpoint"] = settings.endpoint_url
    return "".join(f"{name}={_escaped(str(value))}\n" for name, value in properties.items())


def _escaped(value: str) -> str:
    """As java.util.Properties reads it: a bare backslash vanishes, and what is not ASCII is taken for Latin-1."""
    doubled = value.replace("\\", "\\\\")
    units = doubled.encode("utf-16-be")
    codes = (int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2))
    return "".join(chr(code) if " " <= chr(code) <= "~" else f"\\u{code:04x}" for code in codes)


def _check(settings: KclSettings) -> None:
    for word in settings.executable:
        if not word or any(character.isspace() for character in word):
            raise UnusableSetting(
                f"{word!r} has a space in it, and the KCL splits the command of a shard's process at every space: "
                "move the Python environment or the configuration to a path without spaces"
            )
    for name, value in msgspec.structs.asdict(settings).items():
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
