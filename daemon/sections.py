"""The sections of the configuration file, each with the options that a person may set."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from sinks.dynamodb.options import ExternalIdOfRole, RoleArn, TableName

Manifest = Annotated[str, Field(pattern=r"^s3://[^/]+/.+manifest-summary\.json$")]
# Where the default is another side's role, "none" says: no role, moveout's own credentials.
RoleOrNone = Annotated[str, Field(pattern=r"^(none|arn:aws[a-z-]*:iam::\d{12}:role/.+)$")]
Mode = Literal["backfill", "backfill-and-tail", "tail"]
FileFormat = Literal["auto", "emr", "scan-json", "items", "csv"]
HookKind = Literal["phase", "ready", "route", "switch"]
# Where a pod finds what its service account may do (Kubernetes documentation, "Service Accounts").
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
# What `signal.dynamodb_item` writes (daemon/signal/publisher.py, Told).
_READY, _ROUTES = ("ready_readers", "ready_writers", "valid_until"), ("reads_percent", "writes", "writes_fenced")
ITEM_ATTRIBUTES = frozenset(("phase", "epoch", "published_at", "document", *_READY, *_ROUTES))


class Section(BaseModel):
    """A section: unknown options are refused, nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(Section):
    """The DynamoDB table to move."""

    table: TableName
    region: str
    endpoint_url: str | None = Field(default=None, description="DynamoDB Local or a VPC endpoint.")
    streams_endpoint_url: str | None = Field(default=None, description="Default: endpoint_url, else AWS's own.")
    sts_endpoint_url: str | None = Field(default=None, description="Where role_arn is asked for. Default: AWS's own.")
    role_arn: RoleArn | None = Field(default=None, description="Role to take in the table's account.")
    external_id: ExternalIdOfRole = Field(default=None, description="What that role's trust policy asks for.")


class ExportRequest(Section):
    """Where an export that moveout asks for is to be written."""

    bucket: str = Field(min_length=3, max_length=63)
    prefix: str = Field(default="moveout", max_length=1024)
    bucket_owner: str | None = Field(default=None, pattern=r"^\d{12}$", description="Account, if it is another one.")
    kms_key_id: str | None = Field(default=None, description="Of SSE-KMS, in the bucket's region. Default: SSE-S3.")
    format: Literal["DYNAMODB_JSON", "ION"] = "DYNAMODB_JSON"
    poll_seconds: float = Field(default=20, ge=0.1, le=600)


class Scan(Section):
    """How the table is scanned, where it has no point-in-time recovery."""

    segments: int = Field(default=16, ge=1, le=1_000_000, description="Parallel segments; resumed one by one.")
    consistent: bool = Field(default=False, description="Strongly consistent reads, at twice the read units.")
    read_percent: float | None = Field(default=None, gt=0, le=100, description="Of the table's read capacity.")
    read_units_per_second: float | None = Field(default=None, gt=0, description="Or: this many, all workers together.")
    page_items: int | None = Field(default=None, ge=1, description="Limit of one page. Default: 1 MB, as AWS does.")

    @model_validator(mode="after")
    def _one_limit(self) -> "Scan":
        if self.read_percent is not None and self.read_units_per_second is not None:
            raise ValueError("give read_percent or read_units_per_second, not both")
        return self


class Csv(Section):
    """How CSV is written; the names and defaults are those of DMS's endpoint settings (CsvDelimiter, …)."""

    delimiter: str = Field(default=",", min_length=1, max_length=1)
    row_delimiter: str = Field(default="\n", min_length=1, max_length=10)
    null_value: str = Field(default="", description="The text that stands for NULL.")
    rfc4180: bool = Field(default=True, description="Quotes may hold delimiters; false: quotes are text.")
    ignore_header_rows: int = Field(default=0, ge=0, le=1)


class Files(Section):
    """Files of an older tool, as backfill without a tail, or before one."""

    location: str = Field(pattern=r"^(s3://[^/]+/.*|/.*)$", description="s3://bucket/prefix, one object, or a folder.")
    format: FileFormat = "auto"
    as_of: AwareDatetime | None = Field(default=None, description="When they were taken; the tail begins before.")
    table_definition: Path | None = Field(default=None, description="CSV: DMS's external table definition (JSON).")
    table_mappings: Path | None = Field(default=None, description="CSV: DMS's object mappings (JSON).")
    csv: Csv = Csv()

    @property
    def taken_at(self) -> float | None:
        """Epoch seconds; None where the files have no date."""
        return self.as_of.timestamp() if isinstance(self.as_of, datetime) else None


class Backfill(Section):
    """Where the rows that exist already come from."""

    from_: Literal["s3-export", "scan", "files"] = Field(default="s3-export", alias="from")
    manifest: Manifest | None = Field(
        default=None,
        description="s3://bucket/prefix/AWSDynamoDB/<export id>/manifest-summary.json of a full export.",
    )
    export_arn: str | None = Field(
        default=None,
        pattern=r"^arn:aws[a-z-]*:dynamodb:[^:]+:\d{12}:table/[^/]+/export/.+$",
        description="Or: the ARN of an export, also of one that is being made.",
    )
    export: ExportRequest | None = Field(default=None, description="Or: where moveout lets one be written.")
    via: Literal["writes", "import-table"] = Field(
        default="writes", description="How rows get into a DynamoDB target. import-table is refused, with the reason."
    )
    windows: list[Manifest] = Field(
        default=[], description="Incremental exports that follow the manifest's, where the stream reaches not so far."
    )
    scan: Scan = Scan()
    files: Files | None = None
    s3_region: str | None = Field(default=None, description="Region of the bucket. Default: the source's.")
    s3_endpoint_url: str | None = None
    s3_sts_endpoint_url: str | None = Field(default=None, description="Default: the source's.")
    s3_role_arn: RoleOrNone | None = Field(
        default=None, description="Role to take in the bucket's account. Default: the source's. none: no role."
    )
    s3_external_id: ExternalIdOfRole = None
    workers: int = Field(default=2, ge=0, le=64, description="Processes; 0 when a Kubernetes Job does the work.")
    tables_at_once: int = Field(default=2, ge=1, le=64, description="Of several tables, how many load side by side.")
    items_per_second: float | None = Field(default=None, gt=0, description="At most so many, all workers together.")
    batch_rows: int = Field(default=1000, ge=1, le=10_000)
    interleave: int | None = Field(
        default=None,
        ge=1,
        le=16,
        description="Files or segments that one worker reads side by side. Default: 4 for DynamoDB, 1 for others.",
    )
    clock_margin_seconds: int = Field(
        default=120,
        ge=0,
        le=3600,
        description="AWS's export clock may be off by a minute: the stream must reach back this far beyond it.",
    )

    @model_validator(mode="after")
    def _one_way_in(self) -> "Backfill":
        if self.via == "import-table":
            raise ValueError(
                "via: import-table is not offered. AWS's ImportTable stores an export as it is, without the version "
                "that tells an imported item from one that the application wrote: the tail could not update it, or "
                "would overwrite the application's after the switch. Leave `via` out; the design of a sound way is in "
                "daemon/README.md"
            )
        exports = [name for name in ("manifest", "export_arn", "export") if getattr(self, name) is not None]
        if self.from_ == "s3-export" and len(exports) > 1:
            raise ValueError(f"one export at a time: give one of {', '.join(exports)}")
        if self.from_ == "files" and self.files is None:
            raise ValueError("from: files needs files.location")
        if self.windows and self.manifest is None:
            raise ValueError("windows follow a full export that exists: give its manifest too")
        return self


class Tail(Section):
    """How the stream is read."""

    proof: Literal["heartbeat", "seal", "quiet"] = Field(
        default="heartbeat",
        description="How lag is known. quiet: nothing is written to the source, and nothing is proven. seal: as quiet, "
        "until the writers' switch seals the stream.",
    )
    heartbeat_seconds: float = Field(default=5, ge=0.5, le=60, description="How often lag is proven.")
    checkpoint_seconds: float = Field(default=1, ge=0.1, le=60)
    idle_millis: int = Field(default=250, ge=50, le=10_000, description="Pause after an empty page, per shard.")
    failover_seconds: int = Field(default=10, ge=2, le=120, description="A dead worker's shards are free then.")
    shard_audit_seconds: int = Field(default=15, ge=1, le=120)
    jvm_heap_mib: int = Field(default=512, ge=128, le=8192)
    worker_id: str | None = Field(default=None, description="Stable name of this replica. Default: host name.")


class Control(Section):
    """The table that holds all state of the migration; the KCL's own three are on the same side."""

    table: TableName = "moveout-control"
    region: str | None = Field(default=None, description="Default: the source's.")
    endpoint_url: str | None = Field(default=None, description="Default: the source's, in its region.")
    sts_endpoint_url: str | None = Field(default=None, description="Default: the source's.")
    role_arn: RoleOrNone | None = Field(
        default=None, description="Role to take in the table's account. Default: the source's. none: no role."
    )
    external_id: ExternalIdOfRole = None


class DeadLetters(Section):
    """Where changes go that the target can never store, so that everything else may flow."""

    to: str | None = Field(
        default=None,
        pattern=r"^(s3://[^/]+/.*|/.*)$",
        description="s3://bucket/prefix, or a folder that outlives the container; of several tables each has a folder "
        "of its own in it. Default: in the export's bucket.",
    )
    limit: int = Field(default=1000, ge=0, description="More are a rule, no exceptions: the shard or file stops.")


class Verify(Section):
    """How source and target are compared while both live."""

    auto: bool = Field(default=True, description="Begin by itself as soon as lag is proven behind the backfill.")
    required: bool = Field(default=True, description="Readers may switch only when a run has found no difference.")
    items_per_second: float | None = Field(default=None, gt=0, description="Rows read from the target. Default: all.")
    sample_percent: float = Field(default=100, gt=0, le=100, description="Of the rows as the backfill wrote them.")
    live_percent: float = Field(
        default=1,
        gt=0,
        le=100,
        description="Of all rows: read at the source, in random segments; 1,000 at least.",
    )
    preimage_percent: float = Field(
        default=1,
        ge=0,
        le=100,
        description="Of the keys, whose live events are held against the target's row before they are applied: one "
        "read of the target each. 0: none.",
    )


class Server(Section):
    """Metrics, health and signals over HTTP. Serves reads only."""

    listen: str = Field(default="127.0.0.1:8080", pattern=r"^[^\s]+:\d{1,5}$")

    @property
    def host(self) -> str:
        """The address part."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port part."""
        return int(self.listen.rpartition(":")[2])


class Ready(Section):
    """When readers may switch."""

    max_lag_seconds: float = Field(default=10, gt=0, description="Longest proven lag that counts as caught up.")
    stable_for_seconds: float = Field(default=60, ge=0, description="For how long it must have held.")
    allow_unproven: bool = Field(
        default=False, description="With tail.proof quiet or seal: readers may switch on what is only likely."
    )


class DynamoDbItem(Section):
    """An item of a table of yours that tells the decision. Region and credentials are the control table's."""

    table: TableName
    key: dict[str, str | int] = Field(min_length=1, max_length=2, description="The item's whole primary key.")

    @model_validator(mode="after")
    def _key_is_its_own(self) -> "DynamoDbItem":
        taken = self.key.keys() & ITEM_ATTRIBUTES
        if taken:
            raise ValueError(
                f"the key's attribute {min(taken)!r} is one of those that moveout writes: choose another table"
            )
        return self


class ConfigMap(Section):
    """A Kubernetes ConfigMap that tells the decision. Everything but its name is by default as in a pod."""

    name: str = Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")
    namespace: str | None = Field(
        default=None, pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", description="The pod's."
    )
    api_url: str | None = Field(
        default=None, pattern=r"^https://[^\s/]+", description="Default: that of the pod's cluster."
    )
    token_file: Path = SERVICE_ACCOUNT / "token"
    ca_file: Path = SERVICE_ACCOUNT / "ca.crt"
    labels: dict[str, str] = {}


class Signal(Section):
    """Where the decision is published, beside HTTP and metrics."""

    file: Path | None = Field(default=None, description="A JSON file, replaced atomically at every change.")
    dynamodb_item: DynamoDbItem | None = None
    configmap: ConfigMap | None = None


class Webhook(Section):
    """An HTTP server of yours that is told of an event; signed where it shares a secret with us."""

    # Some hold a secret in their address: it is shown nowhere.
    url: str = Field(repr=False, description="http:// or https://; a redirect is not followed.")
    secret_file: Path | None = Field(default=None, description="Its text is the key of X-Moveout-Signature.")
    secret_env: str | None = Field(default=None, description="Or: the variable that holds it.")
    timeout_seconds: float = Field(default=10, gt=0, le=300, description="For the whole answer.")
    attempts: int | None = Field(default=None, ge=1, description="Of one event. Default: until it is taken.")

    @model_validator(mode="after")
    def _can_be_asked(self) -> "Webhook":
        address = urlsplit(self.url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ValueError("webhook.url must be http://HOST/… or https://HOST/… (what was found may hold a secret)")
        if self.secret_file is not None and self.secret_env is not None:
            raise ValueError("give secret_file or secret_env, not both")
        return self


class Hook(Section):
    """Who is told of events (daemon/signal/events.py): a program, or a web server. `pre` ones are asked before."""

    on: tuple[HookKind, ...] = Field(min_length=1)
    pre: bool = Field(default=False, description="Asked before a route or a step of the switch: it can say no.")
    exec: tuple[str, ...] | None = Field(default=None, min_length=1, description="A program with its arguments.")
    timeout_seconds: float = Field(default=30, gt=0, le=300, description="For the program; then it is killed.")
    attempts: int | None = Field(
        default=None, ge=1, description="Of the program, for one event. Default: until it is 0."
    )
    webhook: Webhook | None = None

    @model_validator(mode="before")
    @classmethod
    def _yaml_has_no_word_on(cls, values: Any) -> Any:
        """In YAML 1.1 a bare `on` is the truth value."""
        if isinstance(values, dict) and True in values:
            return {("on" if name is True else name): value for name, value in values.items()}
        return values

    @model_validator(mode="after")
    def _one_kind(self) -> "Hook":
        if (self.exec is None) == (self.webhook is None):
            raise ValueError("give exec or webhook, one of both")
        late = [kind for kind in self.on if kind in ("phase", "ready")]
        if self.pre and late:
            raise ValueError(
                f"pre: {', '.join(late)} is observed, not decided: a pre hook is asked of route and switch"
            )
        if self.webhook is not None and {"timeout_seconds", "attempts"} & self.model_fields_set:
            raise ValueError("timeout_seconds and attempts of a webhook stand inside of `webhook`")
        return self


class LockWebhook(Section):
    """Somebody who stops the writers, and answers when what they had begun is done. See daemon/fence/webhook.py."""

    url: str = Field(pattern=r"^https?://", description="POST: hold, then lift with the side that writers are to use.")
    timeout_seconds: float = Field(default=10, gt=0, le=12, description="Of one request. No answer: the switch fails.")
    secret_env: str | None = Field(default=None, description="Environment variable with the key of the HMAC signature.")


class ResourcePolicy(Section):
    """A Deny on the source table for everyone else. From AWS's documentation, not run against AWS."""

    except_role_arns: list[RoleArn] = Field(
        min_length=1, description="Who may still write: moveout's role on the source, for its heartbeats."
    )


class Fence(Section):
    """What keeps the application from writing while its writers switch. At least one."""

    flag: bool = Field(default=True, description="The application follows the published route: writes_fenced.")
    webhook: LockWebhook | None = None
    resource_policy: ResourcePolicy | None = None

    @model_validator(mode="after")
    def _one_at_least(self) -> "Fence":
        if not (self.flag or self.webhook or self.resource_policy):
            raise ValueError("nothing would stop the writers: set flag: true, webhook or resource_policy")
        return self


class Cutover(Section):
    """The switch of the writers."""

    window_seconds: float = Field(default=3, ge=0.1, le=300, description="For so long the fence must be seen to hold.")
    timeout_seconds: float = Field(default=30, gt=0, le=3600, description="Not committed by then: back, as it was.")
    clock_margin_seconds: float = Field(
        default=1, ge=0, le=600, description="By which the target's clocks, and the writers', may be wrong."
    )
    fence: Fence = Fence()


class Log(Section):
    """How the service logs."""

    format: Literal["json", "console"] = "json"
    level: Literal["debug", "info", "warning", "error"] = "info"
