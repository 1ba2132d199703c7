"""What is said of the largest partitions: lower bounds as such, and a warning where the target has a limit."""

from decimal import Decimal

import msgspec
import pytest
from rich.console import Console

from daemon.partitions import Counter, Partition, Summary
from daemon.partitions_view import Read, as_object, told, warnings, without_sort_key
from sinks.change import KeyAttribute, KeySchema

KEYS = KeySchema(KeyAttribute("customer", "S"), KeyAttribute("order", "S"))
MB = 10**6
ALL = Read(7, 7)


def of(cut=0, **partitions):
    """A summary that has seen these: name -> (items, bytes)."""
    summary = Summary()
    for name, (items, size_bytes) in partitions.items():
        summary.counters[name] = Counter(size_bytes, items, size_bytes, cut)
        summary.items += items
        summary.size_bytes += size_bytes
    summary.cut = cut
    return summary


def shown(summary, target="cassandra", read=ALL):
    console = Console(width=400)
    with console.capture() as text:
        console.print(told(summary, KEYS, target, read))
    return text.get()


def test_the_ten_largest_are_listed_with_items_and_bytes():
    text = shown(of(**{f"c{number:02}": (number, number * 1000) for number in range(1, 13)}))
    assert "of 78 items (76.2 KiB of JSON) in 7 of 7 part(s)" in text
    assert all(f'"c{number:02}"' in text for number in range(3, 13))
    assert '"c02"' not in text
    assert "exact for what was read" in text
    assert "at least" not in text


def test_a_figure_of_which_something_may_be_missing_says_at_least_and_how_much_that_can_be():
    text = shown(of(a=(5, 4096), b=(1, 1024), cut=2048))
    assert "at least 5" in text
    assert "at least 4.00 KiB" in text
    assert "Up to 2.00 KiB may be missing" in text
    assert "a partition that is not listed has 2.00 KiB at most" in text


def test_a_sample_is_told_as_one():
    assert "It is a sample, 3 of 7 part(s)" in shown(of(a=(1, 1)), read=Read(3, 7))
    assert "sample" not in shown(of(a=(1, 1)))


@pytest.mark.parametrize(("size_bytes", "warned"), [(100 * MB, False), (100 * MB + 1, True)])
def test_cql_is_warned_of_a_partition_above_100_mb_and_of_no_smaller_one(size_bytes, warned):
    said = warnings([Partition("a", 1, size_bytes, 0), Partition("b", 1, 9, 0)], "cassandra")
    assert bool(said) is warned
    assert all("1 partition is above 100 MB" in sentence and "ScyllaDB" not in sentence for sentence in said)


def test_cql_is_told_where_scylladb_warns():
    (said,) = warnings([Partition("a", 1, 1001 * MB, 0), Partition("b", 1, 200 * MB, 0)], "cassandra")
    assert "2 partitions are above 100 MB" in said
    assert "1 of them above 1,000 MB, where ScyllaDB warns" in said


@pytest.mark.parametrize(("items", "warned"), [(60_000, False), (60_001, True)])
def test_dynamodb_is_warned_of_what_takes_more_than_a_minute_at_a_partitions_write_units(items, warned):
    said = warnings([Partition("a", items, 500 * MB, 0)], "dynamodb")
    assert bool(said) is warned
    assert all("1,000 write units a second" in sentence and "at least 60 s" in sentence for sentence in said)


def test_dynamodb_is_told_how_long_each_takes_to_write():
    assert "at least 50 min" in shown(of(a=(3_000_000, 1)), "dynamodb")
    assert "writing takes" not in shown(of(a=(3_000_000, 1)))


def test_files_have_no_partitions_to_warn_of():
    assert warnings([Partition("a", 10**9, 10**12, 0)], "jsonl") == []


def test_machines_get_keys_as_dynamodb_writes_them():
    summary = of(a=(1, 5))
    summary.counters[Decimal(10)] = Counter(3, 1, 3, 0)
    summary.counters[b"hi"] = Counter(2, 1, 2, 0)
    made = msgspec.json.decode(msgspec.json.encode(as_object(summary, KEYS, "cassandra", Read(1, 7))))
    assert [one["partition"] for one in made["largest"]] == [{"S": "a"}, {"N": "10"}, {"B": "aGk="}]
    assert (made["key"], made["parts_read"], made["parts"]) == ("customer", 1, 7)


def test_a_long_key_is_cut_for_people():
    text = shown(of(**{"k" * 2000: (1, 1)}))
    assert f"{'k' * 50}" in text
    assert "k" * 60 not in text


def test_a_table_without_a_sort_key_has_nothing_to_count():
    assert "each partition is one item" in without_sort_key(KeySchema(KeyAttribute("id", "S")))
