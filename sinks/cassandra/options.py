"""What a person may set for a CQL target."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sinks.cassandra.access_options import Secret, TlsOptions

CqlName = Annotated[str, Field(pattern=r"^\w{1,48}$")]
Consistency = Literal["ONE", "LOCAL_ONE", "TWO", "THREE", "QUORUM", "LOCAL_QUORUM", "EACH_QUORUM", "ALL"]


class CassandraOptions(BaseModel):
    """Where the CQL target is, and how to write to it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["cassandra"] = "cassandra"
    contact_points: list[str] = Field(min_length=1, description="Nodes to ask first; the rest is discovered.")
    port: int = Field(default=9042, ge=1, le=65535)
    local_datacenter: str = Field(description="The data centre to write to, as `nodetool status` names it.")
    keyspace: CqlName = Field(description="Must exist: its replication is yours to choose.")
    table: CqlName
    create_table: bool = Field(default=False, description="Create the table when it is missing.")
    consistency: Consistency = Field(
        default="LOCAL_QUORUM", description="A write counts as durable when this many replicas have it."
    )
    username: str | None = None
    password_env: str | None = Field(default=None, description="Environment variable that holds the password.")
    password_file: Path | None = Field(default=None, description="File that holds the password.")
    password_secret: Secret | None = Field(
        default=None, description="Secret of AWS Secrets Manager: its ARN, or {id, field, region, role_arn, …}."
    )
    tls: TlsOptions | None = Field(default=None, description="TLS to the nodes; {} trusts the system's authorities.")
    concurrency: int = Field(default=64, ge=1, le=1024, description="Requests in flight inside one batch.")
    request_timeout_seconds: float = Field(default=10.0, gt=0, le=120)
    gc_grace_days_min: float = Field(
        default=3.0,
        gt=0,
        description="The table must remember deletions this long: twice the backfill, and two days more.",
    )

    @model_validator(mode="after")
    def _one_password(self) -> "CassandraOptions":
        named = [name for name in ("password_env", "password_file", "password_secret") if getattr(self, name)]
        if len(named) > 1:
            raise ValueError(f"{' and '.join(named)} are given: the password can be in one place only")
        if named and self.username is None:
            raise ValueError(f"{named[0]} is given without username")
        if self.username is not None and not named:
            raise ValueError("username is given without password_env, password_file or password_secret")
        return self
