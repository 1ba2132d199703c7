"""The JVM's class-data sharing: a file of our classes as the JVM has them in memory, which it maps instead of loading.

Made once for a Java, a launcher and its jars ("Class Data Sharing", java's manual): into the cache, or at build into
the image. Which classes: kcl.classes.gz beside this file, from a run of the launcher
(`python -m tests.bench.jvm --learn FILE`). Where the file does not fit the JVM starts without, only slower.
"""

import fcntl
import gzip
import hashlib
import os
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import structlog

from daemon.java import jars as jar_sets

log = structlog.get_logger()

CLASS_LIST = Path(__file__).with_name("kcl.classes.gz")
ARCHIVE, LAUNCHER, GIVEN_UP = "kcl.jsa", "launcher.jar", "given-up"
DUMP_SECONDS_MAX, FIT_SECONDS_MAX = 180, 20
# 65 MiB each; a machine with several checkouts has several.
KEPT = 3


class Archive(NamedTuple):
    """An archive, and the class path that it was made for: the JVM takes it for no other."""

    file: Path
    class_path: str

    @property
    def flag(self) -> str:
        """What makes the JVM map it."""
        return f"-XX:SharedArchiveFile={self.file}"


def fitting(java: Path, flags: Sequence[str], classes: Path, library: Path) -> Archive | None:
    """The archive for this start; made first where there is none yet, once.

    None where none fits, or none can be made (a read-only cache, a full disk, another process at work on it): never a
    reason not to start.
    """
    prepared = os.environ.get("MOVEOUT_JARS")
    try:
        folder = Path(prepared) / "archive" if prepared else _made(java, flags, classes, library)
    except (OSError, subprocess.SubprocessError) as error:
        log.debug("class_archive_not_made", error=str(error))
        return None
    found = _archive(folder, library)
    return found if found.file.exists() and fits(java, flags, found) else None


def fits(java: Path, flags: Sequence[str], archive: Archive) -> bool:
    """Asked of the JVM itself, which compares its own build and each jar's path, size and time; 0.1 s."""
    command = [str(java), *flags, "-Xshare:on", archive.flag, "-cp", archive.class_path, "-version"]
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=FIT_SECONDS_MAX).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def make(java: Path, flags: Sequence[str], classes: Path, library: Path, folder: Path) -> Path | None:
    """Dump it into this folder, where it has to stay: its own path is part of it. None where the JVM would not.

    Raises OSError, subprocess.TimeoutExpired.
    """
    folder.mkdir(parents=True, exist_ok=True)
    archive = _archive(folder, library)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        _launcher(classes, folder / LAUNCHER, Path(temporary))
        listed, dumped = Path(temporary) / "classes", Path(temporary) / ARCHIVE
        listed.write_bytes(gzip.decompress(CLASS_LIST.read_bytes()))
        options = ["-Xshare:dump", f"-XX:SharedClassListFile={listed}", f"-XX:SharedArchiveFile={dumped}"]
        command = [str(java), *flags, *options, "-cp", archive.class_path]
        subprocess.run(command, capture_output=True, check=False, timeout=DUMP_SECONDS_MAX)
        if not dumped.exists():
            return None
        dumped.replace(archive.file)
    return archive.file


def _made(java: Path, flags: Sequence[str], classes: Path, library: Path) -> Path:
    folder = jar_sets.cache() / "archives" / _fingerprint(java, classes, library)
    if (folder / ARCHIVE).exists() or (folder / GIVEN_UP).exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder / "lock") as alone:
        if alone:
            _make_once(java, flags, classes, library, folder)
    return folder


def _make_once(java: Path, flags: Sequence[str], classes: Path, library: Path, folder: Path) -> None:
    began = time.monotonic()
    try:
        made = make(java, flags, classes, library, folder)
    except subprocess.TimeoutExpired:
        made = None
    if made is None:
        (folder / GIVEN_UP).touch()  # not to be tried at every start
        return
    log.info("class_archive_made", seconds=round(time.monotonic() - began, 1), mib=made.stat().st_size >> 20)
    _prune(folder.parent)


@contextmanager
def _alone(lock: Path) -> Iterator[bool]:
    """Whether nobody else is at it. The kernel lets go of it when a process is killed."""
    with lock.open("a") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _prune(archives: Path) -> None:
    """The oldest go; a JVM that has one mapped keeps it."""
    found = sorted(archives.glob(f"*/{ARCHIVE}"), key=lambda file: file.stat().st_mtime)
    for file in found[:-KEPT]:
        file.unlink(missing_ok=True)


def _archive(folder: Path, library: Path) -> Archive:
    # By name: the order of `library/*` is the file system's, and the JVM wants the one that it was made with.
    jars = (folder / LAUNCHER, *sorted(library.glob("*.jar")))
    return Archive(folder / ARCHIVE, os.pathsep.join(map(str, jars)))


def _launcher(classes: Path, jar: Path, temporary: Path) -> None:
    """The launcher's classes as a jar: a folder of classes cannot be shared. Never replaced: its time counts."""
    if jar.exists():
        return
    made = temporary / LAUNCHER
    with zipfile.ZipFile(made, "w") as file:
        for one in sorted(classes.rglob("*.class")):
            file.write(one, one.relative_to(classes))
    made.rename(jar)


def _fingerprint(java: Path, classes: Path, library: Path) -> str:
    told = subprocess.run([str(java), "-version"], capture_output=True, check=False, timeout=FIT_SECONDS_MAX)
    digest = hashlib.sha256(told.stderr + told.stdout)
    # An archive names the jars by their paths.
    digest.update(f"{java.resolve()} {classes} {library}".encode() + CLASS_LIST.read_bytes())
    return digest.hexdigest()[:16]
