"""The last look before the writers go over."""

from fakes import MemoryControl

from daemon.verify import final
from daemon.verify.record import DIFFERENCES, Difference, Records, State
from daemon.verify.rules import Expiry
from sinks.change import Item, Key, KeyAttribute, KeySchema
from sinks.sink import Stored

KEYS = KeySchema(KeyAttribute("id", "S"))


def item(key, number=1):
    return Item(f'{{"id":{{"S":"{key}"}},"n":{{"N":"{number}"}}}}'.encode())


class Sides:
    def __init__(self):
        self.there = {Key(name): item(name) for name in "abc"}
        self.here = {Key(name): Stored(5, item(name)) for name in "abc"}

    def source(self, keys):
        return {key: self.there[key] for key in keys if key in self.there}

    def target(self, keys):
        return {key: self.here[key] for key in keys if key in self.here}


def judged(sides, waived=()):
    return final.judged(sides, [Key(name) for name in "abcd"], waived, Expiry())


def test_equal_sides_let_the_writers_over():
    assert judged(Sides()) is None


def test_one_row_that_differs_stops_them_and_is_named():
    sides = Sides()
    sides.here[Key("b")] = Stored(5, item("b", 2))
    del sides.here[Key("c")]
    told = judged(sides)
    assert told.startswith("2 of 4 rows differ")
    assert "'b'" in told
    assert "(missing)" in told


def test_a_row_that_a_person_has_waived_stops_nobody():
    sides = Sides()
    del sides.here[Key("c")]
    assert judged(sides, waived=[Key("c")]) is None
    assert judged(sides, waived=[Key("a")]) is not None


def test_rows_written_lately_are_looked_at_first_and_heartbeats_never():
    rows = [(Key(f"old{n}"), 5) for n in range(5000)] + [(Key(f"new{n}"), 9_000_000) for n in range(50)]
    rows.append((Key("moveout#heartbeat#1"), 9_000_000))
    found = final.chosen(rows, since=8.0)
    assert len(found) == final.SAMPLE_MAX
    assert {key.partition for key in found[:50]} == {f"new{n}" for n in range(50)}
    assert not any(key.partition.startswith("moveout#") for key in found)


def test_a_listing_ends_when_its_time_is_up():
    ticks = iter(range(0, 100, 2))
    pages = ([(Key(f"{n}"), 1)] for n in range(1000))
    assert len(final.listed(pages, lambda: next(ticks))) == 3


def test_what_was_found_before_is_looked_at_again_unless_it_stands_no_more():
    control = MemoryControl()
    for number, state in enumerate(State):
        key = f'{{"id":{{"S":"{state.value}"}}}}'
        control.put(f"{DIFFERENCES}{number}", Difference("stale", key, [], 5, 1.0, "export", state), 0)
    found = Records(control, KEYS).standing()
    assert {key.partition for key in found} == {"open", "hot", "unwatched"}
