"""The configuration file: what may be set, and one clear list of everything that is wrong with it."""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from sinks.cassandra.options import CassandraOptions
from sinks.dynamodb.options import DynamoDbOptions, TableName

ENV_PREFIX = "MOVEOUT_"


class ConfigurationError(Exception):
    """The configuration cannot be used. The message lists every fault; exit code 2."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Section):
    """The DynamoDB table to move."""

    table: TableName
    region: str
    endpoint_url: str | None = Field(default=None, description="DynamoDB Local or a VPC endpoint.")


class Backfill(_Section):
    """Where the rows that exist already come from."""

    from_: Literal["s3-export"] = Field(default="s3-export", alias="from")
    manifest: str = Field(
        pattern=r"^s3://[^/]+/.+manifest-summary\.json$",
        description="s3://bucket/prefix/AWSDynamoDB/<export id>/manifest-summary.json of a full export.",
    )
    s3_region: str | None = Field(default=None, description="Region of the bucket. Default: the source's.")
    s3_endpoint_url: str | None = None
    workers: int = Field(default=2, ge=0, le=64, description="Processes; 0 when a Kubernetes Job does the work.")
    batch_rows: int = Field(default=1000, ge=1, le=10_000)
    clock_margin_seconds: int = Field(
        default=120,
        ge=0,
        le=3600,
        description="AWS's export clock may be off by a minute: the stream must reach back this far beyond it.",
    )


class Tail(_Section):
    """How the stream is read."""

    heartbeat_seconds: float = Field(default=5, ge=0.5, le=60, description="How often lag is proven.")
    checkpoint_seconds: float = Field(default=1, ge=0.1, le=60)
    idle_millis: int = Field(default=250, ge=50, le=10_000, description="Pause after an empty page, per shard.")
    failover_seconds: int = Field(default=10, ge=2, le=120, description="A dead worker's shards are free then.")
    shard_audit_seconds: int = Field(default=15, ge=1, le=120)
    jvm_heap_mib: int = Field(default=512, ge=128, le=8192)
    worker_id: str | None = Field(default=None, description="Stable name of this replica. Default: host name.")


class Control(_Section):
    """The table that holds all state of the migration, beside the KCL's own three."""

    table: TableName = "moveout-control"


class DeadLetters(_Section):
    """Where changes go that the target can never store, so that everything else may flow."""

    to: str | None = Field(
        default=None,
        pattern=r"^(s3://[^/]+/.*|/.*)$",
        description="s3://bucket/prefix, or a folder that outlives the container. Default: in the export's bucket.",
    )
    limit: int = Field(default=1000, ge=0, description="More are a rule, no exceptions: the shard or file stops.")


class Server(_Section):
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


class Ready(_Section):
    """When readers may switch."""

    max_lag_seconds: float = Field(default=10, gt=0, description="Longest proven lag that counts as caught up.")
    stable_for_seconds: float = Field(default=60, ge=0, description="For how long it must have held.")


class Signal(_Section):
    """Where the decision is published, beside HTTP and metrics."""

    file: Path | None = Field(default=None, description="A JSON file, replaced atomically at every change.")


class Log(_Section):
    """How the service logs."""

    format: Literal["json", "console"] = "json"
    level: Literal["debug", "info", "warning", "error"] = "info"


Target = Annotated[CassandraOptions | DynamoDbOptions, Field(discriminator="kind")]


class Config(BaseSettings):
    """One migration. Any value can be overridden by MOVEOUT_SECTION__NAME in the environment."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix=ENV_PREFIX, env_nested_delimiter="__", populate_by_name=False
    )

    migration: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", description="Its name: never change it midway.")
    source: Source
    backfill: Backfill
    tail: Tail = Tail()
    target: Target
    control: Control = Control()
    dead_letters: DeadLetters = DeadLetters()
    server: Server = Server()
    ready: Ready = Ready()
    signal: Signal = Signal()
    log: Log = Log()

    @property
    def dead_letters_to(self) -> str:
        """Where dead letters are written: as configured, or beside the export."""
        bucket = self.backfill.manifest.split("/")[2]
        return self.dead_letters.to or f"s3://{bucket}/moveout/{self.migration}/dead-letters"

    @model_validator(mode="after")
    def _lag_can_be_proven(self) -> "Config":
        """Lag is proven once per heartbeat: a limit below two of them would never hold."""
        if self.ready.max_lag_seconds < 2 * self.tail.heartbeat_seconds:
            raise ValueError(
                f"ready.max_lag_seconds is {self.ready.max_lag_seconds:g}, but lag is proven only every "
                f"tail.heartbeat_seconds = {self.tail.heartbeat_seconds:g}: it must be at least twice that"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file: the same file serves every replica."""
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings


def load(path: Path) -> Config:
    """Read and check a configuration file. Raises ConfigurationError with every fault at once."""
    values = _parsed(path)
    try:
        return Config(**values)
    except ValidationError as error:
        faults = "\n".join(f"  {_where(fault)}: {_what(fault)}" for fault in error.errors())
        raise ConfigurationError(f"{path} has {error.error_count()} fault(s):\n{faults}") from error


def _parsed(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigurationError(
            f"cannot read {path}: {error.strerror}. An example: deploy/moveout.example.yaml"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not YAML: {error}") from error
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path} must hold a mapping with `migration`, `source`, `backfill`, `target`")
    return values


def _where(fault: Any) -> str:
    # The tag of the union ("cassandra") is pydantic's, not the file's.
    parts = [str(part) for part in fault["loc"] if part not in ("cassandra", "dynamodb")]
    return ".".join(parts) or "file"


def _what(fault: Any) -> str:
    match fault["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return "is not a known option (see `moveout check --help`)"
        case "union_tag_invalid" | "union_tag_not_found":
            return "kind must be 'cassandra' or 'dynamodb'"
    if fault["type"] == "value_error":
        return str(fault["ctx"]["error"])
    return f"{fault['msg']} (found {fault['input']!r:.80})"
