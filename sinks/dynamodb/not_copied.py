"""What a copy of the source does not have, each with the command that makes it: for a person to run, and when. Pure.

Not run on AWS: coded from its API and CLI reference.
"""

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from sinks.dynamodb.options import DynamoDbOptions
from sinks.dynamodb.table_request import billing, foreign_key
from sinks.provision import SchemaStep, SourceTable


def not_copied(source: SourceTable, options: DynamoDbOptions, account: str | None) -> Iterator[SchemaStep]:
    """Steps by hand, those of before the move first. `account`: the target's, None where it is not known."""
    table = source.table
    for note in source.notes:
        yield _step("", f"not compared, for the source could not be asked: {note}")
    key = foreign_key(table, options, account)
    if key is not None:
        yield _step(
            _update(options, "--sse-specification", "Enabled=true,SSEType=KMS,KMSMasterKeyId=<key of the target>"),
            f"the source is encrypted with {key}, a key of another account or region; the target gets the key that "
            "AWS manages for its account. Set target.kms_key_id before `--apply`, or run this",
        )
    yield from _vectors(table, options)
    if source.ttl_attribute is not None:
        yield _step(
            _aws(options, "update-time-to-live", "--time-to-live-specification", _ttl(source.ttl_attribute)),
            "after the switch of the writers, not before: the target would delete what the source still has, and "
            "what the source deletes comes by the stream anyway",
        )
    if options.flavor == "dynamodb":
        yield from _of_aws(table, options)


def _of_aws(table: Mapping[str, Any], options: DynamoDbOptions) -> Iterator[SchemaStep]:
    """Settings of AWS's service, which Alternator has not."""
    name, stream = table["TableName"], table.get("StreamSpecification", {})
    if stream.get("StreamEnabled"):
        wanted = f"StreamEnabled=true,StreamViewType={stream.get('StreamViewType', 'NEW_AND_OLD_IMAGES')}"
        yield _step(
            _update(options, "--stream-specification", wanted),
            "after the switch: a stream that is on during the move tells its consumers of each row that is moved",
        )
    for replica in table.get("Replicas", ()):
        region = replica.get("RegionName", "")
        if region != options.region:
            yield _step(
                _update(options, "--replica-updates", f"Create={{RegionName={region}}}"),
                f"the source is a global table with a replica in {region}. After the load: each write costs once more "
                "for each replica",
            )
    if billing(table) == "PROVISIONED":
        yield _step(
            "aws application-autoscaling describe-scalable-targets --service-namespace dynamodb "
            f"--resource-ids table/{name}, then register-scalable-target and put-scaling-policy for "
            f"table/{options.table}",
            "auto scaling is not a table's own: what the source has is not known. After the load, or it is in its way",
        )
    yield _step(
        f"aws dynamodb describe-continuous-backups --table-name {name}, then "
        + _aws(
            options,
            "update-continuous-backups",
            "--point-in-time-recovery-specification",
            "PointInTimeRecoveryEnabled=true",
        ),
        "point-in-time recovery is not part of a table's description. Where the source has it: before the switch",
    )
    yield _step(
        f"aws dynamodb get-resource-policy --resource-arn {table.get('TableArn', name)}, then put-resource-policy",
        "a resource policy names accounts and roles of the source's side: where the source has one, write it anew",
    )


def _vectors(table: Mapping[str, Any], options: DynamoDbOptions) -> Iterator[SchemaStep]:
    for index in table.get("VectorIndexes", ()):
        yield _step(
            _update(options, "--generate-cli-skeleton"),
            f"the vector index {index['IndexName']} is not copied: moveout was not tried with any",
        )


def _ttl(attribute: str) -> str:
    return f"Enabled=true,AttributeName={attribute}"


def _update(options: DynamoDbOptions, *words: str) -> str:
    return _aws(options, "update-table", *words)


def _aws(options: DynamoDbOptions, verb: str, *words: str) -> str:
    endpoint = [] if options.endpoint_url is None else ["--endpoint-url", options.endpoint_url]
    place = ["--region", options.region, *endpoint, "--table-name", options.table]
    return shlex.join(["aws", "dynamodb", verb, *place, *words])


def _step(statement: str, why: str) -> SchemaStep:
    return SchemaStep(statement, why, by_hand=True)
