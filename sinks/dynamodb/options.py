"""What a person may set for a DynamoDB target."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, model_validator

# AWS developer guide, "Naming rules": 3 to 255 of these characters.
TableName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{3,255}$")]
RoleArn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/.+$")]
# STS API reference, AssumeRole.
ExternalId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_+=,.@:/-]+$", min_length=2, max_length=1224)]


def _of_a_role(external_id: str | None, info: ValidationInfo) -> str | None:
    role = f"{(info.field_name or '').removesuffix('external_id')}role_arn"
    if external_id is not None and info.data.get(role, "none") in (None, "none"):
        raise ValueError(f"is only told to a role: give {role} too, or leave it out")
    return external_id


# Stands behind the role's option, whose name begins as its own does.
ExternalIdOfRole = Annotated[ExternalId | None, AfterValidator(_of_a_role)]


class DynamoDbOptions(BaseModel):
    """Where the DynamoDB target is, and how to write to it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["dynamodb"]
    table: TableName
    region: str
    endpoint_url: str | None = Field(default=None, description="Alternator, DynamoDB Local, a VPC endpoint.")
    sts_endpoint_url: str | None = Field(default=None, description="Where role_arn is asked for. Default: AWS's own.")
    role_arn: RoleArn | None = Field(default=None, description="Role to take in the target's account.")
    external_id: ExternalIdOfRole = Field(default=None, description="What that role's trust policy asks for.")
    profile: str | None = Field(
        default=None,
        min_length=1,
        description="Profile of the shared credentials file that the target's keys are in: Alternator's own.",
    )
    create_table: bool = Field(
        default=False,
        description="Create the table when it is missing: keys only, on demand. `moveout schema --apply` clones it.",
    )
    mode: Literal["exact", "ordered"] = Field(
        default="exact",
        description="exact: any order, any number of times. ordered: half the cost, no hidden attribute, no second "
        "table; backfill first, then the tail, and the verifier as safety net.",
    )
    version_attribute: str = Field(
        default="moveout:version",
        min_length=1,
        description="Hidden attribute of every moved item: the version that decides which write is newer.",
    )
    tombstone_table: TableName | None = Field(
        default=None, description="Remembers deletions during the move. Default: <table>-moveout-tombstones."
    )
    concurrency: int = Field(default=16, ge=1, le=256, description="Requests in flight inside one batch.")
    request_timeout_seconds: float = Field(default=10.0, gt=0, le=120)
    transport: Literal["lane", "threads"] = Field(
        default="lane", description="lane: our own sockets. threads: Python's HTTP client, at many times the CPU."
    )
    write_percent: float | None = Field(
        default=None, gt=0, le=100, description="Of the table's write capacity, for the backfill. The tail is not held."
    )
    write_units_per_second: float | None = Field(
        default=None, gt=0, description="Or: this many write units, all workers of the backfill together."
    )
    flavor: Literal["dynamodb", "alternator"] = Field(
        default="dynamodb",
        description="alternator: ScyllaDB's DynamoDB API at endpoint_url, which has no transactions.",
    )
    kms_key_id: str | None = Field(
        default=None,
        min_length=1,
        description="Key of a target that `moveout schema` creates, of its account and region. Default: the source's.",
    )
    complete_items_per_second: float = Field(
        default=500, gt=0, description="How fast `moveout complete` takes the hidden attribute off."
    )

    @model_validator(mode="after")
    def _whole(self) -> "DynamoDbOptions":
        if self.flavor == "alternator" and self.endpoint_url is None:
            raise ValueError("flavor: alternator needs endpoint_url: the address of the ScyllaDB cluster")
        if self.tombstones == self.table:
            raise ValueError("tombstone_table is the target itself: name another table, or leave it out")
        if self.profile is not None and self.role_arn is not None:
            raise ValueError("give profile or role_arn, not both: a role is taken with moveout's own credentials")
        return self

    @model_validator(mode="after")
    def _one_limit(self) -> "DynamoDbOptions":
        if self.write_percent is not None and self.write_units_per_second is not None:
            raise ValueError("give write_percent or write_units_per_second, not both")
        return self

    @property
    def tombstones(self) -> str:
        """The name of the table that remembers deletions."""
        return self.tombstone_table or f"{self.table}-moveout-tombstones"
