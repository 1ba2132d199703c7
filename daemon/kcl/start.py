"""Builds the command that runs the KCL for one stream."""

import os
import re
import shutil
import tempfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import structlog

from daemon import aws, handed_on
from daemon import log as logs
from daemon.app import Parts
from daemon.aws import Place
from daemon.config import Config
from daemon.control import Migration
from daemon.java import archive, jars
from daemon.java.compile import compiled
from daemon.java.jars import JarProgress
from daemon.java.jre import java
from daemon.kcl.jvm import StreamsDaemon, java_flags
from daemon.kcl.properties import KclSettings, KclSide, render
from daemon.lean import shard_command

log = structlog.get_logger()

LAUNCHER = Path(__file__).with_name("launcher")
JARS_SAID = 20
PREPARED_HEAP_MIB = 512  # an archive fits any heap up to 32 GiB
DIGEST_LENGTH = 16
NAME_LENGTH_MAX = 200  # the KCL adds suffixes, DynamoDB allows 255


class NotAnchored(Exception):
    """The KCL must not start before the anchor is durable."""


def command(heap_mib: int, properties: Path) -> list[str]:
    """What starts the launcher; compiles it first where that was not done yet."""
    library = jars.ensure("kcl", _say)
    classes = launcher_classes(library)
    flags, binary = java_flags(heap_mib, LAUNCHER / "logback.xml"), java()
    shared = archive.fitting(binary, flags, classes, library)
    class_path = shared.class_path if shared else f"{classes}{os.pathsep}{library}/*"
    mapped = [shared.flag] if shared else []
    return [str(binary), *flags, *mapped, "-cp", class_path, "StreamsDaemon", str(properties)]


def kcl_daemon(
    known: Parts,
    config_path: Path,
    *,
    command: Callable[[int, Path], list[str]] = command,
    folder: Path | None = None,
) -> StreamsDaemon:
    """Start the KCL. `folder`: where its settings lie, in a folder of their own; the system's temporary one otherwise.

    Raises NotAnchored, JarsUnavailable, JavaMissing, UnusableSetting, ClientError.
    """
    found = known.control.get("migration", Migration)
    if found is None or not found[0].stream_arn:
        raise NotAnchored(f"migration {known.config.name!r} has no anchor yet")
    settings = kcl_settings(known.config, found[0].stream_arn, found[0].generation, config_path)
    text = render(settings)
    # A folder of our own: under a name that others can guess, they could put a file with another executable.
    private = tempfile.TemporaryDirectory(prefix="moveout-kcl-", dir=folder)
    try:
        properties = Path(private.name) / "kcl.properties"
        properties.write_text(text)
        checked = Path(private.name) / "checked.json"
        checked.write_bytes(handed_on.encoded([known.config]))
        told = {**logs.export_path(), handed_on.CHECKED_VARIABLE: str(checked)}
        return StreamsDaemon(command(known.config.tail.jvm_heap_mib, properties), told, private.cleanup)
    except BaseException:
        private.cleanup()
        raise


def launcher_classes(library: Path) -> Path:
    """The launcher's classes. Raises NotCompiled, JavaMissing."""
    return compiled(sorted(LAUNCHER.glob("*.java")), library)


def prepare(folder: Path) -> None:
    """The launcher's classes and their archive beside the jars in `folder`, which an image keeps at this very path.

    Without an archive, where this Java makes none, it only starts slower. Raises NotCompiled, JavaMissing, OSError.
    """
    library, classes = folder / "kcl", folder / "classes" / "launcher"
    shutil.copytree(launcher_classes(jars.ensure("kcl")), classes, dirs_exist_ok=True)
    flags = java_flags(PREPARED_HEAP_MIB, LAUNCHER / "logback.xml")
    archive.make(java(), flags, classes, library, folder / "archive")


def _say(progress: JarProgress) -> None:
    if progress.done % JARS_SAID == 0 or progress.done == progress.total:
        log.info("jars_fetched", done=progress.done, of=progress.total)


def kcl_settings(config: Config, stream_arn: str, generation: int, config_path: Path) -> KclSettings:
    """What the launcher is told about this migration."""
    tail = config.tail
    failover_millis = tail.failover_seconds * 1000
    return KclSettings(
        stream_arn=stream_arn,
        application_name=application_name(config.name, stream_arn, generation),
        worker_id=worker_id(config),
        stream=_side(aws.stream(config)),
        leases=_side(aws.state(config)),
        executable=shard_command(str(config_path), generation, config.source.table),
        session_name=aws.source(config).access.session_name,
        failover_millis=failover_millis,
        # One setting says how patient the replicas are with each other; with its default of 10 s these are
        # KclSettings' own defaults. Each turn of the assignment reads two small tables.
        lease_assignment_millis=min(2_000, failover_millis // 5),
        leader_lease_millis=2 * failover_millis,
        leader_heartbeat_millis=failover_millis // 2,
        idle_millis=tail.idle_millis,
        shard_audit_millis=tail.shard_audit_seconds * 1000,
    )


def _side(place: Place) -> KclSide:
    asker = place.access
    return KclSide(
        region=place.region,
        endpoint_url=place.endpoint_url,
        role_arn=asker.role_arn,
        external_id=asker.external_id,
        sts_region=asker.region,
        sts_endpoint_url=asker.sts_endpoint_url,
    )


def worker_id(config: Config) -> str:
    """The name of this replica: stable over restarts, and no other replica's."""
    return config.tail.worker_id or os.uname().nodename


def application_name(migration: str, stream_arn: str, generation: int) -> str:
    """Prefix of the KCL's tables: of this migration, this very stream, and this reading of it from its beginning."""
    label = re.sub(r"[^A-Za-z0-9_.-]", "-", stream_arn.rpartition("/")[2])
    name = f"moveout-{migration}-g{generation}-{label}"
    if len(name) <= NAME_LENGTH_MAX:
        return name
    # Two tables under one name would share their leases.
    digest = sha256(name.encode()).hexdigest()[:DIGEST_LENGTH]
    return f"{name[: NAME_LENGTH_MAX - DIGEST_LENGTH - 1]}-{digest}"
