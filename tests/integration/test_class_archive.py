"""The launcher's class archive with the real JVM and the real jars; nothing is started but Java itself."""

import shutil
import subprocess

import pytest

from daemon.java import archive, jars
from daemon.java.jre import java
from daemon.kcl.jvm import java_flags
from daemon.kcl.start import LAUNCHER, command, launcher_classes

pytestmark = [pytest.mark.server, pytest.mark.timeout(300)]  # no server, but Java, and the jars
FLAG = "-XX:SharedArchiveFile="


def test_the_launcher_starts_from_its_archive_and_without_where_a_jar_is_another(tmp_path):
    words = command(512, tmp_path / "kcl.properties")
    (file,) = [word.removeprefix(FLAG) for word in words if word.startswith(FLAG)]
    asked = [*words[: words.index("-cp")], "-Xshare:on", "-Xlog:class+load", *words[words.index("-cp") :][:2]]
    told = subprocess.run([*asked, "-version"], capture_output=True, text=True, check=True, timeout=60)
    assert "source: shared objects file" in told.stdout

    library = tmp_path / "kcl"
    shutil.copytree(jars.ensure("kcl"), library)
    other = archive.Archive(tmp_path / "kcl.jsa", f"{words[words.index('-cp') + 1].partition(':')[0]}:{library}/a.jar")
    shutil.copy(file, other.file)
    assert not archive.fits(java(), java_flags(512, LAUNCHER / "logback.xml"), other)


def test_an_archive_fits_every_heap_that_can_be_configured():
    binary, library = java(), jars.ensure("kcl")
    for heap_mib in (128, 8192):
        flags = java_flags(heap_mib, LAUNCHER / "logback.xml")
        assert archive.fitting(binary, flags, launcher_classes(library), library), heap_mib
