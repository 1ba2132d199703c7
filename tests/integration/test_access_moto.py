"""A move between four accounts: moto keeps tables and buckets apart by account, and knows an account by its keys."""

import contextlib
from types import SimpleNamespace

import boto3
import pytest

from daemon import worker
from daemon.anchor import anchor
from daemon.app import Parts
from daemon.check import check_all
from daemon.config import Config
from daemon.control import Migration
from daemon.demo.export import write_export
from sinks.sink import SinkMisconfigured

pytestmark = pytest.mark.server
REGION = "us-east-1"
SOURCE, BUCKET, TARGET, CONTROL = (f"arn:aws:iam::{digit * 12}:role/moveout" for digit in "2345")
COUNT = 300


def of_account(role, service, url):
    """A client in the role's account: what the account's own people would use."""
    with contextlib.closing(boto3.client("sts", region_name=REGION, endpoint_url=url)) as sts:
        keys = sts.assume_role(RoleArn=role, RoleSessionName="preparation")["Credentials"]
    return boto3.client(
        service,
        region_name=REGION,
        endpoint_url=url,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )


def tables(role, url):
    with contextlib.closing(of_account(role, "dynamodb", url)) as client:
        return set(client.list_tables()["TableNames"])


@pytest.fixture
def accounts(s3, fresh_name):
    """A table in one account, its export in another's bucket, and a configuration that names a role for each side."""
    url, name = s3.endpoint_url, fresh_name()
    source, bucket = of_account(SOURCE, "dynamodb", url), of_account(BUCKET, "s3", url)
    source.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    bucket.create_bucket(Bucket=f"exports-{name}")
    arn = source.describe_table(TableName=name)["Table"]["TableArn"]
    items = [{"id": {"S": str(number)}, "n": {"N": str(number)}} for number in range(COUNT)]
    manifest = write_export(bucket, f"exports-{name}", "orders", arn, items)
    side = {"region": REGION, "endpoint_url": url, "sts_endpoint_url": url}
    config = {
        "migration": f"move-{name}",
        "source": {"table": name, "role_arn": SOURCE, **side},
        "backfill": {
            "manifest": manifest,
            "s3_endpoint_url": url,
            "s3_role_arn": BUCKET,
            "clock_margin_seconds": 0,
        },
        "target": {"kind": "dynamodb", "table": name, "create_table": True, "role_arn": TARGET, **side},
        "control": {"role_arn": CONTROL, **side},
    }
    yield SimpleNamespace(url=url, name=name, config=config, source=source, bucket=bucket)
    source.close()
    bucket.close()


@pytest.fixture
def anchored(accounts):
    known = Parts(Config(**accounts.config))
    known.control.create_table()
    return known, anchor(known)


def test_table_export_target_and_state_lie_in_four_accounts_and_each_holds_only_its_own(accounts, anchored):
    known, migration = anchored
    assert migration.parts > 1
    worker.run(known, 0, 1)
    with contextlib.closing(of_account(TARGET, "dynamodb", accounts.url)) as target:
        moved = target.scan(TableName=accounts.name)["Items"]
    assert {item["id"]["S"] for item in moved} == {str(number) for number in range(COUNT)}
    assert tables(CONTROL, accounts.url) >= {"moveout-control"}
    assert "moveout-control" not in tables(SOURCE, accounts.url) | tables(TARGET, accounts.url)
    assert f"{accounts.name}-moveout-tombstones" not in tables(SOURCE, accounts.url)
    assert known.control.get("migration", Migration) is not None


def test_without_its_role_each_side_looks_into_an_account_that_has_nothing_of_it(accounts):
    source = {name: value for name, value in accounts.config["source"].items() if name != "role_arn"}
    findings = {f.check: f for f in check_all(Parts(Config(**{**accounts.config, "source": source})))}
    assert "does not exist: check its name, the region and the account" in findings["source"].message
    bucket = f"exports-{accounts.name}"
    for role, found in ((BUCKET, True), ("none", False)):
        backfill = {**accounts.config["backfill"], "s3_role_arn": role}
        with contextlib.closing(Parts(Config(**{**accounts.config, "backfill": backfill})).s3) as s3:
            assert (bucket in {held["Name"] for held in s3.list_buckets()["Buckets"]}) is found


def test_check_names_the_role_of_each_side_and_its_session(accounts):
    findings = check_all(Parts(Config(**accounts.config)))
    assert [f for f in findings if not f.good] == []
    named = {f.check: f.message for f in findings if f.check.startswith("identity")}
    accounts_named = {check: message.split(":")[4] for check, message in named.items()}
    assert accounts_named == {
        "identity of source": "2" * 12,
        "identity of control": "5" * 12,
        "identity of bucket": "3" * 12,
        "identity of target": "4" * 12,
    }
    assert all(message.endswith(f"moveout/moveout-move-{accounts.name}") for message in named.values())


def test_a_target_in_an_account_without_the_table_is_refused_when_it_may_not_be_created(accounts):
    target = {**accounts.config["target"], "create_table": False}
    known = Parts(Config(**{**accounts.config, "target": target}))
    with pytest.raises(SinkMisconfigured, match="does not exist"):
        known.sink().open()
