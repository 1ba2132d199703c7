import random
from decimal import Decimal

import pytest

from daemon.source import heartbeat
from sinks.change import Key


@pytest.mark.parametrize("kind", ["S", "N", "B"])
def test_a_fresh_key_is_recognised_and_survives_being_written_down(kind):
    key = heartbeat.fresh_key(kind, random.Random(1))
    assert heartbeat.is_heartbeat(Key(key))
    assert heartbeat.from_text(kind, heartbeat.to_text(key)) == key


@pytest.mark.parametrize("kind", ["S", "N", "B"])
def test_fresh_keys_differ_so_that_they_reach_different_shards(kind):
    chance = random.Random(1)
    assert len({heartbeat.fresh_key(kind, chance) for _ in range(50)}) == 50


@pytest.mark.parametrize(
    "key", ["moveout", "customer", Decimal(0), Decimal("9.9E+125"), Decimal("-1E+33"), Decimal("1E-130"), b"\xff\x00"]
)
def test_an_application_key_is_none_of_ours(key):
    assert not heartbeat.is_heartbeat(Key(key))


def test_a_numeric_key_fits_into_dynamodbs_38_digits():
    assert len(heartbeat.to_text(heartbeat.fresh_key("N", random.Random(3)))) <= 38
