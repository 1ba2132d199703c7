"""Cloning a table: what is asked of AWS, in which order, and what is left to a person."""

import json

import pytest
from table_service import TableService, refused

from sinks.dynamodb.clone import apply_schema, every_step, schema_steps
from sinks.dynamodb.command import requested
from sinks.dynamodb.not_copied import not_copied
from sinks.dynamodb.options import DynamoDbOptions
from sinks.provision import SchemaStep, SourceTable
from sinks.sink import SinkMisconfigured, SinkUnavailable

KEY_ARN = "arn:aws:kms:eu-west-1:111111111111:key/abc"


def hashed(name, attribute, projection="ALL", **more):
    keys = [{"AttributeName": attribute, "KeyType": "HASH"}]
    return {"IndexName": name, "KeySchema": keys, "Projection": {"ProjectionType": projection}, **more}


def units(reads, writes):
    return {"ReadCapacityUnits": reads, "WriteCapacityUnits": writes, "NumberOfDecreasesToday": 3}


SOURCE = {
    "TableName": "orders",
    "TableArn": "arn:aws:dynamodb:eu-west-1:111111111111:table/orders",
    "TableStatus": "ACTIVE",
    "ItemCount": 7,
    "KeySchema": [{"AttributeName": "customer", "KeyType": "HASH"}, {"AttributeName": "order", "KeyType": "RANGE"}],
    "AttributeDefinitions": [
        {"AttributeName": name, "AttributeType": kind}
        for name, kind in (("customer", "S"), ("order", "N"), ("day", "S"), ("vector", "S"))
    ],
    "ProvisionedThroughput": units(50, 60),
    "GlobalSecondaryIndexes": [
        {**hashed("by-day", "day", ProvisionedThroughput=units(5, 6)), "IndexStatus": "ACTIVE", "IndexSizeBytes": 9}
    ],
    "LocalSecondaryIndexes": [
        {
            "IndexName": "by-customer-day",
            "KeySchema": [
                {"AttributeName": "customer", "KeyType": "HASH"},
                {"AttributeName": "day", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["a", "b"]},
            "ItemCount": 7,
        }
    ],
    "TableClassSummary": {"TableClass": "STANDARD_INFREQUENT_ACCESS"},
    "DeletionProtectionEnabled": True,
    "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    "SSEDescription": {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": KEY_ARN},
    "WarmThroughput": {"ReadUnitsPerSecond": 12_000, "WriteUnitsPerSecond": 4_000, "Status": "ACTIVE"},
}
ON_DEMAND = {
    "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
    "ProvisionedThroughput": units(0, 0),
    "OnDemandThroughput": {"MaxReadRequestUnits": -1, "MaxWriteRequestUnits": 500},
    "GlobalSecondaryIndexes": [hashed("by-day", "day", ProvisionedThroughput=units(0, 0))],
}


def source(table=SOURCE, **changes):
    tags = {"team": "orders", "aws:cloudformation:stack-name": "x"}
    return SourceTable({**table, **changes}, "expires", tags)


def options(**changes):
    return DynamoDbOptions(**{"kind": "dynamodb", "table": "moved", "region": "eu-west-1", **changes})


@pytest.fixture
def service():
    return TableService()


def steps(service, given=None, account="111111111111", **changes):
    return schema_steps(options(**changes), given or source(), service, account)


def automatic(found):
    return [step for step in found if not step.by_hand]


def by_hand(found):
    return [step for step in found if step.by_hand]


def applied(service, given=None, **changes):
    waits = []
    told = []
    apply_schema(steps(service, given, **changes), service, told.append, waits.append)
    return told, waits


def test_the_copy_has_what_the_source_has_and_none_of_its_facts(service):
    applied(service)
    made = service.made()
    assert made["BillingMode"] == "PROVISIONED"
    assert made["ProvisionedThroughput"] == {"ReadCapacityUnits": 50, "WriteCapacityUnits": 60}
    assert made["GlobalSecondaryIndexes"] == [
        hashed("by-day", "day", ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": 6})
    ]
    assert made["LocalSecondaryIndexes"][0]["Projection"]["NonKeyAttributes"] == ["a", "b"]
    assert "ItemCount" not in made["LocalSecondaryIndexes"][0]
    assert (made["TableClass"], made["DeletionProtectionEnabled"]) == ("STANDARD_INFREQUENT_ACCESS", True)
    assert made["SSESpecification"] == {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": KEY_ARN}
    assert made["Tags"] == [{"Key": "team", "Value": "orders"}]
    assert "StreamSpecification" not in made


def test_an_attribute_that_is_no_key_is_not_defined(service):
    applied(service)
    assert [d["AttributeName"] for d in service.made()["AttributeDefinitions"]] == ["customer", "order", "day"]


def test_an_on_demand_table_keeps_its_maximum_and_has_no_provisioned_units(service):
    applied(service, source(**ON_DEMAND))
    made = service.made()
    assert (made["BillingMode"], made["OnDemandThroughput"]) == ("PAY_PER_REQUEST", {"MaxWriteRequestUnits": 500})
    assert "ProvisionedThroughput" not in made
    assert "ProvisionedThroughput" not in made["GlobalSecondaryIndexes"][0]


def test_warm_throughput_is_asked_for_only_above_what_aws_gives_and_its_price_is_told(service):
    assert "WarmThroughput" not in json.dumps(requested(steps(service)[0].statement)[1])
    warm = source(WarmThroughput={"ReadUnitsPerSecond": 12_000, "WriteUnitsPerSecond": 9_000, "Status": "ACTIVE"})
    found = steps(service, warm)[0]
    assert requested(found.statement)[1]["WarmThroughput"] == {
        "ReadUnitsPerSecond": 12_000,
        "WriteUnitsPerSecond": 9_000,
    }
    assert "bills once" in found.why


@pytest.mark.parametrize(("account", "region"), [("222222222222", "eu-west-1"), ("111111111111", "us-east-1")])
def test_a_key_of_another_account_or_region_is_not_used_and_a_person_is_told(service, account, region):
    found = steps(service, account=account, region=region)
    assert requested(found[0].statement)[1]["SSESpecification"] == {"Enabled": True, "SSEType": "KMS"}
    assert any(KEY_ARN in step.why for step in by_hand(found))


def test_a_key_that_is_configured_is_used(service):
    found = steps(service, account="222222222222", kms_key_id="alias/mine")
    assert requested(found[0].statement)[1]["SSESpecification"]["KMSMasterKeyId"] == "alias/mine"
    assert not any(KEY_ARN in step.why for step in by_hand(found))
    managed = steps(service, kms_key_id="alias/aws/dynamodb")
    assert "KMSMasterKeyId" not in requested(managed[0].statement)[1]["SSESpecification"]


def test_tombstones_are_on_demand_and_unprotected_and_have_no_index(service):
    applied(service)
    made = service.made("moved-moveout-tombstones")
    assert made["BillingMode"] == "PAY_PER_REQUEST"
    assert made.keys() == {"TableName", "KeySchema", "AttributeDefinitions", "BillingMode", "Tags"}


def test_applied_once_nothing_is_left_to_do_and_a_rerun_does_nothing(service):
    applied(service)
    assert automatic(steps(service)) == []
    asked = len(service.calls)
    applied(service)
    assert len(service.calls) == asked


def test_it_returns_when_all_is_active_and_tells_what_it_waits_for(service):
    told, waits = applied(service)
    assert all(table["TableStatus"] == "ACTIVE" for table in service.tables.values())
    assert waits
    assert any("table moved, which is CREATING" in line for line in told)


def test_a_rerun_waits_for_what_an_interrupted_run_has_begun(service):
    applied(service)
    service.tables["moved"] |= {"TableStatus": "CREATING", "left": 3}
    (step,) = automatic(steps(service))
    assert step.statement.startswith("aws dynamodb wait table-exists --region eu-west-1")
    apply_schema([step], service, sleep=lambda _: None)
    assert service.tables["moved"]["TableStatus"] == "ACTIVE"
    assert automatic(steps(service)) == []


def test_a_table_that_is_not_told_of_yet_is_waited_for():
    class Late(TableService):
        unseen = 2

        def describe_table(self, **request):
            if request["TableName"] in self.tables and self.unseen:
                self.unseen -= 1
                raise refused("ResourceNotFoundException")
            return super().describe_table(**request)

    service = Late()
    applied(service)
    assert service.tables["moved"]["TableStatus"] == "ACTIVE"


def test_who_waits_too_long_is_told_to_run_it_again():
    service = TableService(looks=10**9)
    with pytest.raises(SinkUnavailable, match="table moved, which is CREATING after 60 min: run it again"):
        applied(service)


def test_a_missing_index_is_created_on_a_table_that_exists_one_at_a_time(service):
    applied(service, source(GlobalSecondaryIndexes=[]))
    both = [hashed(name, "day", ProvisionedThroughput=units(5, 6)) for name in ("by-day", "by-day-2")]
    found = steps(service, source(GlobalSecondaryIndexes=both))
    assert [requested(step.statement)[0] for step in automatic(found)] == ["update_table"] * 2
    applied(service, source(GlobalSecondaryIndexes=both))
    assert [index["IndexStatus"] for index in service.tables["moved"]["GlobalSecondaryIndexes"]] == ["ACTIVE"] * 2


@pytest.mark.parametrize(
    ("there", "told"),
    [
        ({"ProvisionedThroughput": units(1, 1)}, "ProvisionedThroughput is ReadCapacityUnits 1"),
        (ON_DEMAND, "billed PAY_PER_REQUEST, the source PROVISIONED"),
        ({"TableClassSummary": {"TableClass": "STANDARD"}}, "TableClass is STANDARD"),
        ({"DeletionProtectionEnabled": False}, "DeletionProtectionEnabled is False"),
        ({"SSEDescription": {}}, "encrypted with a key of AWS"),
        ({"LocalSecondaryIndexes": []}, "local index by-customer-day is missing"),
        ({"GlobalSecondaryIndexes": [hashed("by-day", "order")]}, "index by-day is on order"),
        ({"GlobalSecondaryIndexes": [hashed("by-day", "day", "KEYS_ONLY")]}, "index by-day is on day with KEYS_ONLY"),
        (
            {"GlobalSecondaryIndexes": [*SOURCE["GlobalSecondaryIndexes"], hashed("more", "day")]},
            "index more is not the source's",
        ),
    ],
)
def test_a_difference_of_a_table_that_exists_is_told_with_its_command_and_not_done(service, there, told):
    service.tables["moved"] = {**SOURCE, "TableName": "moved", **there}
    service.tags[SOURCE["TableArn"]] = {"team": "orders"}
    found = steps(service)
    (difference,) = [step for step in by_hand(found) if told in step.why]
    assert difference.statement.startswith("aws dynamodb ")
    applied(service)
    assert [request["TableName"] for _, request in service.calls] == ["moved-moveout-tombstones"]


def test_a_tag_that_is_missing_is_told(service):
    service.tables["moved"] = {**SOURCE, "TableName": "moved"}
    service.tags[SOURCE["TableArn"]] = {"team": "others", "own": "x"}
    (told,) = [step for step in by_hand(steps(service)) if "tags of the source" in step.why]
    assert requested(told.statement)[1]["Tags"] == [{"Key": "team", "Value": "orders"}]


def test_an_equal_table_has_no_difference(service):
    service.tables["moved"] = {**SOURCE, "TableName": "moved"}
    service.tags[SOURCE["TableArn"]] = {"team": "orders"}
    found = [step for step in steps(service) if "tombstones" not in step.statement]
    assert found == list(not_copied(source(), options(), "111111111111"))


def test_another_key_can_be_mended_by_nobody(service):
    service.tables["moved"] = {**SOURCE, "TableName": "moved", "KeySchema": SOURCE["KeySchema"][:1]}
    with pytest.raises(SinkMisconfigured, match="has the key customer"):
        steps(service)


def test_what_is_for_later_is_shown_and_never_done(service):
    found = steps(service, source(Replicas=[{"RegionName": "us-west-2"}]))
    words = [f"{step.statement} {step.why}" for step in by_hand(found)]
    for wanted in (
        "update-time-to-live",
        "AttributeName=expires",
        "--stream-specification",
        "application-autoscaling",
        "continuous-backups",
        "get-resource-policy",
        "us-west-2",
    ):
        assert any(wanted in word for word in words), wanted
    applied(service)
    assert {method for method, _ in service.calls} == {"create_table"}


def test_a_note_on_the_source_is_handed_on(service):
    given = SourceTable(SOURCE, notes=("its tags: AccessDenied",))
    assert any("its tags: AccessDenied" in step.why for step in steps(service, given))


def test_a_table_that_another_run_has_just_created_is_no_failure(service):
    service.refusals = [refused("ResourceInUseException")]
    found = [step for step in steps(service) if "tombstones" in step.statement]
    with pytest.raises(SinkUnavailable, match="not told of yet"):  # and is waited for
        apply_schema(found, service, sleep=lambda _: None)


def test_a_refused_step_stops_and_shows_its_command(service):
    service.refusals = [refused("ValidationException", "no such key")]
    with pytest.raises(SinkMisconfigured, match=r"no such key.*aws dynamodb create-table"):
        applied(service)


def test_a_missing_right_is_for_a_person(service):
    service.refusals = [refused("AccessDeniedException")]
    with pytest.raises(SinkMisconfigured):
        applied(service)


def test_only_our_own_statements_are_run(service):
    foreign = SchemaStep("aws s3 rm s3://b --recursive", "a trap")
    with pytest.raises(SinkMisconfigured, match="not a statement"):
        apply_schema([foreign], service)


def test_on_alternator_nothing_is_asked_for_that_it_lacks(service):
    found = steps(service, flavor="alternator", endpoint_url="http://scylla:8000", account=None)
    request = requested(found[0].statement)[1]
    assert request["BillingMode"] == "PAY_PER_REQUEST"
    assert not {"SSESpecification", "TableClass", "DeletionProtectionEnabled", "WarmThroughput"} & request.keys()
    assert [step.statement.split()[2] for step in by_hand(found)] == ["update-time-to-live"]
    assert "--endpoint-url http://scylla:8000" in found[0].statement


def test_every_step_is_told_without_a_target():
    there = TableService()
    told = every_step(options(endpoint_url="http://127.0.0.1:1"), source())
    assert [step.why for step in told] == [step.why for step in steps(there, account=None)]


def test_a_table_that_never_gets_ready_is_not_waited_for(service):
    service.tables["moved"] = {**SOURCE, "TableName": "moved", "TableStatus": "INACCESSIBLE_ENCRYPTION_CREDENTIALS"}
    with pytest.raises(SinkMisconfigured, match="nobody's waiting cures"):
        steps(service)
