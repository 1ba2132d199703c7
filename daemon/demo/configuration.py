"""Writes the configuration file of the demo's migration: the one a user would write, with a word on each line."""

import json
from pathlib import Path

REGION = "us-east-1"
SOURCE_TABLE = "orders"
TARGET_TABLE = {"cassandra": "orders", "dynamodb": "orders-moved"}
KEYSPACE = "moved"

TEMPLATE = """\
# The configuration of this demo's migration. The service was started with
#   moveout run --config {path}
migration: demo                 # its name: state is kept under it, so never change it midway

source:                         # the table that the application writes to
  table: {source_table}
  region: {region}
  endpoint_url: {dynamodb_url}  # DynamoDB Local, behind a stand-in for exports; leave it out on AWS

backfill:                       # the rows that exist already come from a full export to S3
  from: s3-export
  {export}
  s3_endpoint_url: {s3_url}     # the demo's S3 server; leave it out on AWS
  workers: 1                    # processes; more of them on more cores
  clock_margin_seconds: 1       # AWS's export clock may be off by a minute (default 120); here it is this machine's

tail:                           # the changes come from the table's stream, while the backfill runs
  heartbeat_seconds: 1          # how often lag is proven
  failover_seconds: 5           # the shards of a dead replica are free after this
  shard_audit_seconds: 5        # how soon a new shard is noticed

{target}
control:                        # all state of the migration, in the source's account
  table: moveout-control

server:                         # status, metrics, health
  listen: {listen}

ready:                          # readers may switch when lag was proven this short for this long
  max_lag_seconds: 5
  stable_for_seconds: 3

signal:                         # the decision as a file, beside HTTP
  file: {signal}
"""

EXPORT = """\
export:                       # which moveout asks for, as soon as it follows the stream
    bucket: {bucket}
    prefix: {prefix}
    poll_seconds: 1             # AWS takes minutes to hours: the default is 20\
"""

CASSANDRA = """\
target:
  kind: cassandra
  contact_points: [{host}]
  port: {port}
  local_datacenter: datacenter1
  keyspace: {keyspace}               # made before: its replication is yours to choose
  table: {table}
  create_table: true
"""

DYNAMODB = """\
target:
  kind: dynamodb
  table: {table}
  region: {region}
  endpoint_url: {dynamodb_url}
  create_table: true
"""


def target_cassandra(host: str, port: int) -> str:
    """The target section for a CQL table."""
    return CASSANDRA.format(host=host, port=port, keyspace=KEYSPACE, table=TARGET_TABLE["cassandra"])


def target_dynamodb(dynamodb_url: str) -> str:
    """The target section for a second DynamoDB table."""
    return DYNAMODB.format(table=TARGET_TABLE["dynamodb"], region=REGION, dynamodb_url=dynamodb_url)


def export_to(bucket: str, prefix: str) -> str:
    """The lines for an export that moveout asks for."""
    return EXPORT.format(bucket=bucket, prefix=prefix)


def export_at(manifest: str) -> str:
    """The line for an export that exists."""
    return f"manifest: {manifest}"


def write(folder: Path, *, dynamodb_url: str, s3_url: str, export: str, target: str, listen: str) -> Path:
    """Write moveout.yaml into the folder; its path."""
    path = folder / "moveout.yaml"
    text = TEMPLATE.format(
        path=path,
        source_table=SOURCE_TABLE,
        region=REGION,
        dynamodb_url=dynamodb_url,
        export=export,
        s3_url=s3_url,
        target=target,
        listen=listen,
        signal=json.dumps(str(folder / "signal.json")),  # JSON's quoting is YAML's, whatever the folder's name
    )
    path.write_text(text)
    return path
