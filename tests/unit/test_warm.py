"""Pre-warming: what the target can take against what the load needs, and the command for the difference."""

from daemon.config import Config
from daemon.estimate import Basis, estimates
from daemon.warm import advice
from sinks.dynamodb.options import DynamoDbOptions

TARGET = {"kind": "dynamodb", "table": "moved", "region": "us-east-1"}
UPDATE = "aws dynamodb update-table --region us-east-1 --table-name moved"
ON_DEMAND = {"BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"}}
HOURS_6 = 6 * 3600


def told(table, units, needed=None):
    return advice(DynamoDbOptions(**TARGET), table, units, needed)[0]


def warm(writes, **more):
    return {**ON_DEMAND, "WarmThroughput": {"WriteUnitsPerSecond": writes}, **more}


def provisioned(writes):
    return {"ProvisionedThroughput": {"ReadCapacityUnits": 7, "WriteCapacityUnits": writes}}


def test_a_target_that_takes_the_load_within_six_hours_needs_nothing():
    found = told(warm(4_000), 4_000 * HOURS_6)
    assert found == "4,000 write units per second at once: the load takes 6 h 0 min at least, and needs no pre-warming"


def test_one_that_does_not_is_warmed_by_the_command_and_its_price_is_told():
    found = told(warm(4_000), 9_500 * HOURS_6)
    assert f"{UPDATE} --warm-throughput WriteUnitsPerSecond=10000 (billed once, and never taken back" in found
    assert "9,500 are needed for a load within 6 h" in found


def test_a_table_that_does_not_exist_is_as_a_new_one_on_demand():
    assert told(None, 100).startswith("4,000 write units per second")
    assert "when it is there, aws dynamodb update-table" in told(None, 5_000 * HOURS_6)


def test_a_configured_rate_is_what_counts():
    assert "needs no pre-warming" in told(warm(4_000), 9_500 * HOURS_6, 3_999)
    assert "WriteUnitsPerSecond=5000" in told(warm(4_000), 100, 4_001)


def test_a_provisioned_table_gets_its_units_raised_and_put_back():
    found = told(provisioned(100), 1_500 * HOURS_6)
    assert f"{UPDATE} --provisioned-throughput ReadCapacityUnits=7,WriteCapacityUnits=2000 (and back" in found


def test_a_maximum_on_demand_is_a_limit_that_no_warming_lifts():
    found = told(warm(9_000, OnDemandThroughput={"MaxWriteRequestUnits": 500}), 1_000 * HOURS_6)
    assert f"{UPDATE} --on-demand-throughput MaxWriteRequestUnits=1000" in found
    assert "needs no pre" in told(warm(9_000, OnDemandThroughput={"MaxWriteRequestUnits": -1}), 1_000 * HOURS_6)


def test_the_smallest_index_holds_the_table_back():
    table = {**provisioned(5_000), "GlobalSecondaryIndexes": [{"IndexName": "by-day", **provisioned(10)}]}
    found = told(table, 1_000 * HOURS_6)
    assert found.startswith("10 write units per second at once (of index by-day)")
    assert "create it after the load" in found


def test_above_the_quota_it_says_so():
    assert "higher quota first" in told(warm(4_000), 41_000 * HOURS_6)


def test_check_tells_it_beside_the_write_units():
    file = {
        "migration": "orders",
        "source": {"table": "orders", "region": "eu-west-1"},
        "backfill": {"manifest": "s3://b/AWSDynamoDB/01/manifest-summary.json", "items_per_second": 2_000},
        "target": TARGET,
    }
    basis = Basis(1_000_000, 3_000 * 1_000_000, "manifest-summary.json", target=warm(4_000))
    figures = {figure.name: figure for figure in estimates(Config(**file), basis)}
    # 3,000 bytes and a version are 3 to 4 units: 2,000 items a second need up to 8,000.
    assert "--warm-throughput WriteUnitsPerSecond=8000" in figures["target capacity"].told
    alternator = {**TARGET, "flavor": "alternator", "endpoint_url": "http://scylla:8000"}
    names = [figure.name for figure in estimates(Config(**{**file, "target": alternator}), basis)]
    assert "target capacity" not in names
