"""In whose name each side of the move is asked: one look per set of credentials."""

from collections.abc import Callable, Iterator
from functools import partial

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from daemon import aws
from daemon.aws import Place
from daemon.config import Config
from sinks import access


def asked(config: Config) -> Iterator[tuple[str, Callable[[], str]]]:
    """The sides that share credentials ("source, control"), and the look that tells whose they are.

    A look returns an ARN, or why it could not be asked where the move does not need to know; otherwise it raises
    ClientError, BotoCoreError.
    """
    groups: dict[object, list[tuple[str, Place]]] = {}
    for side, place in _places(config).items():
        groups.setdefault(_alike(place), []).append((side, place))
    for group in groups.values():
        yield ", ".join(side for side, _ in group), partial(_identity, group[0][1])


def _places(config: Config) -> dict[str, Place]:
    places = {"source": aws.source(config), "control": aws.state(config)}
    if config.bucket is not None or config.dead_letters_to.startswith("s3://"):
        places["bucket"] = aws.bucket(config)
    target = aws.target(config)
    return places if target is None else {**places, "target": target}


def _alike(place: Place) -> object:
    """Equal for places that one look speaks for: without a role all have moveout's own credentials."""
    return place.access if place.access.role_arn or place.access.profile else _askable(place)


def _askable(place: Place) -> bool:
    """False for a stand-in, or a private network, that has no STS of its own."""
    return place.endpoint_url is None or place.access.sts_endpoint_url is not None


def _identity(place: Place) -> str:
    asker = place.access
    if asker.role_arn is not None:
        return access.identity(asker)
    keys = access.session(asker).get_credentials()
    key_id = f"access key {keys.get_frozen_credentials().access_key}" if keys is not None else "no credentials"
    if keys is not None and not _askable(place):
        return f"{key_id}; whose it is was not asked: endpoint_url is set, sts_endpoint_url is not"
    try:
        return access.identity(asker)
    except (NoCredentialsError, ClientError):
        raise
    except BotoCoreError as error:
        # Only a role needs STS: from a network without a path to it a move without roles works.
        return f"{key_id}; whose it is could not be asked: {error}"
