"""What a person may set for a CQL target."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from sinks.cassandra.access_options import Secret, TlsOptions
from sinks.cassandra.values import FORMS, Form, codec

# Cassandra's own words (SchemaConstants), which are ASCII; `\w` would let other letters through.
CqlName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,48}$")]
ColumnName = Annotated[str, Field(min_length=1, max_length=255)]
Consistency = Literal["ONE", "LOCAL_ONE", "TWO", "THREE", "QUORUM", "LOCAL_QUORUM", "EACH_QUORUM", "ALL"]


class KeyColumn(BaseModel):
    """How a key attribute lies in the table, where that is not its own name and the default type."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str | None = Field(default=None, description="CQL type; S: text, N: decimal, B: blob where nothing is said.")
    column: ColumnName | None = Field(default=None, description="Its name in the table; the attribute's own otherwise.")
    form: Form | None = Field(default=None, description=f"How DynamoDB holds a timestamp: {', '.join(FORMS)}.")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"type": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.type is not None:
            codec(self.type, self.form)
        if self.form is not None and "timestamp" not in (self.type or ""):
            raise ValueError(f"form says how a timestamp is written; the type is {self.type}")
        return self


class TypedColumn(KeyColumn):
    """An attribute that has a column of its own in layout `columns`."""

    type: str = Field(description="CQL type: text, decimal, bigint, …, list<…>, set<…>, map<text, …> of them.")
    otherwise: Literal["spill", "dead-letter"] = Field(
        default="spill",
        description="What becomes of a value that the type cannot give back exactly: it stays in attrs, or the whole "
        "change becomes a dead letter.",
    )


class Ttl(BaseModel):
    """The attribute by which DynamoDB expires items."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    attribute: str = Field(min_length=1, description="A number: seconds since 1970.")
    as_: Literal["data", "ttl"] = Field(
        default="data",
        alias="as",
        description="data: kept as any attribute, CQL expires nothing. ttl: rows expire by USING TTL as well.",
    )


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
    layout: Literal["document", "columns"] = Field(
        default="document",
        description="document: all attributes but the key in one column. columns: those of `columns` in columns of "
        "their own, the rest in that one.",
    )
    keys: dict[str, KeyColumn] = Field(default={}, description="Key attribute -> its type and column, or its type.")
    columns: dict[str, TypedColumn] = Field(
        default={}, description="Layout columns: attribute -> its type, column and policy, or its type."
    )
    attrs_column: ColumnName = Field(default="attrs", description="Holds all other attributes as DynamoDB's JSON.")
    version_column: ColumnName = Field(default="version", description="Holds the version, in microseconds.")
    ttl: Ttl | None = Field(default=None, description="What becomes of the table's time to live.")
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
    transport: Literal["lane", "driver"] = Field(
        default="lane", description="How rows are sent: over connections of our own, or by the CQL driver."
    )
    in_flight: int = Field(
        default=512, ge=1, le=16384, description="Requests in flight to one node, at most, over `transport: lane`."
    )
    in_flight_mib: float = Field(
        default=4.0, gt=0, le=256, description="Of these, so much at most: a node refuses more than it has room for."
    )
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

    @model_validator(mode="after")
    def _one_layout(self) -> Self:
        if self.layout == "columns" and not self.columns:
            raise ValueError("layout columns needs `columns`: name the attributes that get a column of their own")
        if self.layout == "document" and self.columns:
            raise ValueError("`columns` needs `layout: columns`; layout document has all attributes in one column")
        return self

    @model_validator(mode="after")
    def _names_apart(self) -> Self:
        both = self.keys.keys() & self.columns.keys()
        if both:
            raise ValueError(
                f"{', '.join(sorted(both))} stands under `keys` and under `columns`; it is one or the other"
            )
        names = [typed.column or name for name, typed in (*self.keys.items(), *self.columns.items())]
        names += [self.attrs_column, self.version_column]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two columns would be called {', '.join(map(repr, twice))}: give one another `column`")
        return self
