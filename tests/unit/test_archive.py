"""The JVM's class archive, with a java that only plays at it. The real one: tests/integration."""

import gzip
import os
import time
import zipfile

import pytest

from daemon.java import archive

# Dumps what it is asked to, takes an archive only with the class path that it was made with, and counts the dumps.
JAVA = """#!/bin/sh
for word in "$@"; do case "$word" in
  -Xshare:*) share="$word" ;;
  -XX:SharedArchiveFile=*) file="${word#*=}" ;;
  -cp) next=1 ;;
  *) if [ -n "$next" ]; then class_path="$word"; next=; fi ;;
esac; done
case "$share" in
  -Xshare:dump) echo dump >> CALLS; [ -e REFUSES ] && exit 1; echo "$class_path" > "$file" ;;
  -Xshare:on) [ "$(cat "$file")" = "$class_path" ] ;;
  *) echo 'openjdk version "17.0.1"' ;;
esac
"""


class Machine:
    """A java, classes and jars in folders of their own."""

    def __init__(self, folder):
        self.folder, self.calls, self.refuses = folder, folder / "calls", folder / "refuses"
        self.java = folder / "java"
        self.java.write_text(JAVA.replace("CALLS", str(self.calls)).replace("REFUSES", str(self.refuses)))
        self.java.chmod(0o755)
        self.classes, self.library = folder / "classes", folder / "kcl"
        for made in (self.classes, self.library):
            made.mkdir()
        (self.classes / "Made.class").touch()
        for name in ("b-1.jar", "a-1.jar"):
            (self.library / name).touch()

    def fitting(self):
        return archive.fitting(self.java, ["-Xmx512m"], self.classes, self.library)

    @property
    def dumps(self):
        return len(self.calls.read_text().split()) if self.calls.exists() else 0


@pytest.fixture
def machine(tmp_path, monkeypatch):
    monkeypatch.setenv("MOVEOUT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MOVEOUT_JARS", raising=False)
    return Machine(tmp_path)


def test_an_archive_is_made_once_and_holds_the_launcher_as_a_jar(machine):
    made = machine.fitting()
    assert machine.fitting() == made
    assert machine.dumps == 1
    names = [path.rpartition("/")[2] for path in made.class_path.split(os.pathsep)]
    assert names == ["launcher.jar", "a-1.jar", "b-1.jar"]
    assert zipfile.ZipFile(made.class_path.partition(os.pathsep)[0]).namelist() == ["Made.class"]


def test_an_archive_that_does_not_fit_is_not_used(machine):
    machine.fitting().file.write_text("of other jars")
    assert machine.fitting() is None


def test_a_java_that_makes_none_is_asked_once_and_starts_without(machine):
    machine.refuses.touch()
    assert machine.fitting() is None
    assert machine.fitting() is None
    assert machine.dumps == 1


def test_a_cache_that_cannot_be_written_is_no_reason_not_to_start(machine, tmp_path):
    (tmp_path / "cache").write_text("a file, where a folder should be")
    assert machine.fitting() is None


def test_nobody_waits_for_another_process_that_makes_it(machine):
    made = machine.fitting()
    made.file.unlink()
    with archive._alone(made.file.with_name("lock")) as alone:
        assert alone
        assert machine.fitting() is None
    assert machine.dumps == 1


def test_an_image_uses_what_it_was_built_with_and_makes_none(machine, tmp_path, monkeypatch):
    monkeypatch.setenv("MOVEOUT_JARS", str(tmp_path / "image"))
    assert machine.fitting() is None
    assert machine.dumps == 0
    made = archive.make(machine.java, [], machine.classes, machine.library, tmp_path / "image" / "archive")
    assert machine.fitting().file == made


def test_other_jars_have_an_archive_of_their_own_and_few_are_kept(machine, tmp_path):
    found = [machine.fitting().file]
    for number in range(archive.KEPT):
        os.utime(found[-1], (time.time() - 100 + number,) * 2)
        machine.library = machine.library.rename(tmp_path / f"kcl-{number}")
        found.append(machine.fitting().file)
    assert [file.exists() for file in found] == [False, *[True] * archive.KEPT]


def test_the_list_of_classes_has_the_launchers_own_and_no_path_of_a_machine():
    listed = gzip.decompress(archive.CLASS_LIST.read_bytes()).decode().splitlines()
    assert {"StreamsDaemon", "Bridge", "java/lang/Object"} <= set(listed)
    assert [line for line in listed if "file:" in line or line.startswith("/")] == []
