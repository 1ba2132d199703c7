"""What a comparison means, rule by rule."""

import json

import pytest

from daemon.verify import rules
from daemon.verify.keyset import KeySet
from daemon.verify.rules import Doubt, Expiry, Kind, Verdict
from sinks.change import Item, Key
from sinks.sink import Stored

B, LATER = 1000, 2000
NEVER = Expiry()


def item(**values):
    return Item(json.dumps({"id": {"S": "x"}, **{name: {"N": str(value)} for name, value in values.items()}}).encode())


def stored(version, **values):
    return Stored(version, item(**values))


@pytest.mark.parametrize(
    ("expected", "found", "verdict"),
    [
        (item(n=1), stored(B, n=1), Verdict.SAME),
        (item(n=1), stored(B, n="1.0"), Verdict.SAME),
        (item(n=1), stored(B, n=2), Verdict.DOUBT),
        (item(n=1), stored(B - 1, n=1), Verdict.DOUBT),
        (item(n=1), stored(LATER, n=2), Verdict.MOVED),
        (item(n=1), None, Verdict.DOUBT),
        (None, None, Verdict.SAME),
        (None, stored(B - 1, n=1), Verdict.DOUBT),
        (None, stored(LATER, n=1), Verdict.MOVED),
        (item(n=1), stored(rules.NO_VERSION, n=1), Verdict.SAME),
        (item(n=1), stored(rules.NO_VERSION, n=2), Verdict.MOVED),
    ],
)
def test_a_row_is_held_against_the_export(expected, found, verdict):
    assert rules.judge_row(expected, B, found, NEVER) is verdict


@pytest.mark.parametrize(
    ("first", "source", "second", "verdict"),
    [
        (stored(5, n=1), item(n=1), stored(5, n=1), Verdict.SAME),
        (stored(5, n=1), item(n=2), stored(6, n=2), Verdict.SAME),
        (stored(5, n=1), item(n=2), stored(5, n=1), Verdict.DIFFERS),
        (stored(5, n=1), item(n=2), stored(6, n=3), Verdict.AGAIN),
        (stored(5, n=1), None, stored(5, n=1), Verdict.DIFFERS),
        (stored(5, n=1), None, None, Verdict.SAME),
        (None, item(n=1), None, Verdict.DIFFERS),
        (stored(5, n=1), item(n=1), None, Verdict.AGAIN),
        (None, item(n=1), stored(5, n=2), Verdict.AGAIN),
        (stored(0, n=1), item(n=2), stored(0, n=1), Verdict.DIFFERS),
        (stored(0, n=1), item(n=2), stored(0, n=3), Verdict.AGAIN),
    ],
)
def test_the_window_tells_damage_from_writes_in_between(first, source, second, verdict):
    assert rules.judge_window(first, source, second, NEVER) is verdict


def test_only_a_version_speaks_for_itself():
    assert [rules.needs_watch(one) for one in (None, stored(0, n=1), stored(5, n=1))] == [True, True, False]


@pytest.mark.parametrize(
    ("source", "found", "kind", "names"),
    [
        (item(n=1), None, Kind.MISSING, []),
        (None, stored(B, n=1), Kind.EXTRA, []),
        (item(n=1), stored(B - 1, n=2), Kind.STALE, ["n"]),
        (item(n=2), stored(B, n=1), Kind.STALE, ["n"]),  # as the backfill wrote it
        (item(n=1, m=1), stored(B, n=1), Kind.STALE, ["m"]),
        (item(n=2), stored(B, n=3, m=1), Kind.CHANGED, ["m", "n"]),
        (item(n=2), stored(LATER, n=1), Kind.STALE, ["n"]),
    ],
)
def test_a_difference_has_a_kind_and_names(source, found, kind, names):
    assert rules.named(source, found, rules.doubt_of(Key("x"), item(n=1), B), NEVER) == (kind, names)


def test_an_expired_item_counts_as_absent_on_both_sides():
    now = Expiry("at", 10_000.0)
    assert rules.judge_window(None, item(at=9_000), None, now) is Verdict.SAME
    assert rules.judge_window(stored(5, at=9_000), None, stored(5, at=9_000), now) is Verdict.SAME
    assert rules.judge_window(None, item(at=10_030), None, now) is Verdict.SAME  # the clocks are not the same
    assert rules.judge_window(None, item(at=20_000), None, now) is Verdict.DIFFERS
    assert rules.judge_window(None, item(at="0.5"), None, now) is Verdict.SAME
    long_ago = Expiry("at", 1e9)
    assert rules.judge_window(None, item(at=9_000), None, long_ago) is Verdict.DIFFERS  # DynamoDB keeps those
    text = Item(b'{"id":{"S":"x"},"at":{"S":"9000"}}')
    assert rules.judge_window(None, text, None, now) is Verdict.DIFFERS


def test_absent_is_not_null():
    null = Item(b'{"id":{"S":"x"},"n":{"NULL":true}}')
    assert rules.judge_now(null, Stored(5, Item(b'{"id":{"S":"x"}}')), NEVER) is Verdict.DOUBT


def test_the_rule_of_three():
    assert rules.upper_bound(3_000_000, 0) == 1e-6
    assert rules.upper_bound(2, 0) == 1.0
    assert rules.upper_bound(100, 1) is None
    assert rules.upper_bound(0, 0) is None


def test_a_share_is_chosen_evenly_anew_in_each_run_and_a_larger_one_holds_a_smaller_one():
    hashes = [rules.hash_of(Key(f"k{number}")) for number in range(20_000)]
    picked = {run: {h for h in hashes if rules.chosen(h, run, 0.1)} for run in (1, 2)}
    assert all(1800 < len(of_run) < 2200 for of_run in picked.values())
    assert len(picked[1] & picked[2]) < 300
    assert picked[1] <= {h for h in hashes if rules.chosen(h, 1, 0.3)}
    assert all(rules.chosen(h, 1, 1.0) for h in hashes)


def test_keys_of_two_types_have_two_hashes():
    assert (
        len({rules.hash_of(key) for key in (Key("1"), Key(b"1"), Key("1", "2"), Key("1", None), Key("1", "None"))}) == 4
    )


def test_a_key_set_knows_its_keys_and_no_others_however_far_it_grows():
    known = KeySet(10)
    hashes = [rules.hash_of(Key(f"k{number}")) for number in range(5000)]
    for hashed in [0, *hashes[:4000], *hashes[:4000]]:
        known.add(hashed)
    assert len(known) == 4001
    assert all(hashed in known for hashed in [0, *hashes[:4000]])
    assert not any(hashed in known for hashed in hashes[4000:])


def test_a_doubt_says_how_it_was_met():
    assert (Doubt(Key("x")).by, rules.doubt_of(Key("x"), item(n=1), B).by) == ("window", "export")
