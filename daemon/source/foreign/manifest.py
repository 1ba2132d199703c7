"""The `manifest` of a Data Pipeline or EMR export: which files belong to it.

Shape from emr-dynamodb-connector (ExportManifestRecordWriter): {"name":"DynamoDB-export","version":3,
"entries":[{"url":"s3://…","mandatory":true}]}. Without one every data file is read, as its ImportInputFormat does.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from daemon.source.export import ExportUnusable
from daemon.source.foreign.damage import DamagedFile
from daemon.source.foreign.places import Found, opened
from daemon.source.foreign.unpacked import unpacked

NAME = "manifest"
VERSION = 3


class _Entry(msgspec.Struct, frozen=True):
    url: str
    mandatory: bool = True


class _Manifest(msgspec.Struct, frozen=True):
    entries: list[_Entry]
    name: str = ""
    version: int = VERSION


def base_name(name: str) -> str:
    """The last part of a URL or path."""
    return name.rsplit("/", 1)[-1]


def chosen(s3: Any, location: str, found: Sequence[Found]) -> list[Found]:
    """The data files: those that the manifest lists, or all that are neither hidden nor empty.

    Raises ExportUnusable, and ClientError or BotoCoreError when S3 is away.
    """
    if any(base_name(file.name) == "manifest-summary.json" for file in found):
        raise ExportUnusable(
            f"{location} holds an export of DynamoDB itself: give its manifest-summary.json as backfill.manifest, "
            "with `from: s3-export`"
        )
    manifests = [file for file in found if base_name(file.name) == NAME]
    if len(manifests) > 1:
        names = ", ".join(file.name for file in manifests)
        raise ExportUnusable(f"{location} holds {len(manifests)} exports ({names}): give the folder of one")
    data = [file for file in found if file.size_bytes and not _hidden(file.name, location)]
    return _of_manifest(s3, manifests[0], data) if manifests else data


def _hidden(name: str, location: str) -> bool:
    """Hadoop's rule: what begins with `_` or `.` is no data, `_SUCCESS` for instance."""
    below = name.removeprefix(location.rstrip("/")).split("/")
    return any(part.startswith(("_", ".")) for part in below)


def _of_manifest(s3: Any, manifest: Found, data: Sequence[Found]) -> list[Found]:
    known = {file.name: file for file in data}
    folder = manifest.name.rsplit("/", 1)[0]
    files = [file for entry in _entries(s3, manifest) if (file := _file(entry, known, folder, manifest)) is not None]
    return list(dict.fromkeys(files))


def _entries(s3: Any, manifest: Found) -> list[_Entry]:
    try:
        with opened(s3, manifest) as body:
            read = msgspec.json.decode(b"".join(unpacked(body)), type=_Manifest)
    except (msgspec.MsgspecError, DamagedFile) as error:
        raise ExportUnusable(
            f'{manifest.name} is not the manifest of an export, {{"name":"DynamoDB-export","version":{VERSION},'
            f'"entries":[…]}}: {error}. Copy it again; without it every file of its folder is read'
        ) from error
    if read.version != VERSION:
        raise ExportUnusable(f"{manifest.name} has version {read.version}, known is {VERSION}: export the table again")
    return read.entries


def _file(entry: _Entry, known: Mapping[str, Found], folder: str, manifest: Found) -> Found | None:
    """The file where the manifest says, or beside the manifest when its folder was moved; None: empty or left out."""
    url = "s3://" + entry.url.split("://", 1)[-1] if entry.url.startswith(("s3n://", "s3a://")) else entry.url
    beside = f"{folder}/{base_name(url)}"
    found = known.get(url) or known.get(beside)
    if found is None and entry.mandatory:
        raise ExportUnusable(
            f"{manifest.name} lists {entry.url}, but neither that nor {beside} is a file with content: the export is "
            "incomplete, copy it again with all its files"
        )
    return found
