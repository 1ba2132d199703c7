"""No false zero in many histories, and each weaker way to conclude it is caught. 100,000 of them: lag_zero.py."""

import pytest
from simulation.lag_zero import BUGS, played

RUNS = 5000
CAUGHT_WITHIN = 4000


@pytest.mark.timeout(600)
def test_zero_is_never_said_falsely():
    found = [played(seed) for seed in range(RUNS)]
    assert [seed for seed, (_, held) in enumerate(found) if not held] == []
    assert sum(claims for claims, _ in found) > RUNS / 4  # where nothing is said nothing can be false


@pytest.mark.timeout(600)
@pytest.mark.parametrize("bug", sorted(BUGS))
def test_a_weaker_way_to_conclude_it_is_caught(bug):
    assert any(not played(seed, bug)[1] for seed in range(CAUGHT_WITHIN))
