"""How a table that exists differs from the copy that would be made, each with the command that mends it. Pure.

Only an index that is missing is created by moveout, for nothing that is there is changed by it. Everything else of a
table that exists may have been meant so: the command is shown, and a person decides.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from sinks.dynamodb.command import command
from sinks.dynamodb.options import DynamoDbOptions
from sinks.dynamodb.table_request import billing, throughput, units
from sinks.provision import SchemaStep

Json = Mapping[str, Any]
GLOBAL, LOCAL = "GlobalSecondaryIndexes", "LocalSecondaryIndexes"


def differences(wanted: Json, found: Json, options: DynamoDbOptions) -> Iterator[SchemaStep]:
    """From `wanted` (a CreateTable request) to `found` (a description); tags are another question."""
    yield from _globals(wanted, found, options)
    yield from _locals(wanted, found, options)
    if options.flavor == "alternator":
        return  # it ignores or lacks all that follows
    yield from _billing(wanted, found, options)
    yield from _settings(wanted, found, options)


def tag_differences(wanted: Json, tags: Mapping[str, str], arn: str, options: DynamoDbOptions) -> Iterator[SchemaStep]:
    """Tags that the target lacks or has other values of; those that only it has are its own."""
    missing = [tag for tag in wanted.get("Tags", ()) if tags.get(tag["Key"]) != tag["Value"]]
    if missing:
        names = ", ".join(tag["Key"] for tag in missing)
        yield SchemaStep(
            command(options, "TagResource", {"ResourceArn": arn, "Tags": missing}),
            f"tags of the source that the target has not, or with another value: {names}",
            by_hand=True,
        )


def _by_name(table: Json, kind: str) -> dict[str, Json]:
    return {index["IndexName"]: index for index in table.get(kind, ())}


def _globals(wanted: Json, found: Json, options: DynamoDbOptions) -> Iterator[SchemaStep]:
    there = _by_name(found, GLOBAL)
    for name, index in _by_name(wanted, GLOBAL).items():
        if name not in there:
            yield _creation(wanted, found, index, options)
        elif _shape(index) != _shape(there[name]):
            yield SchemaStep(
                _updated(options, wanted, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": name}}]),
                f"index {name} is {_told(there[name])}, the source's is {_told(index)}. An index cannot be changed: "
                "delete it, then `moveout schema --apply` creates it anew",
                by_hand=True,
            )
    for name in there.keys() - _by_name(wanted, GLOBAL).keys():
        yield SchemaStep(
            _updated(options, wanted, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": name}}]),
            f"index {name} is not the source's: if nobody needs it, it only makes each write dearer",
            by_hand=True,
        )


def _creation(wanted: Json, found: Json, index: Json, options: DynamoDbOptions) -> SchemaStep:
    """On a table that is billed otherwise than the source, the index is billed as its table is."""
    made = {name: index[name] for name in ("IndexName", "KeySchema", "Projection")}
    if billing(found) == "PROVISIONED":
        of_table = throughput(found, found)["ProvisionedThroughput"]
        made["ProvisionedThroughput"] = index.get("ProvisionedThroughput", of_table)
    elif "OnDemandThroughput" in index:
        made["OnDemandThroughput"] = index["OnDemandThroughput"]
    used = {part["AttributeName"] for keyed in (found, index) for part in keyed["KeySchema"]}
    defined = [known for known in wanted["AttributeDefinitions"] if known["AttributeName"] in used]
    request = {"AttributeDefinitions": defined, "GlobalSecondaryIndexUpdates": [{"Create": made}]}
    by_hand = options.flavor == "alternator"
    why = f"index {index['IndexName']} of the source is missing; it is cheapest on an empty table"
    if by_hand:
        why += ". Older releases of Alternator make indexes only with their table: then create the table anew"
    return SchemaStep(_updated(options, wanted, **request), why, by_hand=by_hand)


def _locals(wanted: Json, found: Json, options: DynamoDbOptions) -> Iterator[SchemaStep]:
    there = _by_name(found, LOCAL)
    for name, index in _by_name(wanted, LOCAL).items():
        if name not in there or _shape(index) != _shape(there[name]):
            told = "is missing" if name not in there else f"is {_told(there[name])}, the source's is {_told(index)}"
            yield SchemaStep(
                command(options, "DeleteTable", {"TableName": wanted["TableName"]}),
                f"local index {name} {told}. A local index is only made with its table: if the target is still empty, "
                "delete it, and `moveout schema --apply` creates it anew. The move works without it",
                by_hand=True,
            )


def _shape(index: Json) -> object:
    """What an index is, the order of what it projects aside."""
    keys = [(part["AttributeName"], part["KeyType"]) for part in index["KeySchema"]]
    projection = index.get("Projection", {})
    return sorted(keys), projection.get("ProjectionType"), sorted(projection.get("NonKeyAttributes", ()))


def _told(index: Json) -> str:
    keys = ", ".join(part["AttributeName"] for part in index["KeySchema"])
    projection = index.get("Projection", {})
    more = f" ({', '.join(sorted(projection['NonKeyAttributes']))})" if projection.get("NonKeyAttributes") else ""
    return f"on {keys} with {projection.get('ProjectionType')}{more}"


def _billing(wanted: Json, found: Json, options: DynamoDbOptions) -> Iterator[SchemaStep]:
    if wanted["BillingMode"] != billing(found):
        request = {name: wanted[name] for name in ("BillingMode", "ProvisionedThroughput") if name in wanted}
        yield SchemaStep(
            _updated(options, wanted, **request),
            f"the target is billed {billing(found)}, the source {wanted['BillingMode']}. For the load on demand is "
            "often the better one; AWS lets a table change a few times a day",
            by_hand=True,
        )
        return
    kind = "ProvisionedThroughput" if billing(found) == "PROVISIONED" else "OnDemandThroughput"
    names = units("CapacityUnits", "") if kind == "ProvisionedThroughput" else units("RequestUnits", "Max")
    has, should = ({name: side.get(kind, {}).get(name, -1) for name in names} for side in (found, wanted))
    if has != should:
        mended = wanted.get(kind, dict.fromkeys(names, -1))
        yield SchemaStep(
            _updated(options, wanted, **{kind: mended}),
            f"{kind} is {_figures(has)}, the source has {_figures(should)}",
            by_hand=True,
        )


def _figures(units_of: Json) -> str:
    return ", ".join(f"{name} {'none' if value == -1 else value}" for name, value in units_of.items())


def _settings(wanted: Json, found: Json, options: DynamoDbOptions) -> Iterator[SchemaStep]:
    has = {
        "TableClass": found.get("TableClassSummary", {}).get("TableClass", "STANDARD"),
        "DeletionProtectionEnabled": bool(found.get("DeletionProtectionEnabled")),
    }
    for name, default in (("TableClass", "STANDARD"), ("DeletionProtectionEnabled", False)):
        should = wanted.get(name, default)
        if has[name] != should:
            told = f"{name} is {has[name]}, the source has {should}"
            yield SchemaStep(_updated(options, wanted, **{name: should}), told, by_hand=True)
    should_key = wanted.get("SSESpecification")
    kept = found.get("SSEDescription", {})
    if should_key and not _encrypted(should_key, kept):
        yield SchemaStep(
            _updated(options, wanted, SSESpecification=should_key),
            f"the target is encrypted with {kept.get('KMSMasterKeyArn', 'a key of AWS')}, the source is with "
            f"{should_key.get('KMSMasterKeyId', 'the key that AWS manages for its account')}",
            by_hand=True,
        )


def _encrypted(should: Json, kept: Json) -> bool:
    if kept.get("SSEType") != "KMS":
        return False
    key = should.get("KMSMasterKeyId")
    # An alias or a bare id cannot be compared with an ARN.
    return key is None or not str(key).startswith("arn:") or ":alias/" in key or key == kept.get("KMSMasterKeyArn")


def _updated(options: DynamoDbOptions, wanted: Json, **values: object) -> str:
    return command(options, "UpdateTable", {"TableName": wanted["TableName"], **values})
