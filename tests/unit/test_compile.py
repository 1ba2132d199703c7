import os

import pytest

from daemon.java.compile import NotCompiled, compiled

COMPILER = """#!/bin/sh
echo "$0" >> {calls}
while [ "$1" != -d ]; do shift; done
touch "$2/Made.class"
"""


def script(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


class Machine:
    """A java, a source, a folder of jars, and compilers that only count."""

    def __init__(self, folder):
        self.calls = folder / "calls"
        self.home, self.other = folder / "home", folder / "other"
        self.source = folder / "Made.java"
        self.source.write_text("class Made {}")
        self.jars = folder / "kcl"
        self.jars.mkdir()
        (self.jars / "a-1.jar").touch()
        self.install_java(self.home, 17)

    def install_java(self, home, version):
        script(home / "bin" / "java", f"#!/bin/sh\necho 'openjdk version \"{version}.0.1\"' >&2\n")

    def install_javac(self, home):
        return script(home / "bin" / "javac", COMPILER.format(calls=self.calls))

    def compiled(self):
        return compiled([self.source], self.jars)

    @property
    def called(self):
        return self.calls.read_text().split() if self.calls.exists() else []


@pytest.fixture
def machine(tmp_path, monkeypatch):
    made = Machine(tmp_path)
    monkeypatch.setenv("MOVEOUT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MOVEOUT_JARS", raising=False)
    monkeypatch.setenv("JAVA_HOME", str(made.home))
    monkeypatch.setenv("PATH", f"{made.other / 'bin'}:{os.environ['PATH']}")
    return made


def test_the_same_sources_on_the_same_jars_are_compiled_once(machine):
    machine.install_javac(machine.home)
    folder = machine.compiled()
    assert (folder / "Made.class").exists()
    assert machine.compiled() == folder
    assert len(machine.called) == 1


def test_another_source_or_another_jar_is_compiled_anew(machine):
    machine.install_javac(machine.home)
    folders = [machine.compiled()]
    machine.source.write_text("class Made { int n; }")
    folders.append(machine.compiled())
    # The folder's own name stays, as that of a prepared one does.
    (machine.jars / "a-1.jar").rename(machine.jars / "a-2.jar")
    folders.append(machine.compiled())
    assert len(set(folders)) == len(machine.called) == 3


def test_a_compiler_on_the_path_serves_a_java_that_has_none(machine):
    machine.install_java(machine.other, 21)
    javac = machine.install_javac(machine.other)
    machine.compiled()
    assert machine.called == [str(javac)]


def test_the_compiler_that_belongs_to_the_java_comes_first(machine):
    machine.install_java(machine.other, 21)
    machine.install_javac(machine.other)
    javac = machine.install_javac(machine.home)
    machine.compiled()
    assert machine.called == [str(javac)]


def test_a_refusal_is_told_in_the_compilers_words_and_nothing_is_kept(machine):
    script(machine.home / "bin" / "javac", "#!/bin/sh\necho 'Made.java:1: error: no' >&2\nexit 1\n")
    with pytest.raises(NotCompiled, match=r"(?s)Made.java cannot be compiled.*error: no"):
        machine.compiled()
    machine.install_javac(machine.home)
    assert (machine.compiled() / "Made.class").exists()


def test_a_prepared_folder_with_classes_needs_no_compiler(machine, tmp_path, monkeypatch):
    ready = tmp_path / "image" / "classes" / machine.source.parent.name
    ready.mkdir(parents=True)
    monkeypatch.setenv("MOVEOUT_JARS", str(tmp_path / "image"))
    assert machine.compiled() == ready
