"""Jars by coordinate and SHA-256, from the lock beside this file into a cache that survives `git clean`.

`python -m daemon.java.jars --into DIR kcl` prepares a folder for an image; MOVEOUT_JARS then points at it.
"""

import argparse
import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

LOCK = Path(__file__).with_name("jars.lock")
THREADS = 8
ATTEMPTS = 3
BLOCK_BYTES = 1 << 16
CONNECT_SECONDS_MAX, SILENCE_SECONDS_MAX = 10, 60


class JarsUnavailable(Exception):
    """A jar cannot be had, or is not what the lock says. The message names it and the next step."""


class Jar(NamedTuple):
    """One line of the lock: a file by its Maven coordinate `group:artifact[:type[:classifier]]:version`."""

    coordinate: str
    sha256: str

    @property
    def file_name(self) -> str:
        """As Maven names it: two sets never disagree about a name."""
        _, artifact, *middle, version = self.coordinate.split(":")
        extension = middle[0] if middle else "jar"
        classifier = f"-{middle[1]}" if len(middle) > 1 else ""
        return f"{artifact}-{version}{classifier}.{extension}"


class JarProgress(NamedTuple):
    """How far a set has been fetched."""

    done: int
    total: int
    coordinate: str


Fetch = Callable[[str, Path], None]


def locked(set_name: str, lock: Path = LOCK) -> list[Jar]:
    """The jars of a set. Raises JarsUnavailable for a set that the lock does not know."""
    lines = [line.split() for line in lock.read_text().splitlines() if line and not line.startswith("#")]
    jars = [Jar(coordinate, sha256) for name, coordinate, sha256 in lines if name == set_name]
    if not jars:
        raise JarsUnavailable(f"no set of jars is called {set_name!r}; known are {sorted({line[0] for line in lines})}")
    return jars


def cache() -> Path:
    """Where fetched jars are kept: $MOVEOUT_CACHE, or ~/.cache/moveout."""
    return Path(os.environ.get("MOVEOUT_CACHE") or Path.home() / ".cache" / "moveout")


def ensure(
    set_name: str,
    progress: Callable[[JarProgress], None] | None = None,
    *,
    fetch: Fetch | None = None,
    lock: Path = LOCK,
) -> Path:
    """A folder with exactly this set's jars; native libraries are in its subfolder `native`.

    What is in the cache already, and right, is not fetched again: an interrupted run goes on where it was.
    Raises JarsUnavailable.
    """
    prepared = os.environ.get("MOVEOUT_JARS")
    if prepared:
        return _prepared(Path(prepared) / set_name)
    jars = locked(set_name, lock)
    version = hashlib.sha256("".join(sorted(jar.sha256 for jar in jars)).encode()).hexdigest()[:12]
    folder = cache() / "sets" / f"{set_name}-{version}"
    if not folder.exists():
        _fetch_all(jars, progress or (lambda _: None), fetch or _from_maven)
        _link(jars, folder)
    return folder


def _prepared(folder: Path) -> Path:
    if not folder.is_dir():
        raise JarsUnavailable(
            f"MOVEOUT_JARS names {folder.parent}, which has no folder {folder.name!r}: "
            f"prepare it with `python -m daemon.java.jars --into {folder.parent} {folder.name}`, or unset MOVEOUT_JARS"
        )
    return folder


def _fetch_all(jars: list[Jar], progress: Callable[[JarProgress], None], fetch: Fetch) -> None:
    missing = [jar for jar in jars if not _is_kept(jar)]
    done = len(jars) - len(missing)
    with ThreadPoolExecutor(THREADS) as pool:
        running = {pool.submit(_fetch_one, jar, fetch): jar for jar in missing}
        try:
            for future in as_completed(running):
                future.result()
                done += 1
                progress(JarProgress(done, len(jars), running[future].coordinate))
        except BaseException:  # Ctrl-C and a full disk too: else all that is left would be fetched first
            pool.shutdown(cancel_futures=True)
            raise


def _kept(jar: Jar) -> Path:
    return cache() / "jars" / jar.sha256 / jar.file_name


def _is_kept(jar: Jar) -> bool:
    """Kept, and still what it was: a machine that lost its power can leave an empty file under the right name."""
    kept = _kept(jar)
    return kept.exists() and _sha256(kept) == jar.sha256


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _fetch_one(jar: Jar, fetch: Fetch) -> None:
    kept = _kept(jar)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache()) as folder:
        partial = Path(folder) / jar.file_name
        _download(jar, partial, fetch)
        found = _sha256(partial)
        if found != jar.sha256:
            raise JarsUnavailable(
                f"{jar.coordinate} has SHA-256 {found}, the lock says {jar.sha256}: it is not the file that was "
                "tested. A mirror may be damaged or tampered with; nothing of it was kept"
            )
        partial.replace(kept)  # atomic: two runs side by side both end with the right file


def _download(jar: Jar, partial: Path, fetch: Fetch) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            fetch(jar.coordinate, partial)
        except Exception as error:  # whatever the network's library raises
            if attempt == ATTEMPTS:
                reason = getattr(error, "msg", None) or str(error)
                raise JarsUnavailable(
                    f"{jar.coordinate} cannot be fetched after {ATTEMPTS} attempts: {reason}. Is Maven's central "
                    "repository reachable from here? Run it again: what was fetched is kept"
                ) from error
            time.sleep(attempt)
        else:
            return


def _from_maven(coordinate: str, target: Path) -> None:
    """From the default repository of PyPI's maven-artifact, so that no host is named here."""
    from maven_artifact import Artifact, Downloader

    maven = Downloader()
    # Not its download(): that prints each step, and would be asked from eight threads at once.
    url = maven.resolver.uri_for_artifact(Artifact.parse(coordinate))
    # Without limits a connection gone quiet would hang the run instead of being tried again.
    limits = (CONNECT_SECONDS_MAX, SILENCE_SECONDS_MAX)
    with maven.requestor.request(url, None, stream=True, timeout=limits) as answer, target.open("wb") as file:
        for block in answer.iter_content(chunk_size=BLOCK_BYTES):
            file.write(block)


def _link(jars: list[Jar], folder: Path) -> None:
    """A folder of hard links to the cache, put in place whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        made = Path(temporary) / "set"
        (made / "native").mkdir(parents=True)
        for jar in jars:
            place = made if jar.file_name.endswith(".jar") else made / "native"
            _hard_link(_kept(jar), place / jar.file_name)
        try:
            made.rename(folder)
        except OSError:
            if not folder.exists():  # otherwise another run was quicker, with the same files
                raise


def _hard_link(kept: Path, place: Path) -> None:
    try:
        os.link(kept, place)
    except OSError:
        shutil.copy2(kept, place)


def main(arguments: Iterable[str] | None = None) -> int:
    """Fetch sets ahead of time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="+")
    parser.add_argument("--into", type=Path, help="copy each set into a subfolder of this folder")
    parser.add_argument(
        "--classes", action="store_true", help="compile the launcher into --into as well, and archive its classes"
    )
    options = parser.parse_args(list(arguments) if arguments is not None else None)
    for name in options.sets:
        folder = ensure(name, _say)
        if options.into:
            shutil.copytree(folder, options.into / name, dirs_exist_ok=True)
    if options.into and options.classes:
        from daemon.kcl.start import prepare

        prepare(options.into)
    return 0


def _say(progress: JarProgress) -> None:
    sys.stderr.write(f"jars: {progress.done}/{progress.total} {progress.coordinate}\n")


if __name__ == "__main__":
    sys.exit(main())
