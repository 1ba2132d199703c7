"""What CreateTable is to be asked for, so that the target is as the source is. Pure.

From the source's description (API reference, TableDescription and CreateTable): facts that only a description has
(sizes, states, ARNs) are left out, and so is what is a decision of the target's side (`not_copied.py`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sinks.dynamodb.options import DynamoDbOptions
from sinks.provision import SourceTable

Json = dict[str, Any]
# What AWS gives to every new table on demand: asking for less is refused (developer guide, "Warm throughput").
WARM_READS, WARM_WRITES = 12_000, 4_000
MANAGED_KEY = "alias/aws/dynamodb"
TOMBSTONES_TAG = "moveout:tombstones-of"


def wanted(source: SourceTable, options: DynamoDbOptions, account: str | None) -> Json:
    """The request that creates the target. `account`: the target's, None where it is not known."""
    table = source.table
    request: Json = {"TableName": options.table, "KeySchema": table["KeySchema"]}
    for kind in ("LocalSecondaryIndexes", "GlobalSecondaryIndexes"):
        if table.get(kind):
            request[kind] = [_index(index, table, options) for index in table[kind]]
    request["AttributeDefinitions"] = definitions(request, table["AttributeDefinitions"])
    request |= throughput(table, table)
    tags = [{"Key": name, "Value": value} for name, value in source.tags.items() if not name.startswith("aws:")]
    if tags:
        request["Tags"] = tags
    if options.flavor == "alternator":
        return {**request, "BillingMode": "PAY_PER_REQUEST"}
    return request | _warm(table) | _settings(table) | _encryption(table, options, account)


def definitions(request: Mapping[str, Any], known: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those of the key attributes of table and indexes: CreateTable refuses any other."""
    indexes = [*request.get("LocalSecondaryIndexes", ()), *request.get("GlobalSecondaryIndexes", ())]
    used = {part["AttributeName"] for keyed in (request, *indexes) for part in keyed["KeySchema"]}
    return [definition for definition in known if definition["AttributeName"] in used]


def billing(table: Mapping[str, Any]) -> str:
    """The billing mode; AWS leaves it out of the description of a table that was never on demand."""
    return str(table.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED"))


def throughput(table: Mapping[str, Any], described: Mapping[str, Any]) -> Json:
    """Billing mode and units of the table, or with an index for `described` its units alone."""
    of_table: Json = {"BillingMode": billing(table)} if described is table else {}
    if billing(table) == "PROVISIONED":
        found = described["ProvisionedThroughput"]
        return of_table | {"ProvisionedThroughput": {unit: found[unit] for unit in units("CapacityUnits", "")}}
    # -1 says that a maximum was taken away again.
    found = described.get("OnDemandThroughput", {})
    maxima = {unit: found[unit] for unit in units("RequestUnits", "Max") if found.get(unit, -1) > 0}
    return of_table | ({"OnDemandThroughput": maxima} if maxima else {})


def units(suffix: str, prefix: str) -> tuple[str, str]:
    """The names of the two figures of a throughput."""
    return f"{prefix}Read{suffix}", f"{prefix}Write{suffix}"


def tombstones(source: SourceTable, options: DynamoDbOptions) -> Json:
    """The request that creates the table of tombstones: the key, on demand, and nothing of the source's settings."""
    table = source.table
    request: Json = {"TableName": options.tombstones, "KeySchema": table["KeySchema"]}
    request["AttributeDefinitions"] = definitions(request, table["AttributeDefinitions"])
    tags = [{"Key": TOMBSTONES_TAG, "Value": options.table}]
    return {**request, "BillingMode": "PAY_PER_REQUEST", "Tags": tags}


def foreign_key(table: Mapping[str, Any], options: DynamoDbOptions, account: str | None) -> str | None:
    """The KMS key of the source where it is of no use to the target: a key is one region's and one account's."""
    arn = str(table.get("SSEDescription", {}).get("KMSMasterKeyArn", ""))
    if not arn or options.kms_key_id is not None or options.flavor == "alternator":
        return None
    region, owner = arn.split(":")[3:5]
    return arn if region != options.region or account not in (None, owner) else None


def _index(index: Mapping[str, Any], table: Mapping[str, Any], options: DynamoDbOptions) -> Json:
    made: Json = {name: index[name] for name in ("IndexName", "KeySchema", "Projection")}
    if "ProvisionedThroughput" not in index and "OnDemandThroughput" not in index:
        return made  # a local one lives on its table's units
    if options.flavor == "alternator":
        return made
    return made | throughput(table, index) | _warm(index)


def _warm(described: Mapping[str, Any]) -> Json:
    """Where the source has grown beyond what AWS gives anyway: that costs, once, when it is asked for."""
    found = described.get("WarmThroughput", {})
    reads, writes = found.get("ReadUnitsPerSecond", 0), found.get("WriteUnitsPerSecond", 0)
    if reads <= WARM_READS and writes <= WARM_WRITES:
        return {}
    return {"WarmThroughput": {"ReadUnitsPerSecond": reads, "WriteUnitsPerSecond": writes}}


def _settings(table: Mapping[str, Any]) -> Json:
    made: Json = {}
    if "TableClassSummary" in table:
        made["TableClass"] = table["TableClassSummary"]["TableClass"]
    if table.get("DeletionProtectionEnabled"):
        made["DeletionProtectionEnabled"] = True
    return made


def _encryption(table: Mapping[str, Any], options: DynamoDbOptions, account: str | None) -> Json:
    """With the source's key where the target can use it, else with the one that AWS manages for the account."""
    found = table.get("SSEDescription", {})
    if options.kms_key_id is None and found.get("SSEType") != "KMS":
        return {}
    key = options.kms_key_id or found.get("KMSMasterKeyArn")
    made: Json = {"Enabled": True, "SSEType": "KMS"}
    if key != MANAGED_KEY and foreign_key(table, options, account) is None:
        made["KMSMasterKeyId"] = key
    return {"SSESpecification": made}
