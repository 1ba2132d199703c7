import json
from itertools import islice
from threading import Event

import pytest

from daemon.demo.application import Gate, Journal, Pace, of_target, run
from daemon.demo.follower import Fence, WriteRoute
from daemon.demo.sides import Overlaid, plain_key, written_by
from daemon.demo.target_writes import target_writes
from daemon.demo.traffic import Traffic


class Published:
    """The signal's file, as moveout writes it."""

    def __init__(self, path):
        self.path = path

    def __call__(self, epoch, writes="source", *, fenced=False):
        routes = {"reads_percent": 0, "writes": writes, "writes_fenced": fenced}
        fresh = self.path.with_suffix(".new")
        fresh.write_text(json.dumps({"epoch": epoch, "routes": routes}))
        fresh.replace(self.path)


@pytest.fixture
def published(tmp_path):
    return Published(tmp_path / "signal.json")


def test_a_writer_stays_where_it_is_while_there_is_no_signal(published):
    route = WriteRoute(published.path)
    assert route.side() == "source"
    published(3, "target")
    assert route.side() == "target"
    published.path.write_text("{")
    assert route.side() == "target"
    published.path.unlink()
    assert route.side() == "target"


def test_a_lower_epoch_is_not_followed(published):
    route = WriteRoute(published.path)
    published(3, "target")
    assert route.side() == "target"
    published(2, "source")
    assert route.side() == "target"


def test_a_fenced_writer_sends_nothing_and_goes_on_where_the_route_leads(tmp_path):
    stopped, sent = Event(), []

    class Route:
        """Fenced for three looks, then at the target."""

        sides = iter(["source", "source", "fenced", "fenced", "fenced", "target"])

        def side(self):
            return next(self.sides)

    class Wire:
        def call(self, operation, _):
            sent.append(operation)

    fence = Fence()
    journal = Journal(tmp_path / "journal.json")
    gate = Gate(Route(), fence, stopped)
    run(Wire(), "orders", Traffic(1, 100), pace=Pace(1000), journal=journal, stopped=stopped, gate=gate)
    assert len(sent) == 2
    gate.wrote()
    assert fence.seconds > 0


def test_what_was_written_to_the_target_lies_over_what_the_source_has(tmp_path):
    journal = Journal(tmp_path / "journal.json")
    changes = list(islice(target_writes(1, 50), 60))
    for change in changes:
        journal.add_to_target(change)
    written = written_by(of_target(tmp_path / "journal.json").read_text().splitlines())
    assert len(written) == 60

    class Source:
        def items(self):
            return iter([{**changes[0].key, "a": {"S": "old"}}])

        def get(self, _):
            return None

    seen = list(Overlaid(Source(), written).items())
    assert {plain_key(item) for item in seen} == {plain_key(c.key) for c in changes if c.attributes is not None}
    assert {"a": {"S": "old"}} not in [{"a": item.get("a")} for item in seen]


def test_a_key_is_written_to_the_target_once():
    keys = [plain_key(change.key) for change in islice(target_writes(3, 100), 1000)]
    assert len(set(keys)) == len(keys)
