"""Where the bodies of dead letters lie: under an S3 prefix, or in a folder."""

import os
from pathlib import Path
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from daemon.source.export import split_url

ABOUT = "about.txt"
ABOUT_TEXT = b"""Dead letters of moveout: changes that the target refused, one line of JSON per file.
They are applied again by `moveout dead-letter retry`. Keep this folder until the move is finished.
"""


class BoxUnavailable(Exception):
    """A dead letter cannot be written or read. The message says where, and what to do."""


class LetterBox(Protocol):
    """Keeps bodies by name."""

    def put(self, name: str, body: bytes) -> str:
        """Write it durably; where it is now. Raises BoxUnavailable."""

    def get(self, where: str) -> bytes:
        """What `put` wrote. Raises BoxUnavailable."""

    def try_out(self) -> str:
        """Write a note about the folder, so that a missing right shows before it matters; where. As put."""


class FolderBox:
    """A folder: of a volume that outlives the container."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, name: str, body: bytes) -> str:
        """Written beside, synced, renamed: never half a letter."""
        return self._write(f"{name}.jsonl", body)

    def get(self, where: str) -> bytes:
        """By path."""
        try:
            return Path(where).read_bytes()
        except OSError as error:
            raise BoxUnavailable(f"the dead letter {where} cannot be read: {error.strerror}") from error

    def try_out(self) -> str:
        """As a letter is written."""
        return self._write(ABOUT, ABOUT_TEXT)

    def _write(self, name: str, body: bytes) -> str:
        path = self._folder / name
        # Named by process: two shards may write the same letter at one time.
        beside = path.with_suffix(f".{os.getpid()}.new")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with beside.open("wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
            _sync(self._folder)
        except OSError as error:
            raise BoxUnavailable(
                f"dead letters cannot be written to {self._folder}: {error.strerror}. "
                "Make it writable for this user, or set dead_letters.to"
            ) from error
        return str(path)


class S3Box:
    """Objects under a prefix."""

    def __init__(self, s3: Any, url: str) -> None:
        self._s3 = s3
        self._bucket, self._prefix = split_url(url.rstrip("/") + "/")

    def put(self, name: str, body: bytes) -> str:
        """One object; writing it again changes nothing."""
        return self._write(f"{name}.jsonl", body)

    def get(self, where: str) -> bytes:
        """By URL."""
        bucket, key = split_url(where)
        try:
            return bytes(self._s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        except (ClientError, BotoCoreError) as error:
            raise BoxUnavailable(f"the dead letter {where} cannot be read: {error}") from error

    def try_out(self) -> str:
        """As a letter is written."""
        return self._write(ABOUT, ABOUT_TEXT)

    def _write(self, name: str, body: bytes) -> str:
        key = self._prefix + name
        try:
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=body)
        except (ClientError, BotoCoreError) as error:
            raise BoxUnavailable(
                f"dead letters cannot be written to s3://{self._bucket}/{self._prefix}: {error}. Grant s3:PutObject "
                "and s3:GetObject there, or set dead_letters.to to another s3:// prefix or to a folder"
            ) from error
        return f"s3://{self._bucket}/{key}"


def letter_box(s3: Any, to: str) -> LetterBox:
    """The box that `dead_letters.to` names."""
    return S3Box(s3, to) if to.startswith("s3://") else FolderBox(Path(to))


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
