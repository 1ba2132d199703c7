import pytest
from fakes import FlakySink

from daemon.apply import cheapest
from daemon.retry import WAIT_SECONDS_MAX, Abandoned, Retrying
from sinks.change import Change, Key
from sinks.memory import MemorySink
from sinks.sink import BulkLoad, Rejection, SinkMisconfigured, SinkUnavailable

CHANGE = Change(Key("a"), 1, None)


class Away(MemorySink):
    """Raises what it is given, then works."""

    def __init__(self, *errors):
        super().__init__()
        self.errors = list(errors)

    def apply(self, changes):
        if self.errors:
            raise self.errors.pop(0)
        return super().apply(changes)


def retrying(sink, wanted=lambda: True):
    heard, slept = [], []
    return Retrying(sink, on_trouble=heard.append, wanted=wanted, sleep=slept.append), heard, slept


def test_an_outage_is_waited_out_and_nothing_is_skipped():
    sink = Away(*[SinkUnavailable(f"away {n}") for n in range(40)])
    wrapped, _, slept = retrying(sink)
    assert list(wrapped.apply([CHANGE])) == []
    assert list(sink.changes) == [Key("a")]
    assert len(slept) == 40
    assert max(slept) <= WAIT_SECONDS_MAX


def test_every_failure_is_told_and_its_end_too():
    wrapped, heard, _ = retrying(Away(SinkUnavailable("no node answers")))
    wrapped.apply([CHANGE])
    assert heard == ["no node answers", None]


def test_waits_differ_so_that_replicas_do_not_come_back_together():
    _, _, slept = (pair := retrying(Away(*[SinkUnavailable("x")] * 10)))
    pair[0].apply([CHANGE])
    assert len(set(slept)) > 5


def test_what_a_person_must_mend_is_not_retried():
    wrapped, _, slept = retrying(Away(SinkMisconfigured("no such table")))
    with pytest.raises(SinkMisconfigured):
        wrapped.apply([CHANGE])
    assert slept == []


def test_a_wait_that_nobody_wants_any_more_is_given_up():
    wrapped, _, _ = retrying(Away(*[SinkUnavailable("x")] * 10), wanted=lambda: False)
    with pytest.raises(Abandoned):
        wrapped.apply([CHANGE])


def test_a_write_that_was_applied_although_it_timed_out_does_no_harm():
    sink = FlakySink()
    sink.failures = ["after", "before"]
    wrapped, _, _ = retrying(sink)
    wrapped.apply([CHANGE])
    assert sink.changes[Key("a")] == CHANGE


def test_a_sink_without_a_bulk_load_is_loaded_through_apply():
    sink = MemorySink()
    assert not isinstance(sink, BulkLoad)
    wrapped, _, slept = retrying(Away(SinkUnavailable("x")))
    assert not isinstance(wrapped, BulkLoad)
    cheapest(wrapped)([CHANGE])
    assert (list(wrapped.inner.changes), len(slept)) == ([Key("a")], 1)


class Bulky(Away):
    """Has a way in of its own for the backfill, and is away as told."""

    def __init__(self, *errors):
        super().__init__(*errors)
        self.loaded = []

    def load(self, changes):
        if self.errors:
            raise self.errors.pop(0)
        self.loaded += changes
        return []

    def settle(self):
        if self.errors:
            raise self.errors.pop(0)
        return 7


def test_a_bulk_load_and_its_sweep_wait_for_the_target_as_apply_does():
    sink = Bulky(SinkUnavailable("x"), SinkUnavailable("y"))
    wrapped, _, slept = retrying(sink)
    assert isinstance(wrapped, BulkLoad)
    assert list(cheapest(wrapped)([CHANGE])) == []
    assert (sink.loaded, sink.changes, len(slept)) == ([CHANGE], {}, 2)
    sink.errors = [SinkUnavailable("z")]
    assert (wrapped.settle(), len(slept)) == (7, 3)


class Partial(MemorySink):
    """Confirms all but the last of a batch for a while; refuses what is odd."""

    def __init__(self, outages):
        super().__init__()
        self.outages, self.sent = outages, []

    def apply(self, changes):
        self.sent.append([change.version for change in changes])
        refused = [Rejection(change, "odd") for change in changes if change.version == 1]
        if self.outages:
            self.outages -= 1
            super().apply(changes[:-1])
            raise SinkUnavailable("timed out", left=[*(r.change for r in refused), changes[-1]])
        super().apply(changes)
        return refused


def test_of_a_batch_only_what_was_not_confirmed_is_sent_again_and_refusals_are_told_once():
    sink = Partial(outages=2)
    wrapped, _, _ = retrying(sink)
    changes = [Change(Key(str(version)), version, None) for version in (1, 2, 3, 4)]
    assert [rejection.change.version for rejection in wrapped.apply(changes)] == [1]
    assert sink.sent == [[1, 2, 3, 4], [1, 4], [1, 4]]
