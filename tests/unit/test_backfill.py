import gzip
import hashlib
import random
from base64 import b64encode
from functools import partial

import msgspec
import pytest
from fakes import FlakySink, MemoryControl, ObjectStore, no_letters
from hypothesis import given
from hypothesis import strategies as st

from daemon.apply import Ways
from daemon.backfill import BackfillIncomplete, Ledger, load_part, load_share, loading, mine, part_names
from daemon.control import Part, parts_of
from daemon.dead_letter import TooManyDeadLetters
from daemon.source.heartbeat import NUMBER_FIRST, fresh_key
from daemon.source.pages import Sources, pages
from sinks.change import Change, Item, Key, KeyAttribute, KeySchema
from sinks.sink import Rejection

KEYS = KeySchema(KeyAttribute("id", "S"))
VERSION = 10**15
NUMBER = {"N": str(NUMBER_FIRST)}


def reading(store):
    """How a part is read from this store."""
    return partial(pages, Sources(store, KEYS))


class Export:
    """Parts in an object store, loaded into a memory sink."""

    def __init__(self, *sizes):
        self.store, self.control, self.sink = ObjectStore(), MemoryControl(), FlakySink()
        self.loaded = []
        for record, part in part_names([self._part(n, size) for n, size in enumerate(sizes)], 1).items():
            self.control.put(record, part, 0)

    def _part(self, number, size):
        lines = b"".join(b'{"Item":{"id":{"S":"%d-%d"}}}\n' % (number, row) for row in range(size))
        body = gzip.compress(lines)
        self.store.put_object(Bucket="b", Key=f"{number}", Body=body)
        md5 = b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        return Part(name=f"s3://b/{number}", md5=md5, items=size, version=VERSION)

    def load(self, index=0, of=1, into=None, keep=no_letters, beside=1):
        def one(part):
            self.loaded.append(part.name)
            deliver = into or self.sink.apply
            return loading(reading(self.store), part, Ways(deliver, deliver, keep), 100)

        load_share(self.control, 1, index, of, one, beside=beside)

    def parts(self):
        return [part for part, _ in self.control.all(parts_of(1), Part).values()]


def test_every_row_arrives_with_the_one_version_and_is_accounted_for():
    export = Export(250, 3)
    export.load()
    assert len(export.sink.changes) == 253
    assert {change.version for change in export.sink.changes.values()} == {VERSION}
    assert [(p.done, p.rows_read, p.applied, p.skipped) for p in export.parts()] == [
        (True, 250, 250, 0),
        (True, 3, 3, 0),
    ]


def test_a_second_run_loads_nothing_again():
    export = Export(10, 10)
    export.load()
    export.load()
    assert len(export.loaded) == 2


def test_a_damaged_file_is_named_and_the_others_are_kept():
    export = Export(10, 10, 10)
    good = export.store.objects["b", "1"]
    export.store.objects["b", "1"] = good[:-5]
    with pytest.raises(BackfillIncomplete, match="s3://b/1"):
        export.load()
    assert [part.done for part in export.parts()] == [True, False, True]
    assert "altered" in export.parts()[1].error
    export.store.objects["b", "1"] = good
    export.load()
    assert all(part.done and part.error is None for part in export.parts())


def test_what_a_late_worker_says_of_a_part_that_is_done_changes_nothing():
    export = Export(10)
    export.load()
    done = export.parts()[0]
    late = msgspec.structs.replace(done, done=False, rows_read=3, error="the file was replaced while it was being read")
    Ledger(export.control, "g1/part#000000").write(late)
    assert export.parts()[0] == done


def test_a_file_with_fewer_rows_than_the_manifest_says_is_never_done():
    export = Export(10)
    part, revision = export.control.get("g1/part#000000", Part)
    export.control.put("g1/part#000000", Part(part.name, part.md5, items=11, version=VERSION), revision)
    with pytest.raises(BackfillIncomplete, match="10 items, the manifest says 11"):
        export.load()
    assert not export.parts()[0].done


def refusing(changes):
    return [Rejection(change, "too odd") for change in changes if change.key == Key("0-0")]


def test_a_row_that_the_target_can_never_store_is_put_aside_and_counted_and_the_rest_flows():
    export, kept = Export(10, 10), []
    export.load(into=refusing, keep=kept.extend)
    assert [(part.done, part.rows_read, part.applied, part.rejected) for part in export.parts()] == [
        (True, 10, 9, 1),
        (True, 10, 10, 0),
    ]
    assert [rejection.change.key for rejection in kept] == [Key("0-0")]


def test_a_file_whose_refused_row_cannot_be_put_aside_stays_open_and_says_why():
    export = Export(10, 10)

    def full(rejections):
        raise TooManyDeadLetters(f"no room for {rejections[0].change.key}")

    with pytest.raises(BackfillIncomplete, match="no room"):
        export.load(into=refusing, keep=full)
    assert [part.done for part in export.parts()] == [False, True]
    assert "no room" in export.parts()[0].error


def test_heartbeats_that_the_export_caught_are_counted_and_left_out():
    export = Export(1)
    body = gzip.compress(b'{"Item":{"id":{"S":"moveout#heartbeat#1"}}}\n{"Item":{"id":{"S":"a"}}}\n')
    export.store.put_object(Bucket="b", Key="0", Body=body)
    md5 = b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    ways = Ways(export.sink.apply, export.sink.apply, no_letters)
    done = load_part(reading(export.store), Part("s3://b/0", md5, items=2, version=VERSION), ways, 100, lambda _: None)
    assert (done.rows_read, done.applied, done.skipped) == (2, 1, 1)
    assert list(export.sink.changes) == [Key("a")]


def stamped(key, image=b""):
    return b'{"Metadata":{"WriteTimestampMicros":{"N":"1"}},"Keys":{"id":{"S":"%s"}}%s}\n' % (key, image)


def incremental(*lines, version=VERSION - 7):
    """The object store and the part of an incremental export with these lines."""
    store, body = ObjectStore(), gzip.compress(b"".join(lines))
    store.put_object(Bucket="b", Key="i", Body=body)
    md5 = b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    return store, Part("s3://b/i", md5, items=len(lines), version=version, kind="incremental")


def refused(changes):
    raise AssertionError(f"{len(changes)} change(s) went the wrong way in")


def test_changes_of_an_incremental_export_are_applied_at_its_own_version_and_never_loaded():
    store, part = incremental(stamped(b"a", b',"NewImage":{"id":{"S":"a"}}'), stamped(b"b"))
    sink = FlakySink()
    done = load_part(reading(store), part, Ways(refused, sink.apply, no_letters), 1, lambda _: None)
    assert list(sink.changes.values()) == [
        Change(Key("a"), VERSION - 7, Item(b'{"id":{"S":"a"}}')),
        Change(Key("b"), VERSION - 7, None),
    ]
    assert (done.done, done.rows_read, done.applied, done.skipped) == (True, 2, 2, 0)


def test_rows_of_a_full_export_are_loaded_and_a_version_of_their_own_goes_first():
    export, loaded = Export(1), []
    part = Part(**{**msgspec.structs.asdict(export.parts()[0]), "version": VERSION + 7})
    ways = Ways(load=lambda changes: loaded.extend(changes) or (), apply=refused, keep=no_letters)
    load_part(reading(export.store), part, ways, 100, lambda _: None)
    assert [change.version for change in loaded] == [VERSION + 7]


@pytest.mark.parametrize("kind", ["S", "N", "B"])
def test_heartbeats_are_known_by_a_key_of_any_type(kind):
    ours = msgspec.json.encode({kind: fresh_key(kind, random.Random(1))} if kind != "N" else NUMBER)
    theirs = {"S": b'{"S":"moveout"}', "N": b'{"N":"7"}', "B": b'{"B":"aGk="}'}[kind]
    body = gzip.compress(b'{"Item":{"id":%b}}\n{"Item":{"id":%b}}\n' % (ours, theirs))
    store, sink = ObjectStore(), FlakySink()
    store.put_object(Bucket="b", Key="f", Body=body)
    part = Part("s3://b/f", b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode(), 2, version=VERSION)
    sources = Sources(store, KeySchema(KeyAttribute("id", kind)))
    done = load_part(partial(pages, sources), part, Ways(sink.apply, sink.apply, no_letters), 100, lambda _: None)
    assert (done.skipped, done.applied, done.rows_read) == (1, 1, 2)


def test_heartbeats_of_an_incremental_export_are_left_out_written_or_deleted():
    beat = b"moveout#heartbeat#1"
    written = stamped(beat, b',"NewImage":{"id":{"S":"%s"},"moveout:round":{"N":"1"}}' % beat)
    store, part = incremental(written, stamped(beat + b"2"), stamped(b"b"))
    sink = FlakySink()
    done = load_part(reading(store), part, Ways(refused, sink.apply, no_letters), 100, lambda _: None)
    assert (done.rows_read, done.applied, done.skipped) == (3, 1, 2)
    assert list(sink.changes) == [Key("b")]


def test_a_part_without_a_version_is_not_loaded():
    store, part = incremental(stamped(b"b"), version=0)
    with pytest.raises(ValueError, match="has no version"):
        load_part(reading(store), part, Ways(refused, refused, no_letters), 100, lambda _: None)


def test_a_part_that_was_recorded_before_there_were_incremental_exports_is_of_a_full_one():
    known = msgspec.json.decode(b'{"name":"s3://b/0","md5":"","items":1}', type=Part)
    assert (known.kind, known.version) == ("full", 0)


@given(st.lists(st.integers(0, 10**6), max_size=60), st.integers(1, 9))
def test_every_part_belongs_to_exactly_one_worker(sizes, of):
    parts = part_names([Part(str(n), "", size) for n, size in enumerate(sizes)], 1)
    dealt = [name for index in range(of) for name in mine(parts, index, of)]
    assert sorted(dealt) == sorted(parts)


def test_shares_are_about_even_by_items():
    parts = part_names([Part(str(n), "", size) for n, size in enumerate(range(1, 101))], 1)
    shares = [sum(parts[name].items for name in mine(parts, index, 4)) for index in range(4)]
    assert max(shares) - min(shares) <= 100


def test_shares_are_about_even_by_bytes_where_these_are_known():
    # One file of large items weighs as much as all the others.
    sizes = [100, *[10] * 10]
    parts = part_names([Part(str(n), "", 1, size_bytes=size) for n, size in enumerate(sizes)], 1)
    shares = [sum(parts[name].size_bytes for name in mine(parts, index, 2)) for index in range(2)]
    assert shares == [100, 100]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.booleans()), min_size=1, max_size=12), st.data())
def test_shares_stay_as_they_are_while_parts_are_done(sizes, data):
    # Else a worker that is started again deals anew, and a part may be nobody's.
    made = [Part(str(n), "", items, size_bytes=size, counted=known) for n, (items, size, known) in enumerate(sizes)]
    parts = part_names(made, 1)
    later = dict(parts)
    for name in data.draw(st.sets(st.sampled_from(sorted(parts)))):
        rows = parts[name].items if parts[name].counted else data.draw(st.integers(0, 100))
        later[name] = msgspec.structs.replace(parts[name], done=True, rows_read=rows, items=rows, bytes_read=rows)
    for index in range(3):
        assert mine(later, index, 3) == mine(parts, index, 3)


class Died(BaseException):
    pass


def test_a_part_goes_on_behind_what_is_accounted_for_and_counts_each_row_once():
    export = Export(20_000)
    seen = []

    def dies_at_the_third_page(part):
        for done in loading(reading(export.store), part, Ways(export.sink.apply, refused, no_letters), 5000):
            seen.append(done)
            export.control.update("g1/part#000000", Part, lambda _, done=done: done)
            if len(seen) == 3:
                raise Died
            yield done

    with pytest.raises(Died):
        load_share(export.control, 1, 0, 1, dies_at_the_third_page)
    applied = []
    export.load(into=lambda changes: applied.extend(changes) or ())
    (part,) = export.parts()
    assert seen[-1].rows_read > 0
    assert len(applied) == 20_000 - seen[-1].rows_read
    assert (part.done, part.rows_read, part.applied, part.position) == (True, 20_000, 20_000, "20000")


def test_a_file_in_doubt_is_read_from_its_begin_again():
    export = Export(10)
    ledger = Ledger(export.control, "g1/part#000000")
    begun = msgspec.structs.replace(export.parts()[0], rows_read=4, applied=4, position="4")
    ledger.write(begun)
    ledger.fail(begun, "line 5 is unreadable", anew=True)
    (part,) = export.parts()
    assert (part.rows_read, part.applied, part.position, part.error) == (0, 0, "", "line 5 is unreadable")


def test_a_target_that_refuses_too_much_does_not_cost_what_was_loaded():
    export = Export(10)
    ledger = Ledger(export.control, "g1/part#000000")
    ledger.write(msgspec.structs.replace(export.parts()[0], rows_read=4, applied=4, position="4"))
    ledger.fail(export.parts()[0], "too many dead letters", anew=False)
    assert (export.parts()[0].position, export.parts()[0].error) == ("4", "too many dead letters")
