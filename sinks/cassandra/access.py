"""How we are let in to the nodes of a CQL target: TLS, user name and password.

A password is read when a connection to the cluster is opened and not kept by us. It stands in no option, message or
log. `target.…` in the messages are the options to look at.
"""

import os
import ssl
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from sinks.cassandra.access_options import SecretOptions
from sinks.cassandra.options import CassandraOptions
from sinks.sink import SinkMisconfigured, SinkUnavailable


def ssl_context(options: CassandraOptions) -> ssl.SSLContext | None:
    """TLS 1.2 or newer as configured; None is a plain connection. Raises SinkMisconfigured."""
    tls = options.tls
    if tls is None:
        return None
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise SinkMisconfigured(
            f"target.tls.ca_file: {tls.ca_file} cannot be used as PEM certificates: {error}"
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = tls.check_hostname
    if tls.certificate_file is not None:
        try:
            # Without an answer of ours OpenSSL would ask the terminal for the key's password.
            context.load_cert_chain(tls.certificate_file, tls.key_file, password=lambda: "")
        except (OSError, ssl.SSLError) as error:
            raise SinkMisconfigured(
                f"target.tls.certificate_file {tls.certificate_file} and key_file {tls.key_file} cannot be used: "
                f"{error}. They must be PEM, fit each other, and the key must not be encrypted"
            ) from error
    return context


def wrapping(options: CassandraOptions) -> dict[str, str]:
    """What `SSLContext.wrap_socket` is told besides; the name that is checked is else the node's IP address."""
    name = options.tls.server_name if options.tls is not None else None
    return {} if name is None else {"server_hostname": name}


def credentials(options: CassandraOptions) -> tuple[str, str] | None:
    """User name and password as of now; None where none are configured.

    Raises SinkMisconfigured, and SinkUnavailable while AWS Secrets Manager does not answer.
    """
    if options.username is None:
        return None
    password = _password(options)
    if not password:
        raise SinkMisconfigured(f"target.{_option(options)}: the password of {options.username!r} is empty there")
    return options.username, password


def _option(options: CassandraOptions) -> str:
    return next(
        (name for name in ("password_env", "password_file", "password_secret") if getattr(options, name) is not None),
        "username",
    )


def _password(options: CassandraOptions) -> str:
    if options.password_secret is not None:
        return _of_secret(options.password_secret)
    where = f"target.{_option(options)}: the password of {options.username!r} is not there"
    try:
        if options.password_env is not None:
            return os.environ[options.password_env]
        if options.password_file is not None:
            return _file(options.password_file, where)
    except KeyError as error:
        raise SinkMisconfigured(f"{where}: the environment has no {error}") from None
    except OSError as error:
        raise SinkMisconfigured(f"{where}: {error}") from error
    raise SinkMisconfigured(
        "target.username is given without a password: give password_env, password_file or password_secret"
    )


def _file(path: Path, where: str) -> str:
    text = _utf8(path.read_bytes())
    if text is None:
        raise SinkMisconfigured(f"{where}: {path} is not UTF-8 text")
    return text.strip()


def _utf8(raw: bytes) -> str | None:
    """None where it is something else: raised behind the error's back, for the error would quote the bytes."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None


def _of_secret(secret: SecretOptions) -> str:
    """GetSecretValue's current version (AWS Secrets Manager API reference)."""
    value = _asked(secret)
    text = value["SecretString"] if "SecretString" in value else _utf8(value["SecretBinary"])
    if text is None:
        raise SinkMisconfigured(f"target.password_secret: {secret.id} holds bytes that are not UTF-8")
    try:
        fields = msgspec.json.decode(text)
    except msgspec.DecodeError:
        fields = None
    return _field(secret, text, fields if isinstance(fields, dict) else None)


def _field(secret: SecretOptions, text: str, fields: dict[str, Any] | None) -> str:
    if secret.field is None:
        if fields is not None:
            raise SinkMisconfigured(
                f"target.password_secret: {secret.id} is a JSON object: say in target.password_secret.field "
                "which of its entries is the password"
            )
        return text
    found = (fields or {}).get(secret.field)
    if not isinstance(found, str):
        raise SinkMisconfigured(
            f"target.password_secret.field: {secret.id} is no JSON object with a text {secret.field!r}"
        )
    return found


def _asked(secret: SecretOptions) -> dict[str, Any]:
    """Imported when needed: most moves to CQL ask AWS nothing about their target."""
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

    from sinks import access

    asker = access.Access("target", secret.place, secret.role_arn, secret.external_id, secret.sts_endpoint_url)
    config = Config(connect_timeout=3, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3})
    try:
        with closing(access.client(asker, "secretsmanager", secret.place, secret.endpoint_url, config)) as client:
            found: dict[str, Any] = client.get_secret_value(SecretId=secret.id)
            return found
    except (NoCredentialsError, access.RoleRefused) as error:
        raise SinkMisconfigured(f"target.password_secret: {secret.id} cannot be read: {error}") from error
    except ClientError as error:
        raise _refused(secret, error) from error
    except BotoCoreError as error:
        raise SinkUnavailable(f"target.password_secret: {secret.id} cannot be read: {error}") from error


def _refused(secret: SecretOptions, error: Any) -> SinkMisconfigured | SinkUnavailable:
    """API reference of GetSecretValue, "Errors": all but the service's own bad moments need a person."""
    code = str(error.response["Error"]["Code"])
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    said = f"target.password_secret: {secret.id} cannot be read in {secret.place}: {error}"
    if status >= 500 or "Throttl" in code or code == "InternalServiceError":  # noqa: PLR2004  HTTP's own
        return SinkUnavailable(said)
    return SinkMisconfigured(
        f"{said}. Check its name and region; it takes secretsmanager:GetSecretValue, and kms:Decrypt where it has a "
        "key of its own"
    )
