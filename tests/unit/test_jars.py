import hashlib
import shutil
import threading

import pytest

from daemon.java import jars
from daemon.java.jars import Jar, JarsUnavailable, ensure, locked

CONTENT = {"g:a:1": b"jar a", "g:b:so:2": b"native b", "g:c:jar:linux:3": b"jar c"}


@pytest.fixture
def lock(tmp_path, monkeypatch):
    monkeypatch.setenv("MOVEOUT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MOVEOUT_JARS", raising=False)
    path = tmp_path / "jars.lock"
    path.write_text(
        "# set coordinate sum\n" + "".join(f"s {c} {hashlib.sha256(b).hexdigest()}\n" for c, b in CONTENT.items())
    )
    return path


class Repository:
    """Serves what it has; counts."""

    def __init__(self, **faults):
        self.asked, self.faults = [], faults

    def fetch(self, coordinate, target):
        self.asked.append(coordinate)
        if coordinate in self.faults.get("missing", ()):
            raise OSError("no route to host")
        target.write_bytes(self.faults.get("altered", {}).get(coordinate, CONTENT[coordinate]))


def test_a_set_is_a_folder_of_exactly_its_jars_with_natives_apart(lock):
    folder = ensure("s", fetch=Repository().fetch, lock=lock)
    assert sorted(p.name for p in folder.glob("*.jar")) == ["a-1.jar", "c-3-linux.jar"]
    assert [p.name for p in (folder / "native").iterdir()] == ["b-2.so"]


def test_what_is_there_is_not_fetched_again(lock):
    ensure("s", fetch=Repository().fetch, lock=lock)
    again = Repository()
    ensure("s", fetch=again.fetch, lock=lock)
    assert again.asked == []


def test_a_kept_jar_that_was_damaged_is_fetched_again(lock):
    folder = ensure("s", fetch=Repository().fetch, lock=lock)
    shutil.rmtree(folder)
    kept = jars._kept(locked("s", lock)[0])
    kept.write_bytes(b"")
    again = Repository()
    ensure("s", fetch=again.fetch, lock=lock)
    assert again.asked == ["g:a:1"]
    assert (folder / "a-1.jar").read_bytes() == CONTENT["g:a:1"]


def test_a_set_that_cannot_be_put_in_place_is_an_error_and_never_a_folder_that_is_not_there(lock, tmp_path):
    folder = ensure("s", fetch=Repository().fetch, lock=lock)
    shutil.rmtree(folder)
    folder.symlink_to(tmp_path / "nowhere")
    with pytest.raises(OSError, match=folder.name):
        ensure("s", fetch=Repository().fetch, lock=lock)


def test_an_interrupted_run_goes_on_where_it_was(lock):
    with pytest.raises(JarsUnavailable):
        ensure("s", fetch=Repository(altered={"g:c:jar:linux:3": b"x"}).fetch, lock=lock)
    kept = [p.name for p in (jars.cache() / "jars").rglob("*") if p.is_file()]
    rest = Repository()
    ensure("s", fetch=rest.fetch, lock=lock)
    assert len(rest.asked) == len(CONTENT) - len(kept)


def test_a_file_that_is_not_what_the_lock_says_is_refused_and_not_kept(lock):
    with pytest.raises(JarsUnavailable, match=r"g:a:1 has SHA-256 .* the lock says"):
        ensure("s", fetch=Repository(altered={"g:a:1": b"evil"}).fetch, lock=lock)
    assert not [p for p in (jars.cache() / "jars").rglob("*") if p.is_file() and p.read_bytes() == b"evil"]


def test_a_repository_out_of_reach_is_named_with_the_jar_and_the_next_step(lock):
    with pytest.raises(JarsUnavailable, match=r"g:a:1 cannot be fetched after 3 attempts.*no route.*Run it again"):
        ensure("s", fetch=Repository(missing=["g:a:1"]).fetch, lock=lock)


def test_progress_counts_to_the_whole_set(lock):
    seen = []
    ensure("s", seen.append, fetch=Repository().fetch, lock=lock)
    assert [(p.done, p.total) for p in seen] == [(1, 3), (2, 3), (3, 3)]


def test_two_runs_side_by_side_both_end_with_the_set(lock):
    folders = []
    threads = [
        threading.Thread(target=lambda: folders.append(ensure("s", fetch=Repository().fetch, lock=lock)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(folders)) == 1
    assert len(list(folders[0].glob("*.jar"))) == 2


def test_a_prepared_folder_is_used_as_it_is(lock, tmp_path, monkeypatch):
    monkeypatch.setenv("MOVEOUT_JARS", str(tmp_path / "image"))
    with pytest.raises(JarsUnavailable, match="MOVEOUT_JARS"):
        ensure("s", lock=lock)
    (tmp_path / "image" / "s").mkdir(parents=True)
    assert ensure("s", lock=lock) == tmp_path / "image" / "s"


def test_the_lock_that_ships_has_a_sum_for_every_jar_and_no_host():
    for name in ("kcl", "dynamodb-local", "cassandra", "ecj"):
        for jar in locked(name):
            assert len(jar.sha256) == 64
            assert "/" not in jar.coordinate


def test_an_unknown_set_is_named_with_those_that_are_known():
    with pytest.raises(JarsUnavailable, match="cassandra"):
        locked("cassandar")


@pytest.mark.parametrize(
    ("coordinate", "name"),
    [("g:a:1", "a-1.jar"), ("g:a:so:1", "a-1.so"), ("g:a:jar:linux-x86_64:1", "a-1-linux-x86_64.jar")],
)
def test_a_jar_is_named_as_maven_names_it(coordinate, name):
    assert Jar(coordinate, "").file_name == name
