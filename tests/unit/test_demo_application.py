import json
from collections import Counter
from itertools import islice, pairwise
from threading import Event

import pytest

from daemon.demo.application import Journal, Pace, run
from daemon.demo.dataset import PARTITION, SORT, items
from daemon.demo.traffic import Traffic

KINDS = {"insert", "hot update", "overwrite", "attribute removal", "delete", "re-insert"}


def writes(seed=1, loaded=1000, count=3000):
    return list(islice(Traffic(seed, loaded), count))


def key_in(write):
    found = write.request.get("Key") or write.request["Item"]
    return found[PARTITION]["S"], found[SORT]["S"]


class Server:
    """A wire that fails as often as it is told, and remembers what it acknowledged."""

    def __init__(self, stopped, failures=0, stop_after=10):
        self.stopped, self.failures, self.stop_after, self.seen = stopped, failures, stop_after, []

    def call(self, operation, request):
        if self.failures:
            self.failures -= 1
            raise ConnectionResetError("gone")
        self.seen.append((operation, request))
        if len(self.seen) == self.stop_after:
            self.stopped.set()
        return b"{}"


@pytest.mark.parametrize("loaded", [0, 1000])
def test_every_kind_of_write_occurs_whatever_was_loaded(loaded):
    assert {write.kind for write in writes(loaded=loaded)} == KINDS


def test_the_same_seed_writes_the_same():
    assert writes(seed=5) == writes(seed=5) != writes(seed=6)


def test_inserts_never_touch_a_loaded_key():
    loaded = {(item[PARTITION]["S"], item[SORT]["S"]) for item in items(1, 1000)}
    inserted = [key_in(write) for write in writes() if write.kind == "insert"]
    assert not loaded.intersection(inserted)
    assert len(set(inserted)) == len(inserted)


def test_hot_keys_are_updated_several_times_in_a_row():
    hot = [key_in(write) for write in writes() if write.kind == "hot update"]
    assert len(set(hot)) <= 5
    assert sum(one == other for one, other in pairwise(hot)) > len(hot) / 2


def test_deleted_keys_are_inserted_again():
    deleted, back = set(), 0
    for write in writes():
        if write.kind == "delete":
            deleted.add(key_in(write))
        elif write.kind == "re-insert":
            back += key_in(write) in deleted
    assert back > 50


def test_deletes_hit_what_was_loaded():
    loaded = {(item[PARTITION]["S"], item[SORT]["S"]) for item in items(1, 1000)}
    assert sum(key_in(write) in loaded for write in writes() if write.kind == "delete") > 50


def test_a_steady_pace_waits_one_step_per_write():
    now = [0.0]
    pace = Pace(100, lambda: now[0])
    assert [round(pace.wait_seconds(), 3) for _ in range(3)] == [0.01, 0.02, 0.03]


def test_after_a_long_pause_no_storm_of_writes_makes_up_for_it():
    now = [0.0]
    pace = Pace(100, lambda: now[0])
    now[0] = 60.0
    late = 0
    while pace.wait_seconds() == 0:
        late += 1
    assert late == 101


def test_a_lost_connection_loses_no_write_and_the_journal_counts_what_was_acknowledged(tmp_path, capsys):
    stopped = Event()
    server = Server(stopped, failures=1, stop_after=20)
    journal = Journal(tmp_path / "journal.json")
    run(server, "orders", Traffic(1, 100), pace=Pace(10_000), journal=journal, stopped=stopped)
    counted = journal.save()
    assert counted.pop("writes") == len(server.seen) == 20
    assert json.loads((tmp_path / "journal.json").read_text()) == {"writes": 20, **counted}
    expected = Counter(write.kind for write in islice(Traffic(1, 100), 20))
    assert counted == expected
    assert "trying again" in capsys.readouterr().err
