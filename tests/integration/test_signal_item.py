"""The decision as an item of a user's table, and hooks' outboxes in the control table, on DynamoDB Local."""

import threading

import documents
import msgspec
import pytest

from daemon.app import parts
from daemon.config import load
from daemon.control import Control
from daemon.phase import Phase
from daemon.routes import Routes
from daemon.sections import DynamoDbItem
from daemon.signal import events
from daemon.signal.dynamodb_item import ItemPublisher
from daemon.signal.outbox import PENDING_MAX, Outbox, _bounded
from daemon.signal.publisher import Outdated, PublishFailed
from daemon.signal.publishing import Publishing, publishers

pytestmark = pytest.mark.server
KEY = {"pk": {"S": "moveout"}, "sk": {"N": "7"}}


@pytest.fixture
def table(client, fresh_name):
    name = fresh_name()
    client.create_table(
        TableName=name,
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "N"},
        ],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return name


@pytest.fixture
def publisher(client, table):
    return ItemPublisher(client, DynamoDbItem(table=table, key={"pk": "moveout", "sk": 7}))


@pytest.fixture
def item(client, table):
    return lambda: client.get_item(TableName=table, Key=KEY, ConsistentRead=True)["Item"]


def test_the_item_tells_the_decision_in_attributes_and_the_whole_document(publisher, item):
    told = documents.published(ready=True, epoch=3, routes=Routes(reads_percent=25, writes_fenced=True))
    publisher.publish(told)
    found = item()
    assert documents.decoded(found.pop("document")["S"]) == told
    assert found == {
        **KEY,
        "phase": {"S": "replicating"},
        "epoch": {"N": "3"},
        "ready_readers": {"BOOL": True},
        "ready_writers": {"BOOL": False},
        "reads_percent": {"N": "25"},
        "writes": {"S": "source"},
        "writes_fenced": {"BOOL": True},
        "published_at": {"S": told.published_at},
        "valid_until": {"S": told.ready.valid_until},
    }


def test_what_others_keep_in_the_item_stays(publisher, item, client, table):
    client.put_item(TableName=table, Item={**KEY, "theirs": {"S": "kept"}})
    publisher.publish(documents.published())
    assert item()["theirs"] == {"S": "kept"}


@pytest.mark.parametrize("stale", [{"epoch": 9, "now": 2000.0}, {"epoch": 10, "now": 999.999}])
def test_a_leader_of_before_overwrites_nothing_newer(publisher, item, stale):
    publisher.publish(documents.published(1000.0, epoch=10, phase=Phase.NEEDS_RESYNC))
    before = item()
    with pytest.raises(Outdated, match=r"epoch 10, published at 1970-01-01T00:16:40\.000"):
        publisher.publish(documents.published(ready=True, **stale))
    assert item() == before


@pytest.mark.parametrize(
    "newer", [{"epoch": 11, "now": 1.0}, {"epoch": 10, "now": 1000.001}, {"epoch": 10, "now": 1000.0}]
)
def test_what_is_newer_or_the_same_is_written(publisher, item, newer):
    publisher.publish(documents.published(1000.0, epoch=10))
    publisher.publish(documents.published(ready=True, **newer))
    assert item()["ready_readers"] == {"BOOL": True}


def test_a_table_that_is_missing_or_has_another_key_says_what_is_expected(client, table):
    for asked in (DynamoDbItem(table="absent", key={"pk": "a"}), DynamoDbItem(table=table, key={"pk": "a"})):
        with pytest.raises(
            PublishFailed, match=r"signal\.dynamodb_item.*the key's attributes must be those of the option"
        ):
            ItemPublisher(client, asked).publish(documents.published())


def test_a_full_outbox_fits_into_the_control_table(client, fresh_name):
    control = Control(client, fresh_name(), "orders")
    control.create_table()
    large = msgspec.Raw(msgspec.json.encode({"message": "ø" * 10_000}))
    happened = events.since({}, documents.published(1.0))[0]
    many = [msgspec.structs.replace(happened, id=str(number), data=large) for number in range(3 * PENDING_MAX)]
    kept, _ = _bounded(many)
    control.put("hook#0", Outbox(pending=kept), 0)
    found = control.get("hook#0", Outbox)
    assert [events.encoded(one) for one in found[0].pending] == [events.encoded(one) for one in kept]


CONFIG = """
migration: orders
mode: tail
source: {table: orders, region: us-east-1, endpoint_url: "http://127.0.0.1:1"}
control: {endpoint_url: ENDPOINT}
target: {kind: dynamodb, table: moved, region: us-east-1}
dead_letters: {to: /letters}
signal:
  file: FOLDER/signal.json
  dynamodb_item: {table: TABLE, key: {pk: moveout, sk: 7}}
  configmap: {name: absent, namespace: moveout, api_url: "https://127.0.0.1:1"}
"""


def test_the_configuration_makes_all_three_and_the_item_is_on_the_control_tables_side(dynamodb, table, item, tmp_path):
    path = tmp_path / "moveout.yaml"
    told = CONFIG.replace("ENDPOINT", dynamodb.endpoint_url).replace("FOLDER", str(tmp_path)).replace("TABLE", table)
    path.write_text(told)
    config = load(path)
    asked = publishers(config, parts(config))
    assert [one.name.split()[0] for one in asked] == ["signal.file", "signal.dynamodb_item", "signal.configmap"]
    made = Publishing(asked)
    made.offer(documents.published(ready=True))
    for thread in threading.enumerate():
        if thread.name.startswith("signal."):
            thread.join(60)
    assert item()["ready_readers"] == {"BOOL": True}
    assert (tmp_path / "signal.json").exists()
    assert "signal.configmap" in made.trouble()
