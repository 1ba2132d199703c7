from decimal import Decimal

import pytest
from sink_contract import KEY, TEXT_KEYS, deleted, put

from sinks.cassandra.options import CassandraOptions
from sinks.cassandra.sink import laid_out
from sinks.cassandra.ttl import EXPIRES_MAX, SECONDS_MAX, seconds_left
from sinks.cassandra.values import Unfit

NOW = 1_700_000_000
DAY = 86_400
FOR_EVER = 0


@pytest.mark.parametrize(
    ("expires", "wanted"),
    [
        (Decimal(NOW + 60), 60),
        (Decimal(NOW + 1), 1),
        (Decimal(EXPIRES_MAX), EXPIRES_MAX - NOW),
        (Decimal(EXPIRES_MAX + 1), FOR_EVER),  # a node refuses the row: "exceeds maximum expiration date"
        (Decimal((NOW + DAY) * 1000), FOR_EVER),  # milliseconds by mistake
        (Decimal(NOW - 6 * 365 * DAY), FOR_EVER),  # DynamoDB expires nothing that far back
        (Decimal("1700000060.5"), FOR_EVER),
        (str(NOW + 60), FOR_EVER),
        (None, FOR_EVER),
        (Decimal(0), FOR_EVER),
    ],
)
def test_a_row_gets_the_time_that_it_has_left_or_none_where_dynamodb_expires_nothing(expires, wanted):
    assert seconds_left(expires, NOW) == wanted


@pytest.mark.parametrize("ago", [0, 1, DAY, 5 * 365 * DAY])
def test_an_item_that_has_expired_is_never_given_the_ttl_zero_which_means_for_ever(ago):
    assert seconds_left(Decimal(NOW - ago), NOW) < 0


def test_more_than_twenty_years_is_kept_as_data():
    early = EXPIRES_MAX - SECONDS_MAX
    assert seconds_left(Decimal(EXPIRES_MAX), early) == SECONDS_MAX
    assert seconds_left(Decimal(EXPIRES_MAX), early - 1) == FOR_EVER


def layout(now=NOW, **said):
    place = {"contact_points": ["x"], "local_datacenter": "d", "keyspace": "k", "table": "t"}
    options = CassandraOptions(**place, **{"ttl": {"attribute": "expires", "as": "ttl"}, **said})
    return laid_out(options, TEXT_KEYS, lambda: now)


COLUMNS = {"layout": "columns", "columns": {"a": {"type": "int", "otherwise": "dead-letter"}}}
both = pytest.mark.parametrize("said", [{}, COLUMNS], ids=["document", "columns"])


@both
def test_an_expired_item_is_the_deletion_of_its_version(said):
    made = layout(**said)
    assert made.mutation(put(KEY, 7, expires=Decimal(NOW))) == made.mutation(deleted(KEY, 7))


@both
def test_the_insert_and_only_it_carries_the_ttl_and_the_statement_has_its_marker(said):
    made = layout(**said)
    steps = made.mutation(put(KEY, 7, expires=Decimal(NOW + 258))).steps
    assert [made.statements[step.statement].split()[0] for step in steps] == ["DELETE", "INSERT"][2 - len(steps) :]
    for step in steps:
        assert made.statements[step.statement].count("?") == len(step.cells)
    assert steps[-1].cells[-1] == (258).to_bytes(4)


def test_what_can_never_be_stored_is_a_rejection_before_and_after_it_expired():
    for now in (NOW, NOW + DAY):
        with pytest.raises(Unfit):
            layout(now, **COLUMNS).mutation(put(KEY, 7, a="x", expires=Decimal(NOW + 60)))


def test_as_data_nothing_expires():
    made = layout(ttl={"attribute": "expires"})
    assert "TTL" not in "".join(made.statements)
    assert len(made.mutation(put(KEY, 7, expires=Decimal(NOW - 1))).steps) == 1
