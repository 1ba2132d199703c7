"""What a person may set for a DynamoDB target."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

# AWS developer guide, "Naming rules": 3 to 255 of these characters.
TableName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{3,255}$")]


class DynamoDbOptions(BaseModel):
    """Where the DynamoDB target is, and how to write to it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["dynamodb"]
    table: TableName
    region: str
    endpoint_url: str | None = Field(default=None, description="Alternator, DynamoDB Local, a VPC endpoint.")
    create_table: bool = Field(default=False, description="Create the table when it is missing: keys only.")
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

    @property
    def tombstones(self) -> str:
        """The name of the table that remembers deletions."""
        return self.tombstone_table or f"{self.table}-moveout-tombstones"
