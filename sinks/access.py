"""Whose credentials one side of a move uses: those that moveout runs with, or a role's, renewed for as long as it runs.

A move takes many hours, a role's credentials at most one where a role takes a role (AWS IAM guide, "Role chaining"):
so they are never a fixed set of keys. botocore renews them 15 minutes before they end, whoever signs next.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any, NamedTuple

import botocore.session
from botocore.config import Config
from botocore.credentials import DeferredRefreshableCredentials
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from sinks import service_models

# STS allows 2 to 64 characters (API reference, AssumeRole).
SESSION_NAME_LENGTH_MAX = 64
OWN = "the credentials that moveout runs with"
_HTTP_SERVER_ERROR = 500
_EXPIRED = ("ExpiredToken", "ExpiredTokenException")
_UNKNOWN_KEYS = ("InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId")
_BAD_SIGNATURES = ("SignatureDoesNotMatch", "InvalidSignatureException", "RequestTimeTooSkewed")
# What S3 says of a request that came to the wrong region; "403" is all that a HEAD can say.
_ELSEWHERE = ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException")
_DENIED = ("AccessDenied", "AccessDeniedException", "403")
# Short: whoever signs waits for it, and botocore tries again with the next request.
_STS_CONFIG = Config(connect_timeout=3, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3})


class Access(NamedTuple):
    """Who asks. `side` is its section of the configuration, for the messages; `region` is that of STS."""

    side: str
    region: str
    role_arn: str | None = None
    external_id: str | None = None
    sts_endpoint_url: str | None = None
    session_name: str = "moveout"  # what CloudTrail shows
    profile: str | None = None  # of the shared credentials file, instead of moveout's own

    @property
    def who(self) -> str:
        """As a message names it."""
        if self.profile is not None:
            return f"the profile {self.profile!r} of the {self.side}"
        return f"the role {self.role_arn} of the {self.side}" if self.role_arn else f"{OWN}, for the {self.side}"


class RoleRefused(BotoCoreError):  # type: ignore[misc]
    """STS does not give out the role: a person is needed. The message names side, role and what must be granted."""

    fmt = "{message}"


class RoleUnavailable(BotoCoreError):  # type: ignore[misc]
    """The role may be ours, but STS did not answer: another try may cure it."""

    fmt = "{message}"


class NoCredentials(NoCredentialsError):  # type: ignore[misc]
    """Nothing to sign with. The message names the side."""

    fmt = "{message}"


def session_name(migration: str) -> str:
    """The name under which a role is taken: it tells the migration."""
    return f"moveout-{migration}"[:SESSION_NAME_LENGTH_MAX]


def session(access: Access) -> Any:
    """A botocore session whose credentials are this side's. Nothing is asked yet.

    Not boto3's: of that nothing is used here, and its own modules (s3transfer, resources) are 3 MiB.
    Raises NoCredentials for a profile that does not exist.
    """
    made = _own_session()
    if access.role_arn is not None:
        made.register_component("credential_provider", _RoleProvider(access))
    if access.profile is not None:
        made.set_config_variable("profile", access.profile)
        if access.profile not in made.available_profiles:
            raise NoCredentials(message=f"there is no {access.who}: add it to the shared credentials file")
    return made


def _own_session() -> Any:
    """New: keys in a file, or a token that somebody else rotates, are read again. What does not change is shared."""
    made = botocore.session.get_session()
    made.register_component("data_loader", service_models.loader(made.get_config_variable("data_path")))
    return made


def client(access: Access, service: str, region: str, endpoint_url: str | None, config: Config) -> Any:
    """A client, whose refusals say in whose name it asked and what to do. Nothing is asked yet."""
    of_side = session(access)
    made = of_side.create_client(service, region_name=region, endpoint_url=endpoint_url, config=config)
    made.meta.events.register("before-sign", partial(_has_keys, access, of_side))
    made.meta.events.register("after-call", partial(_explain, access, service, region))
    return made


def identity(access: Access) -> str:
    """The ARN of whoever this side's requests come from. Raises ClientError, BotoCoreError."""
    sts = client(access, "sts", access.region, access.sts_endpoint_url, _STS_CONFIG)
    try:
        return str(sts.get_caller_identity()["Arn"])
    finally:
        sts.close()


def advice(access: Access, service: str, region: str, code: str) -> str | None:
    """What a person can do about a refusal of credentials; None when it is about something else."""
    if code in _DENIED:
        said = (
            f"Asked by {access.who}: its policy must allow that, and what is shared across accounts must allow it too"
        )
        missing = ". S3 says so as well of an object that is not there, unless s3:ListBucket is granted"
        return said + missing if service == "s3" else said
    if code in _EXPIRED:
        return f"Expired: {access.who}. {_renew(access)}"
    if code in _UNKNOWN_KEYS:
        return (
            f"Not known to {service} in {region}: {access.who}. Check the keys, the region, and, where a region must "
            "be opted in to, that the account has enabled it"
        )
    if code in _BAD_SIGNATURES:
        return f"Signed by {access.who}: check the secret key and this machine's clock"
    if code in _ELSEWHERE and service == "s3":
        return f"The bucket is not in {region}: set backfill.s3_region to its region"
    return None


def _renew(access: Access) -> str:
    if access.role_arn is None:
        return "Renew them; the role of a pod or an instance renews itself, a session token in the environment does not"
    return "They renew themselves, so look at this machine's clock"


class _RoleProvider:
    """In place of botocore's chain: one set of credentials per role and process, whoever has a client of it."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def load_credentials(self) -> Any:
        """Deferred: STS is asked at the first signature."""
        return _of_role(self._access)


@lru_cache(maxsize=32)
def _of_role(access: Access) -> Any:
    return DeferredRefreshableCredentials(partial(_assumed, access), "assume-role")


def _assumed(access: Access) -> dict[str, Any]:
    """New credentials of the role. Raises RoleRefused, RoleUnavailable, NoCredentials."""
    try:
        given = _given(access)
    except NoCredentialsError as error:
        raise NoCredentials(message=_nothing(access)) from error
    except ClientError as error:
        raise _as_role_error(access, error) from error
    except BotoCoreError as error:
        raise RoleUnavailable(
            message=f"{access.who} cannot be taken, STS in {access.region} cannot be reached: {error}. Check "
            f"the {access.side}'s sts_endpoint_url, the network path, and {OWN}"
        ) from error
    until: datetime = given["Expiration"]
    if until <= datetime.now(UTC):
        raise RoleUnavailable(
            message=f"{access.who}: STS gave out credentials that end at {until.isoformat()}, which is over by this "
            "machine's clock: set the clock"
        )
    return {
        "access_key": given["AccessKeyId"],
        "secret_key": given["SecretAccessKey"],
        "token": given["SessionToken"],
        "expiry_time": until.isoformat(),
    }


def _given(access: Access) -> Any:
    """What AssumeRole answers."""
    external = {} if access.external_id is None else {"ExternalId": access.external_id}
    sts = _own_session().create_client(
        "sts", region_name=access.region, endpoint_url=access.sts_endpoint_url, config=_STS_CONFIG
    )
    try:
        answer = sts.assume_role(RoleArn=access.role_arn, RoleSessionName=access.session_name, **external)
    finally:
        sts.close()
    return answer["Credentials"]


def _as_role_error(access: Access, error: ClientError) -> RoleRefused | RoleUnavailable:
    code, message = str(error.response["Error"]["Code"]), error.response["Error"]["Message"]
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    said = f"{access.who} cannot be taken ({code}): {message.rstrip('.')}"
    if status >= _HTTP_SERVER_ERROR or code.startswith("Throttling"):
        return RoleUnavailable(message=said)
    return RoleRefused(message=f"{said}. {_grant(access, code)}")


def _grant(access: Access, code: str) -> str:
    """What must be there for AssumeRole (AWS IAM guide, "Cross account access", "External IDs")."""
    if code in _DENIED:
        # AWS answers a wrong external id with the same words as a wrong principal.
        asks = (
            f"when sts:ExternalId is {access.external_id!r}"
            if access.external_id is not None
            else f"without sts:ExternalId, for no external id is configured for the {access.side}"
        )
        return (
            f"The trust policy of the role must allow sts:AssumeRole to whoever moveout runs as, {asks}; in another "
            "account, that one's own policy must allow sts:AssumeRole on the role as well"
        )
    if code in _EXPIRED:
        return f"Expired: {OWN}. {_renew(access._replace(role_arn=None))}"
    if code == "RegionDisabledException":
        return (
            f"STS is not active in {access.region}: set the {access.side}'s sts_endpoint_url to one in another region"
        )
    return advice(access._replace(role_arn=None), "sts", access.region, code) or f"Check the role and {OWN}"


def _nothing(access: Access) -> str:
    what = f"to take the role {access.role_arn} with" if access.role_arn else "to sign with"
    return (
        f"{access.side}: no AWS credentials {what}. Give moveout a role (pod, instance) or keys by one of AWS's own "
        "ways: environment, profile, web identity"
    )


def _has_keys(access: Access, of_side: Any, **_: Any) -> None:
    """Before each signature; botocore's own error would not say which side it is about."""
    if of_side.get_credentials() is None:
        raise NoCredentials(message=_nothing(access))


def _explain(access: Access, service: str, region: str, *, parsed: Mapping[str, Any], **_: Any) -> None:
    """After each answer: botocore makes its exception of what stands here."""
    error = parsed.get("Error", {})
    said = advice(access, service, region, str(error.get("Code", "")))
    if said is not None:
        error["Message"] = f"{str(error.get('Message', '')).rstrip('.')}. {said}"
