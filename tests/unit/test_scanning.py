from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError
from scanned_table import SimulatedTime

from daemon import scanning
from daemon.config import Config
from daemon.control import Settings
from daemon.plan import plan
from daemon.preflight import CheckFailed
from daemon.sections import Scan
from daemon.source.capacity import Capacity, CapacityUnknown, allowed, of_table

PROVISIONED = {"ProvisionedThroughput": {"ReadCapacityUnits": 400}}
ON_DEMAND = {
    "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
    "ProvisionedThroughput": {"ReadCapacityUnits": 0},
}
NOW = 1_700_000_000.0


class Known:
    """As much of daemon.app.Parts as a scan asks for."""

    def __init__(self, table=PROVISIONED, *, stream_age=3600.0, mode="backfill-and-tail", date=None, **options):
        self.config = Config(
            migration="m",
            mode=mode,
            source={"table": "orders", "region": "r"},
            backfill={"from": "scan", "scan": {"segments": 3, **options}},
            target={"kind": "dynamodb", "table": "moved", "region": "r"},
            dead_letters={"to": "/nowhere"},
        )
        self.clock = SimulatedTime()
        self.settings = SimpleNamespace(now=lambda: self.set)
        self.set = Settings()
        self.description = {"ItemCount": 300, "TableSizeBytes": 3000, **table}
        self.headers = {"date": date} if date else {}
        self.dynamodb = SimpleNamespace(describe_table=self._describe, scan=self._scan)
        self.facts = SimpleNamespace(stream=SimpleNamespace(created_at=NOW - stream_age))
        self.asked, self.refuses = 0, None

    def _describe(self, **_):
        self.asked += 1
        if self.refuses == "describe":
            raise ClientError({"Error": {"Code": "InternalServerError", "Message": "a bad moment"}}, "DescribeTable")
        return {"Table": self.description, "ResponseMetadata": {"HTTPHeaders": self.headers}}

    def _scan(self, **_):
        if self.refuses == "scan":
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "Scan")
        return {"Items": []}


def test_the_plan_is_one_part_per_segment_five_minutes_below_now_and_complete_until_the_margin():
    made = plan(Known())
    assert [part.name for part in made.parts] == [f"scan:orders#{n}/3" for n in range(3)]
    assert {part.version for part in made.parts} == {made.version} == {int(NOW - 300) * 1_000_000}
    assert (made.exported_at, made.origin) == (NOW - 120, "scan")


def test_of_two_clocks_the_earlier_one_counts():
    def at(seconds):
        return datetime.fromtimestamp(seconds, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")

    assert scanning.begin(Known(date=at(NOW - 600))).at == NOW - 599
    assert scanning.begin(Known(date=at(NOW + 600))).at == NOW


def test_a_young_stream_is_refused_with_how_long_to_wait_and_without_a_tail_none_is_needed():
    with pytest.raises(CheckFailed, match=r"was enabled 100 s ago, a scan begins after 120 s.*again in 20 s"):
        plan(Known(stream_age=100))
    assert plan(Known(stream_age=120)).parts
    assert plan(Known(stream_age=0, mode="backfill")).parts


def test_a_missing_right_shows_before_anything_is_touched():
    known = Known()
    known.refuses = "scan"
    with pytest.raises(CheckFailed, match=r"AccessDeniedException.*dynamodb:Scan"):
        plan(known)


@pytest.mark.parametrize(
    ("table", "units"),
    [
        (PROVISIONED, 400),
        ({**PROVISIONED, "BillingModeSummary": {"BillingMode": "PROVISIONED"}}, 400),
        (ON_DEMAND, None),
        ({**ON_DEMAND, "WarmThroughput": {"ReadUnitsPerSecond": 12000}}, 12000),
        ({**ON_DEMAND, "OnDemandThroughput": {"MaxReadRequestUnits": 500}}, 500),
        (
            {
                **ON_DEMAND,
                "WarmThroughput": {"ReadUnitsPerSecond": 12000},
                "OnDemandThroughput": {"MaxReadRequestUnits": 500},
            },
            500,
        ),
        (
            {
                **ON_DEMAND,
                "WarmThroughput": {"ReadUnitsPerSecond": 12000},
                "OnDemandThroughput": {"MaxReadRequestUnits": -1},
            },
            12000,
        ),
        # What a table could do when it was on demand is not what it is provisioned for.
        ({**PROVISIONED, "WarmThroughput": {"ReadUnitsPerSecond": 12000}}, 400),
    ],
)
def test_the_capacity_is_what_the_table_tells(table, units):
    assert of_table(table).units == units


@pytest.mark.parametrize(
    ("scan", "live", "units"),
    [
        ({}, {}, 100),
        ({"read_percent": 10}, {}, 40),
        ({"read_units_per_second": 7}, {}, 7),
        ({"read_percent": 10}, {"read_percent": 50.0}, 200),
        ({"read_percent": 10}, {"read_units_per_second": 3.0}, 3),
        ({"read_units_per_second": 7}, {"read_percent": 50.0}, 200),
    ],
)
def test_what_was_set_goes_before_what_is_configured_and_that_before_a_quarter(scan, live, units):
    assert allowed(Scan(**scan), Settings(**live), Capacity(400.0, "provisioned")).units == units


def test_a_percentage_of_nothing_is_refused_with_what_to_set_instead_and_nothing_set_is_no_limit():
    nothing = of_table(ON_DEMAND)
    assert allowed(Scan(), Settings(), nothing).units is None
    for scan, live in (({"read_percent": 10}, {}), ({}, {"read_percent": 10.0})):
        with pytest.raises(CapacityUnknown, match=r"read_units_per_second.*moveout set backfill.read_units"):
            allowed(Scan(**scan), Settings(**live), nothing)
    with pytest.raises(CheckFailed, match="on demand"):
        plan(Known(ON_DEMAND, read_percent=10))


def test_check_says_at_which_rate_the_table_will_be_read_and_why():
    assert scanning.told(Known()) == (
        "a scan of about 300 items in 3 segment(s), with at most 100 read units per second "
        "(25 % of 400 units (provisioned); the default, as nothing is set)"
    )
    assert "with no limit (the table is on demand" in scanning.told(Known(ON_DEMAND))


def test_a_worker_takes_its_share_and_follows_settings_and_auto_scaling():
    known = Known()
    rate = scanning.Rate(known, 4)
    assert rate.units_per_second() == 25
    known.set = Settings(read_percent=50.0)
    assert rate.units_per_second() == 50
    known.description["ProvisionedThroughput"] = {"ReadCapacityUnits": 800}
    assert (rate.units_per_second(), known.asked) == (50, 1)
    known.clock.now += scanning.CAPACITY_SECONDS
    assert rate.units_per_second() == 100


def test_a_table_that_cannot_be_asked_for_its_capacity_is_read_at_the_rate_seen_last():
    known = Known()
    rate = scanning.Rate(known, 1)
    assert rate.units_per_second() == 100
    known.refuses = "describe"
    known.clock.now += scanning.CAPACITY_SECONDS
    assert rate.units_per_second() == 100
    with pytest.raises(CheckFailed):
        scanning.Rate(known, 1).units_per_second()


def test_a_table_that_goes_on_demand_while_a_percentage_is_set_is_read_at_the_rate_seen_last():
    known = Known(read_percent=10)
    rate = scanning.Rate(known, 1)
    assert rate.units_per_second() == 40
    known.description.update(ON_DEMAND)
    known.clock.now += scanning.CAPACITY_SECONDS
    assert rate.units_per_second() == 40
