"""Batches of lines as objects under a prefix of S3, one object a batch: an object is durable when S3 says so."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ParamValidationError

from sinks import access
from sinks.access import Access, RoleRefused
from sinks.jsonl.options import JsonlOptions
from sinks.sink import SinkError, SinkMisconfigured, SinkUnavailable

# A person is needed (S3 API reference, "Error responses"). All else, throttling and 5xx above all, may pass.
_MISCONFIGURED = frozenset(
    {
        "NoSuchBucket",
        "404",
        "AccessDenied",
        "403",
        "AllAccessDisabled",
        "AccountProblem",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "ExpiredToken",
        "InvalidToken",
        "PermanentRedirect",
        "AuthorizationHeaderMalformed",
        "InvalidBucketName",
        "KMS.DisabledException",
        "KMS.NotFoundException",
    }
)


def connected(options: JsonlOptions, session_name: str = "moveout") -> Any:
    """A client of the bucket; `session_name` is what CloudTrail shows of a role. Nothing is asked yet."""
    region = options.region or ""
    asker = Access("target", region, options.role_arn, options.external_id, options.sts_endpoint_url, session_name)
    config = Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 4})
    return access.client(asker, "s3", region, options.endpoint_url, config)


def split(url: str) -> tuple[str, str]:
    """`s3://bucket/a/b` -> (bucket, `a/b/`); the prefix is empty where there is none."""
    parts = urlsplit(url)
    prefix = parts.path.strip("/")
    return parts.netloc, f"{prefix}/" if prefix else ""


class BucketObjects:
    """Objects of one process: `<prefix>/<stem>-000001.jsonl`, one for each batch."""

    def __init__(self, s3: Any, url: str, stem: str, suffix: str) -> None:
        self._s3 = s3
        self._url = url
        self._bucket, self._prefix = split(url)
        self._stem = stem
        self._suffix = suffix
        self._number = 0

    def check(self) -> None:
        """The bucket is there; whether it may be written to, the first batch tells. Raises SinkMisconfigured, …"""
        try:
            self._s3.head_bucket(Bucket=self._bucket)
        except ClientError as error:
            # Whoever may write need not be allowed to look: that needs s3:ListBucket.
            if error.response["Error"]["Code"] not in ("403", "AccessDenied"):
                raise as_sink_error(error, self._url) from error
        except BotoCoreError as error:
            raise as_sink_error(error, self._url) from error

    def append(self, lines: bytes) -> None:
        """Durable when it returns. Raises SinkUnavailable, SinkMisconfigured."""
        # A name for each attempt: one that was given up may land later, and must not replace another's lines.
        self._number += 1
        key = f"{self._prefix}{self._stem}-{self._number:06d}{self._suffix}"
        try:
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=lines)
        except (ClientError, BotoCoreError) as error:
            raise as_sink_error(error, self._url) from error

    def close(self) -> None:
        """Drop the connections."""
        self._s3.close()


def as_sink_error(error: ClientError | BotoCoreError, url: str) -> SinkError:
    """The engine's word for what S3 or botocore said."""
    said = f"{url} cannot be used: {error}"
    if isinstance(error, (NoCredentialsError, RoleRefused, ParamValidationError)):
        return SinkMisconfigured(said)
    if isinstance(error, ClientError) and error.response["Error"]["Code"] in _MISCONFIGURED:
        return SinkMisconfigured(
            f"{said}. Check the bucket, its region and target.to; writing needs s3:PutObject there, "
            "reading s3:GetObject and s3:ListBucket"
        )
    return SinkUnavailable(said)


def listed(s3: Any, bucket: str, prefix: str) -> Iterator[tuple[str, int]]:
    """Key and size of every object under the prefix. Raises ClientError, BotoCoreError."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        yield from ((found["Key"], found["Size"]) for found in page.get("Contents", ()))
