"""Files of older tools as a backfill: what there is, as of when, and whether the stream joins them."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from daemon.app import Parts
from daemon.control import Part
from daemon.preflight import CheckFailed
from daemon.progress_view import size
from daemon.sections import Files
from daemon.source.export import ExportUnusable, hole, iso, version_of
from daemon.source.foreign import parts as foreign


class FilesFound(NamedTuple):
    """The files as parts without versions, and the instant (epoch seconds) whose state they hold."""

    parts: Sequence[Part]
    taken_at: float

    @property
    def version(self) -> int:
        """The one version of all their rows, in microseconds."""
        return version_of(self.taken_at)


def look(known: Parts) -> FilesFound:
    """What is to be loaded. Raises CheckFailed.

    Without a tail and without a date they count as of now: nothing else writes what they hold.
    """
    files, now = known.config.backfill.files, known.clock.time()
    if files is None:
        raise CheckFailed("backfill.files is missing: `from: files` needs at least files.location")
    taken_at = files.taken_at if files.taken_at is not None else now
    fault = _fault(known, files, taken_at, now)
    if fault is not None:
        raise CheckFailed(f"{files.location}: {fault}")
    try:
        return FilesFound(foreign.files_parts(known.s3, files, known.keys), taken_at)
    except ExportUnusable as error:
        raise CheckFailed(str(error)) from error
    except ClientError as error:
        told = error.response["Error"]
        raise CheckFailed(
            f"{files.location} cannot be read ({told['Code']}): {told['Message']}. "
            "It needs s3:ListBucket and s3:GetObject"
        ) from error
    except BotoCoreError as error:
        raise CheckFailed(
            f"{files.location} cannot be reached: {error}. Check backfill.s3_endpoint_url, s3_region and credentials"
        ) from error


def _fault(known: Parts, files: Files, taken_at: float, now: float) -> str | None:
    if taken_at > now:
        return f"files.as_of is {iso(taken_at)}, which is still to come: give the time at which the files were taken"
    if not known.config.tails:
        return None
    if files.taken_at is None:
        return "files.as_of is missing: the stream must be followed from before the files were taken"
    margin = known.config.backfill.clock_margin_seconds
    missing = hole(taken_at, known.facts.stream.created_at, now, margin)
    return (
        missing and f"these files are too old to be followed by the stream: {missing}, or scan the table (`from: scan`)"
    )


def told(known: Parts, parts: Sequence[Part]) -> str:
    """What `moveout check` says of them."""
    return in_words(parts) + ("; they join the stream without a hole" if known.config.tails else "")


def in_words(parts: Sequence[Part]) -> str:
    """How many there are of each format: `2 file(s), 1 as csv, 1 as emr: 1.21 MiB as stored, about 2,400 items`."""
    formats = Counter(part.format.split(" ")[0] for part in parts)
    counts = ", ".join(f"{count:,} as {name}" for name, count in sorted(formats.items()))
    stored, items = size(sum(part.size_bytes for part in parts)), sum(part.items for part in parts)
    return f"{len(parts):,} file(s), {counts}: {stored} as stored, about {items:,} items"
