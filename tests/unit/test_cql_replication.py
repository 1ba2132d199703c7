"""A keyspace that exists, against the one that is described."""

from types import SimpleNamespace

import pytest
from cassandra.metadata import ReplicationStrategy

from sinks.cassandra.replication import difference, same

SIMPLE = {"class": "SimpleStrategy", "replication_factor": "1"}
BY_DC = {"class": "NetworkTopologyStrategy", "east": "3", "west": "2"}


def keyspace(found):
    options = {name: value for name, value in found.items() if name != "class"}
    return SimpleNamespace(replication_strategy=ReplicationStrategy.create(found["class"], options))


@pytest.mark.parametrize(
    ("found", "described", "equal"),
    [
        (SIMPLE, {"class": "SimpleStrategy", "replication_factor": 1}, True),
        (SIMPLE, {"class": "org.apache.cassandra.locator.SimpleStrategy", "replication_factor": "1"}, True),
        (SIMPLE, {"class": "SimpleStrategy", "replication_factor": 3}, False),
        (SIMPLE, {"class": "NetworkTopologyStrategy", "replication_factor": 1}, False),
        (BY_DC, {"class": "NetworkTopologyStrategy", "west": 2, "east": 3}, True),
        (BY_DC, {"class": "NetworkTopologyStrategy", "east": 3}, False),
        (BY_DC, {"class": "NetworkTopologyStrategy", "replication_factor": 3}, False),
        (BY_DC, {"class": "NetworkTopologyStrategy", "replication_factor": 3, "west": 2}, True),
        ({**BY_DC, "west": "3"}, {"class": "NetworkTopologyStrategy", "replication_factor": 3}, True),
    ],
)
def test_two_ways_to_say_one_replication_are_no_difference_and_two_replications_are(found, described, equal):
    assert same(found, described) == equal
    assert (difference(keyspace(found), "k", described) is None) == equal


def test_a_difference_is_for_a_person_and_says_both_and_what_comes_after_the_alter():
    told = difference(keyspace(SIMPLE), '"k"', {"class": "NetworkTopologyStrategy", "east": 3})
    assert told.by_hand
    assert told.statement == (
        "ALTER KEYSPACE \"k\" WITH replication = {'class': 'NetworkTopologyStrategy', 'east': '3'}"
    )
    assert "is replicated as {'class': 'SimpleStrategy', 'replication_factor': '1'}" in told.why
    assert "nodetool repair" in told.why
