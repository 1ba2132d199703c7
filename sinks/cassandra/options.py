"""What a person may set for a CQL target."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

CqlName = Annotated[str, Field(pattern=r"^\w{1,48}$")]
Consistency = Literal["ONE", "LOCAL_ONE", "TWO", "THREE", "QUORUM", "LOCAL_QUORUM", "EACH_QUORUM", "ALL"]


class CreateKeyspace(BaseModel):
    """How the keyspace is made where it is missing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    replication: dict[str, str | int] = Field(
        description="As in CREATE KEYSPACE: {class: NetworkTopologyStrategy, <data centre>: 3}.", min_length=1
    )

    @field_validator("replication")
    @classmethod
    def _with_a_class(cls, replication: dict[str, str | int]) -> dict[str, str | int]:
        if "class" not in replication:
            raise ValueError("needs a class, e.g. {class: NetworkTopologyStrategy, <data centre>: 3}")
        return replication


class CassandraOptions(BaseModel):
    """Where the CQL target is, and how to write to it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["cassandra"] = "cassandra"
    contact_points: list[str] = Field(min_length=1, description="Nodes to ask first; the rest is discovered.")
    port: int = Field(default=9042, ge=1, le=65535)
    local_datacenter: str = Field(description="The data centre to write to, as `nodetool status` names it.")
    keyspace: CqlName = Field(description="Must exist, or be described by create_keyspace.")
    create_keyspace: CreateKeyspace | None = Field(
        default=None, description="Make the keyspace where it is missing: its replication is yours to choose."
    )
    table: CqlName
    create_table: bool = Field(default=False, description="Create the table when it is missing.")
    consistency: Consistency = Field(
        default="LOCAL_QUORUM", description="A write counts as durable when this many replicas have it."
    )
    username: str | None = None
    password_env: str | None = Field(default=None, description="Environment variable that holds the password.")
    password_file: Path | None = Field(default=None, description="File that holds the password.")
    concurrency: int = Field(default=64, ge=1, le=1024, description="Requests in flight inside one batch.")
    request_timeout_seconds: float = Field(default=10.0, gt=0, le=120)
    gc_grace_days_min: float = Field(
        default=3.0,
        gt=0,
        description="The table must remember deletions this long: twice the backfill, and two days more.",
    )

    @property
    def password(self) -> str | None:
        """The password, read when asked for and never kept. Raises KeyError or OSError when it is not there."""
        if self.password_env:
            return os.environ[self.password_env]
        if self.password_file:
            return self.password_file.read_text().strip()
        return None
