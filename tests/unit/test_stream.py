import json

import pytest
from fakes import record

from daemon.source.heartbeat import MARK, ROUND
from daemon.source.stream import ABSENT, NOT_TOLD, VersionClock, record_reader, typed_empties
from sinks.attributes import UnreadableItem
from sinks.change import Key, KeyAttribute, KeySchema

KEYS = KeySchema(KeyAttribute("id", "S"))
SECOND = 1_700_000_000
read = record_reader(KEYS)


def event(made, clock=None):
    return read(made.binary_data, made.sequence_number, clock or VersionClock(0))


def test_two_writes_of_one_second_get_two_versions_in_their_order():
    clock = VersionClock(0)
    first = event(record(1, "INSERT", "a", {"n": {"N": "1"}}), clock)
    second = event(record(2, "MODIFY", "a", {"n": {"N": "2"}}), clock)
    assert (first.version, second.version) == (SECOND * 10**6, SECOND * 10**6 + 1)


def test_a_clock_that_goes_back_never_turns_the_order_around():
    clock = VersionClock(0)
    versions = [event(record(n, "REMOVE", "a", second=s), clock).version for n, s in enumerate([105, 103, 104, 106])]
    assert versions == sorted(set(versions))


def test_milliseconds_in_the_stream_are_cut_so_that_any_precision_orders_alike():
    assert VersionClock(0).next(1_700_000_000_999) == SECOND * 10**6


def test_a_remove_is_a_deletion_although_its_image_is_an_empty_map():
    assert event(record(1, "REMOVE", "a")).change.item is None


def test_an_item_without_its_image_is_refused_and_not_taken_for_a_deletion():
    with pytest.raises(UnreadableItem, match="view type"):
        event(record(1, "MODIFY", "a"))


def test_the_image_is_passed_on_as_the_bytes_that_came():
    made = record(1, "INSERT", "a", {"t": {"S": "x"}})
    assert event(made).change.item.json == json.dumps({"id": {"S": "a"}, "t": {"S": "x"}}).encode()


TTL = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}


@pytest.mark.parametrize("who", [TTL, {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}])
def test_a_deletion_by_ttl_is_recognised_in_either_casing_and_is_a_deletion_like_any_other(who):
    found = event(record(1, "REMOVE", "a", userIdentity=who))
    assert (found.expired, found.change.key, found.change.item) == (True, Key("a"), None)


@pytest.mark.parametrize(
    "who",
    [
        None,
        {},
        {"type": None, "principalId": None},
        {**TTL, "principalId": "AIDAEXAMPLE"},
        {**TTL, "type": "AWSService"},
        {"principalId": "dynamodb.amazonaws.com"},
    ],
)
def test_a_deletion_by_anybody_else_is_no_ttl(who):
    assert not event(record(1, "REMOVE", "a", userIdentity=who)).expired


def test_what_is_not_deleted_has_not_expired_whoever_wrote_it():
    made = record(1, "MODIFY", "a", {"t": {"S": "x"}}, userIdentity=TTL)
    assert not event(made).expired


def test_a_heartbeat_is_no_change_and_tells_its_round():
    found = event(record(1, "INSERT", "moveout#heartbeat#00000000000000000007", {ROUND: {"N": "12"}}))
    assert found.change is None
    assert (found.heartbeat.key, found.heartbeat.round) == ("moveout#heartbeat#00000000000000000007", 12)


def test_an_empty_map_that_lost_its_type_gets_it_back_at_every_depth():
    image = b'{"em":{},"l":{"L":[{},{"M":{"x":{}}}]},"s":{"S":"{}"}}'
    assert json.loads(typed_empties(image)) == {
        "em": {"M": {}},
        "l": {"L": [{"M": {}}, {"M": {"x": {"M": {}}}}]},
        "s": {"S": "{}"},
    }


def test_a_typed_empty_map_is_left_as_the_same_bytes():
    image = b'{ "em": {"M": {}}, "s": {"S": "{}"} }'
    assert typed_empties(image) is image


def test_a_record_that_is_not_one_is_refused():
    with pytest.raises(UnreadableItem):
        read(b"{}", "1", VersionClock(0))


def test_a_heartbeat_of_another_move_or_of_before_a_resync_tells_no_round():
    read = record_reader(KEYS, "ours")
    said = {ROUND: {"N": "12"}}
    for mark, told in ((MARK, {"S": "ours"}), (MARK, {"S": "another's"}), ("other", {"S": "ours"})):
        made = record(1, "INSERT", "moveout#heartbeat#00000000000000000007", {**said, mark: told})
        found = read(made.binary_data, made.sequence_number, VersionClock(0))
        assert found.change is None
        assert (found.heartbeat is not None) is ((mark, told) == (MARK, {"S": "ours"}))


def test_an_old_image_is_handed_on_only_for_the_keys_that_it_is_asked_for():
    asked = record_reader(KEYS, wants_before=lambda key: key == Key("a"))
    one = record(1, "MODIFY", "a", {"n": {"N": "2"}}, old={"n": {"N": "1"}, "empty": {}})
    other = record(2, "MODIFY", "b", {"n": {"N": "2"}}, old={"n": {"N": "1"}})
    seen = [asked(made.binary_data, made.sequence_number, VersionClock(0)).before for made in (one, other)]
    assert json.loads(seen[0]) == {"id": {"S": "a"}, "n": {"N": "1"}, "empty": {"M": {}}}
    assert seen[1] is None
    assert read(one.binary_data, one.sequence_number, VersionClock(0)).before is None


def test_an_insertion_had_nothing_before_and_a_stream_without_old_images_says_nothing():
    asked = record_reader(KEYS, wants_before=lambda _: True)
    told = [
        asked(made.binary_data, made.sequence_number, VersionClock(0)).before
        for made in (record(1, "INSERT", "a", {}), record(2, "MODIFY", "a", {}), record(3, "REMOVE", "a"))
    ]
    assert told == [ABSENT, NOT_TOLD, NOT_TOLD]
