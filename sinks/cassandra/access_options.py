"""What a person may set for TLS and for the password of a CQL target. Neither ever holds a secret itself."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from sinks.dynamodb.options import ExternalIdOfRole, RoleArn

ARN_PARTS = 7  # arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME
ARN_REGION = 3


class TlsOptions(BaseModel):
    """How the nodes are known, and how we are known to them. `tls: {}` is TLS by the system's own authorities."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ca_file: Path | None = Field(
        default=None, description="Certificates of the authority, PEM. Default: those of the system."
    )
    certificate_file: Path | None = Field(
        default=None, description="Our own certificate and its chain, PEM, for nodes that ask for one."
    )
    key_file: Path | None = Field(default=None, description="Its private key, PEM, not encrypted.")
    check_hostname: bool = Field(
        default=True, description="The certificate must name the node's IP address, or server_name."
    )
    server_name: str | None = Field(
        default=None, min_length=1, description="A name that the certificates of all nodes have."
    )

    @model_validator(mode="after")
    def _key_and_certificate(self) -> "TlsOptions":
        if self.key_file is not None and self.certificate_file is None:
            raise ValueError("key_file is the key of a certificate: give certificate_file too")
        return self


class SecretOptions(BaseModel):
    """A secret of AWS Secrets Manager. A secret that is a JSON object (as the console makes them) needs `field`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(min_length=1, max_length=2048, description="Name or ARN of the secret.")
    field: str | None = Field(default=None, min_length=1, description="Which entry of a JSON object is the password.")
    region: str | None = Field(default=None, description="Default: the one of the ARN.")
    endpoint_url: str | None = Field(default=None, description="A VPC endpoint, or a stand-in.")
    sts_endpoint_url: str | None = Field(default=None, description="Where role_arn is asked for. Default: AWS's own.")
    role_arn: RoleArn | None = Field(default=None, description="Role to take in the secret's account.")
    external_id: ExternalIdOfRole = Field(default=None, description="What that role's trust policy asks for.")

    @property
    def place(self) -> str:
        """The region that is asked."""
        return self.region or _region_of(self.id) or ""

    @model_validator(mode="after")
    def _region_is_known(self) -> "SecretOptions":
        if not self.place:
            raise ValueError("region is missing: give the one of the secret, or its ARN as id")
        return self


def _region_of(secret: str) -> str | None:
    parts = secret.split(":")
    return parts[ARN_REGION] if len(parts) >= ARN_PARTS and parts[0] == "arn" else None


def _by_id(value: Any) -> Any:
    """A plain string is the id."""
    return {"id": value} if isinstance(value, str) else value


Secret = Annotated[SecretOptions, BeforeValidator(_by_id)]
