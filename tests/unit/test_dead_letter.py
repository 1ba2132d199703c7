import json
import os
from decimal import Decimal
from pathlib import Path

import pytest
from fakes import MemoryControl, ObjectStore

from daemon.dead_letter import DeadLetters, LetterState, NoSuchLetter, TooManyDeadLetters, counts, first_open
from daemon.letter_box import BoxUnavailable, FolderBox, S3Box
from sinks.change import Change, Item, Key, KeyAttribute, KeySchema
from sinks.memory import MemorySink
from sinks.sink import Rejection

KEYS = KeySchema(KeyAttribute("id", "B"), KeyAttribute("at", "N"))
KEY = Key(b"\x00\xff", Decimal(7))
BIG = Item(b'{"id":{"B":"AP8="},"at":{"N":"7"},"note":{"S":"\xe2\x80\xa8"}}')


def refused(version=10, key=KEY, item=BIG):
    return Rejection(Change(key, version, item), "the item is too large")


class Choosy(MemorySink):
    """Refuses everything until it is widened."""

    wide = False

    def apply(self, changes):
        return super().apply(changes) if self.wide else [Rejection(change, "too narrow") for change in changes]


@pytest.fixture
def letters(tmp_path):
    return made(FolderBox(tmp_path / "letters"))


def made(box, limit=10, control=None):
    return DeadLetters(
        control or MemoryControl(), box, KEYS, migration="m", sink="cassandra", limit=limit, now=lambda: 5.0
    )


def only(letters):
    ((name, letter),) = letters.all().items()
    return name, letter


def test_a_letter_tells_key_version_item_reason_sink_and_time_as_one_line_of_json(letters):
    letters.keep([refused()], "shard s1")
    name, letter = only(letters)
    line = Path(letter.body).read_bytes()
    assert line.count(b"\n") == 1
    assert json.loads(line) == {
        "id": name,
        "migration": "m",
        "key": {"id": {"B": "AP8="}, "at": {"N": "7"}},
        "version": 10,
        "item": json.loads(BIG.json),
        "reason": "the item is too large",
        "sink": "cassandra",
        "origin": "shard s1",
        "at": 5.0,
    }


def test_what_was_put_aside_is_exactly_the_change_again_deletions_too(letters):
    for rejection in (refused(), refused(version=11, item=None)):
        letters.keep([rejection], "shard s1")
    assert {letters.change(name) for name in letters.all()} == {refused().change, refused(11, item=None).change}


def test_a_replay_of_a_refused_change_is_one_letter_and_keeps_what_became_of_it(letters):
    letters.keep([refused()], "shard s1")
    name, _ = only(letters)
    letters.mark(name, LetterState.WAIVED, "test data")
    letters.keep([refused()], "shard s1")
    assert only(letters)[1].state is LetterState.WAIVED


def test_the_body_is_durable_before_the_record_and_the_record_before_keep_returns(tmp_path):
    class Unwritable:
        def put(self, *_):
            raise BoxUnavailable("no right")

    control = MemoryControl()
    with pytest.raises(BoxUnavailable):
        made(Unwritable(), control=control).keep([refused()], "s")
    assert control.records == {}
    made(FolderBox(tmp_path), control=control).keep([refused()], "s")
    assert len(control.records) == 1


def test_more_letters_than_the_limit_stop_the_move_and_replays_take_no_room(tmp_path):
    two = made(FolderBox(tmp_path), limit=2)
    two.keep([refused(1), refused(2), refused(1)], "s")
    with pytest.raises(TooManyDeadLetters, match=r"dead_letters\.limit.*too large"):
        two.keep([refused(3)], "s")


def test_a_retry_stores_what_fits_now_and_says_why_it_does_not(letters):
    sink = Choosy()
    letters.keep([refused()], "s")
    name, _ = only(letters)
    assert letters.retry(name, sink) == "too narrow"
    assert only(letters)[1].state is LetterState.OPEN
    sink.wide = True
    assert letters.retry(name, sink) is None
    assert only(letters)[1].state is LetterState.RETRIED
    assert sink.changes[KEY].item == BIG


def test_a_retry_a_day_later_never_replaces_what_is_newer(letters):
    sink = Choosy()
    letters.keep([refused()], "s")
    sink.wide = True
    sink.apply([Change(KEY, 11, None)])
    letters.retry(only(letters)[0], sink)
    assert sink.changes[KEY] == Change(KEY, 11, None)


def settled(letters, sink, *, in_source=True, applied_through=None):
    letters.settle(sink, lambda _: in_source, applied_through)
    return [letter.state is LetterState.SETTLED for letter in letters.all().values()]


def test_a_letter_is_settled_when_the_target_holds_something_newer_or_the_source_nothing_and_not_before(letters):
    letters.keep([refused()], "s")
    sink = MemorySink()
    assert settled(letters, sink) == [False]
    sink.apply([Change(KEY, 9, BIG)])
    assert settled(letters, sink) == [False]
    sink.apply([Change(KEY, 11, BIG)])
    assert settled(letters, sink) == [True]


def test_a_letter_of_an_item_that_is_gone_is_settled_when_its_deletion_is_surely_applied_and_not_before(letters):
    letters.keep([refused()], "s")
    sink = MemorySink()
    # Seen to be gone at 5 s (the clock of these tests): the target may hold an older row until then is proven.
    assert settled(letters, sink, in_source=False, applied_through=9.0) == [False]
    assert settled(letters, sink, in_source=False, applied_through=5.0) == [False]
    assert settled(letters, sink, in_source=True, applied_through=9.0) == [False]
    assert settled(letters, sink, in_source=False, applied_through=9.0) == [False]
    assert settled(letters, sink, in_source=False, applied_through=9.0) == [True]


def test_of_two_letters_of_one_key_the_newer_one_stays_open(letters):
    letters.keep([refused(10), refused(12)], "s")
    letters.settle(MemorySink(), lambda _: True, None)
    assert {letter.version: letter.state.value for letter in letters.all().values()} == {10: "settled", 12: "open"}


def test_what_was_decided_is_not_decided_again(letters):
    letters.keep([refused()], "s")
    name, _ = only(letters)
    letters.mark(name, LetterState.RETRIED, "stored")
    letters.mark(name, LetterState.WAIVED, "too late")
    assert only(letters)[1].state is LetterState.RETRIED


def test_counts_and_the_first_open_letter_are_told(letters):
    assert first_open(letters.all()) is None
    letters.keep([refused(10), refused(12)], "s")
    letters.settle(MemorySink(), lambda _: True, None)
    assert counts(letters.all()) == {"open": 1, "settled": 1, "retried": 0, "waived": 0}
    assert "moveout dead-letter list" in first_open(letters.all())


def test_an_unknown_id_is_named(letters):
    with pytest.raises(NoSuchLetter, match="abc"):
        letters.read("abc")


class TestBoxes:
    def test_a_letter_in_s3_is_read_back_by_its_url(self):
        box = S3Box(ObjectStore(), "s3://bucket/some/prefix")
        where = box.put("abc", b"{}\n")
        assert where == "s3://bucket/some/prefix/abc.jsonl"
        assert box.get(where) == b"{}\n"

    def test_a_bucket_that_refuses_is_told_with_the_right_that_is_missing(self):
        class Refusing(ObjectStore):
            def put_object(self, **_):
                from botocore.exceptions import ClientError

                raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "PutObject")

        with pytest.raises(BoxUnavailable, match=r"s3://b/p/.*s3:PutObject"):
            S3Box(Refusing(), "s3://b/p").try_out()

    def test_a_folder_never_shows_half_a_letter(self, tmp_path):
        box = FolderBox(tmp_path / "new" / "folder")
        where = box.put("abc", b"{}\n")
        assert [entry.name for entry in (tmp_path / "new" / "folder").iterdir()] == ["abc.jsonl"]
        assert box.get(where) == b"{}\n"

    def test_a_folder_that_cannot_be_written_is_told(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(BoxUnavailable, match="Make it writable"):
            FolderBox(tmp_path / "file" / os.curdir / "below").try_out()
