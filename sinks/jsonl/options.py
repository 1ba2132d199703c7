"""What a person may set for a target of JSON lines."""

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sinks.dynamodb.options import ExternalIdOfRole, RoleArn

MIB = 1024 * 1024


class JsonlOptions(BaseModel):
    """Where the files go, and how large they grow."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["jsonl"]
    to: str = Field(pattern=r"^(s3://[^/]+(/.*)?|/.*)$", description="s3://bucket/prefix, or an absolute folder.")
    gzip: bool = Field(default=False, description="Compress; each batch is a member of its own.")
    file_bytes_max: int = Field(
        default=256 * MIB, ge=1024, description="In a folder a file that has grown beyond this is followed by another."
    )
    region: str | None = Field(default=None, description="Of the bucket.")
    endpoint_url: str | None = Field(default=None, description="A stand-in for S3, or a VPC endpoint.")
    sts_endpoint_url: str | None = Field(default=None, description="Where role_arn is asked for. Default: AWS's own.")
    role_arn: RoleArn | None = Field(default=None, description="Role to take in the bucket's account.")
    external_id: ExternalIdOfRole = Field(default=None, description="What that role's trust policy asks for.")

    create_table: ClassVar[bool] = False  # there is none; folders are made when the first line is written

    @property
    def in_s3(self) -> bool:
        """True for a bucket, False for a folder."""
        return self.to.startswith("s3://")

    @model_validator(mode="after")
    def _bucket_has_a_region(self) -> "JsonlOptions":
        if self.in_s3 and self.region is None:
            raise ValueError(f"region is missing: give the one of the bucket in {self.to}")
        return self
