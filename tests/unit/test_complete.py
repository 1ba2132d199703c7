"""After the switch: what is taken off, what is left alone, and what is never deleted."""

import threading

import pytest
from botocore.exceptions import ClientError
from pydantic import ValidationError

from sinks.change import KeyAttribute, KeySchema
from sinks.dynamodb.complete import LOOKED_AT, Way, complete
from sinks.dynamodb.options import DynamoDbOptions
from sinks.sink import SinkMisconfigured, SinkUnavailable

KEYS = KeySchema(KeyAttribute("id", "S"))
TOMBSTONES = "moved-moveout-tombstones"
VERSION = "moveout:version"
PAGE = 10


def refused(code):
    return ClientError({"Error": {"Code": code, "Message": "refused"}}, "Fake")


class Target:
    """Two tables of dicts; `before_update` is what happens between a look and a write."""

    def __init__(self, items, tombstones=()):
        self.items = {item["id"]["S"]: item for item in items}
        self.tombstones = list(tombstones)
        self.tables = {name: self._table(name) for name in ("moved", TOMBSTONES)}
        self.before_update = lambda *_: None
        self.refusals, self.updates, self.now, self.slept = [], 0, 0.0, []
        self._lock = threading.Lock()

    @staticmethod
    def _table(name):
        return {
            "TableName": name,
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        }

    def describe_table(self, *, TableName):  # noqa: N803  boto3's names
        if TableName not in self.tables:
            raise refused("ResourceNotFoundException")
        return {"Table": self.tables[TableName]}

    def delete_table(self, *, TableName):  # noqa: N803
        del self.tables[TableName]

    def call(self, operation, request):
        with self._lock:
            return {"Scan": self._scan, "UpdateItem": self._update}[operation](request)

    def _scan(self, request):
        if request["TableName"] == TOMBSTONES:
            return {"Items": self.tombstones[: request["Limit"]]}
        mine = [k for k in sorted(self.items) if hash(k) % request["TotalSegments"] == request["Segment"]]
        start = request.get("ExclusiveStartKey", {"id": {"S": ""}})["id"]["S"]
        page = [k for k in mine if k > start][:PAGE]
        with_version = [{n: self.items[k][n] for n in ("id", VERSION)} for k in page if VERSION in self.items[k]]
        more = {"LastEvaluatedKey": {"id": {"S": page[-1]}}} if len(page) == PAGE else {}
        return {"Items": with_version, "ScannedCount": len(page), **more}

    def _update(self, request):
        if self.refusals:
            raise self.refusals.pop()
        self.updates += 1
        key = request["Key"]["id"]["S"]
        self.before_update(self, key)
        assert request["UpdateExpression"] == "REMOVE #v"
        assert request["ConditionExpression"] == "#v = :seen"
        item = self.items.get(key, {})
        if item.get(VERSION) != request["ExpressionAttributeValues"][":seen"]:
            raise refused("ConditionalCheckFailedException")
        del item[VERSION]
        return {}

    def sleep(self, seconds):
        with self._lock:
            self.now += seconds
            self.slept.append(seconds)


def item(key, version=7, **more):
    return {"id": {"S": key}, VERSION: {"N": str(version)}, **more}


def run(target, keys=KEYS, **changes):
    told = []
    settings = {"kind": "dynamodb", "table": "moved", "region": "here", "concurrency": 4, **changes}
    way = Way(target.call, target, lambda: target.now, target.sleep)
    complete(DynamoDbOptions(**settings), keys, told.append, way)
    return told


def many(count=200):
    return [item(f"{n:03d}", n) for n in range(count)]


def test_every_item_loses_the_hidden_attribute_and_the_tombstones_go():
    target = Target([*many(), {"id": {"S": "own"}}], [item("gone")])
    told = run(target)
    assert all(VERSION not in found for found in target.items.values())
    assert target.tables.keys() == {"moved"}
    assert "was taken off 200 items of moved" in told[0]
    assert told[1] == f"table {TOMBSTONES} is deleted"


def test_a_second_run_writes_nothing():
    target = Target(many())
    run(target)
    target.updates = 0
    assert run(target)[-1] == f"table {TOMBSTONES} is not there any more"
    assert target.updates == 0


def test_what_the_application_does_meanwhile_stays_as_it_made_it():
    def application(target, key):
        if key == "001":
            target.items[key] = {"id": {"S": key}, "put": {"S": "anew"}}
        if key == "002":
            target.items.pop(key, None)
        if key == "003":
            target.items[key]["updated"] = {"S": "x"}

    target = Target(many(5))
    target.before_update = application
    told = run(target)
    assert target.items["001"] == {"id": {"S": "001"}, "put": {"S": "anew"}}
    assert "002" not in target.items
    assert target.items["003"] == {"id": {"S": "003"}, "updated": {"S": "x"}}
    assert "2 were put or deleted by the application meanwhile" in told[0]


def test_an_interrupted_run_leaves_the_tombstones_and_the_next_one_ends_it():
    target = Target(many())
    target.refusals = [refused("AccessDeniedException")]
    with pytest.raises(SinkMisconfigured):
        run(target)
    assert TOMBSTONES in target.tables
    run(target)
    assert all(VERSION not in found for found in target.items.values())
    assert TOMBSTONES not in target.tables


def test_a_throttled_table_is_waited_for_and_one_that_stays_so_is_unavailable():
    target = Target(many())
    target.refusals = [refused("ProvisionedThroughputExceededException")] * 5
    run(target)
    assert all(VERSION not in found for found in target.items.values())
    target = Target(many())
    target.refusals = [refused("ThrottlingException")] * 10_000
    with pytest.raises(SinkUnavailable):
        run(target)


def test_the_rate_is_kept_over_all_requests_in_flight():
    target = Target(many())
    # One segment: of several, each sleeps at the same time, which this clock cannot show.
    run(target, complete_items_per_second=10, concurrency=1)
    assert target.now == pytest.approx(199 / 10)


def test_progress_is_told_while_it_works():
    told = run(Target(many()), complete_items_per_second=1, concurrency=1)
    assert [line for line in told if "items seen, the attribute taken off" in line]


@pytest.mark.parametrize(
    "unlike",
    [
        {"items": [item("a", name={"S": "Alice"})]},
        {"items": [{"id": {"S": "a"}}]},
        {"items": [{"id": {"S": "a"}, VERSION: {"S": "text"}}]},
        {"table": {"AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "N"}]}},
        {"table": {"GlobalSecondaryIndexes": [{"IndexName": "by-day"}]}},
        {"table": {"StreamSpecification": {"StreamEnabled": True}}},
        {"table": {"DeletionProtectionEnabled": True}},
    ],
    ids=str,
)
def test_a_table_that_does_not_look_like_ours_is_not_deleted_and_nothing_is_changed(unlike):
    target = Target(many(), unlike.get("items", ()))
    target.tables[TOMBSTONES] |= unlike.get("table", {})
    with pytest.raises(SinkMisconfigured, match="is not deleted"):
        run(target)
    assert target.updates == 0
    assert TOMBSTONES in target.tables


def test_more_than_the_first_tombstone_is_looked_at():
    odd = [item(str(n)) for n in range(LOOKED_AT - 1)] + [item("odd", more={"S": "x"})]
    with pytest.raises(SinkMisconfigured):
        run(Target([], odd))


def test_a_target_that_does_not_exist_is_said_so():
    target = Target([])
    del target.tables["moved"]
    with pytest.raises(SinkMisconfigured, match="does not exist"):
        run(target)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"tombstone_table": "moved"}, "is the target itself"),
        ({"flavor": "alternator"}, "needs endpoint_url"),
        ({"profile": "scylla", "role_arn": "arn:aws:iam::111111111111:role/x"}, "profile or role_arn"),
    ],
)
def test_options_that_contradict_each_other_are_refused(wrong, told):
    with pytest.raises(ValidationError, match=told):
        DynamoDbOptions(kind="dynamodb", table="moved", region="here", **wrong)
