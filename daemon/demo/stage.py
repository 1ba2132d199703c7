"""What the demo's move plays on: DynamoDB Local, an S3 server, a Cassandra node, and the application."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import boto3
from botocore.config import Config

from daemon.demo import configuration, dataset, processes, source_table
from daemon.demo.application import of_target
from daemon.demo.compare import Comparison, Side, compare
from daemon.demo.configuration import KEYSPACE, REGION, SOURCE_TABLE, TARGET_TABLE
from daemon.demo.export import export_table
from daemon.demo.servers.cassandra_node import CassandraNode
from daemon.demo.servers.dynamodb_local import DynamoDbLocal
from daemon.demo.servers.export_api import ExportServer
from daemon.demo.servers.s3 import S3Server
from daemon.demo.service import DemoFailed
from daemon.demo.sides import VERSION_ATTRIBUTE, CassandraSide, DynamoDbSide, Overlaid, written_by
from daemon.demo.wire import Wire

BUCKET, PREFIX = "exports", "demo"
KEY_NAMES = (dataset.PARTITION, dataset.SORT)
APPLICATION_STOP_SECONDS = 15.0
CQL_TIMEOUT_SECONDS = 30.0
EXPORT_SECONDS = 3.0  # AWS takes five minutes and more
RECONNECT_SECONDS = 2.0  # the driver's own pauses grow with an outage, up to ten minutes


class Stage:
    """Servers and the application. Everything that was started is stopped at exit, also after an error."""

    def __init__(self, folder: Path, sink: str, cassandra: Mapping[str, Any] | None = None) -> None:
        """`cassandra`: settings of the node's own, where it is the sink."""
        self.folder = folder
        self.sink = sink
        self._settings = cassandra
        self._stack = ExitStack()
        self._lock = threading.Lock()
        self._starters = ThreadPoolExecutor(3, "start")
        self._application: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop everything. Safe to call twice."""
        # A server that is still starting must be waited for, or nobody would stop it.
        self._starters.shutdown(wait=True, cancel_futures=True)
        self._stack.close()

    def open(self) -> None:
        """Start all servers at once; returns when DynamoDB answers, so that loading overlaps the others."""
        self._s3: Future[S3Server] = self._started(lambda: S3Server(self._made("s3")))
        self._cassandra: Future[CassandraNode] | None = None
        if self.sink == "cassandra":
            self._cassandra = self._started(lambda: CassandraNode(self._made("cassandra"), settings=self._settings))
        self._dynamodb: DynamoDbLocal = self._started(lambda: DynamoDbLocal(self._made("dynamodb"))).result()
        self.wire = Wire(self._dynamodb.endpoint_url)
        self._stack.callback(self.wire.close)
        self._client = _client("dynamodb", self._dynamodb.endpoint_url)

    def load(self, seed: int, items: int, loaded: Callable[[int], None]) -> None:
        """Make and fill the source table, then switch its stream on."""
        source_table.create(self._client, SOURCE_TABLE)
        source_table.load(self.wire, SOURCE_TABLE, dataset.items(seed, items), loaded)
        source_table.enable_stream(self._client, SOURCE_TABLE)

    def wait_for_servers(self) -> None:
        """Wait for the others; make what a user makes beforehand: bucket, keyspace, point-in-time recovery."""
        s3_url = self._s3.result().endpoint_url
        _client("s3", s3_url).create_bucket(Bucket=BUCKET)
        folder, local = self._made("export-api"), self._dynamodb.endpoint_url
        self._exports = self._started(lambda: ExportServer(folder, local, s3_url, EXPORT_SECONDS)).result()
        source_table.enable_recovery(_client("dynamodb", self._exports.endpoint_url), SOURCE_TABLE)
        if self._cassandra is not None:
            self._session = self._connect(self._cassandra.result())
            replication = "{'class': 'SimpleStrategy', 'replication_factor': 1}"
            self._session.execute(f"CREATE KEYSPACE IF NOT EXISTS {KEYSPACE} WITH replication = {replication}")

    def start_application(self, seed: int, items: int, service: str | None = None) -> int:
        """Start the writing; its process id. With the service's URL it follows the switch."""
        with (self.folder / "application.log").open("ab") as log:
            self._application = subprocess.Popen(
                [sys.executable, "-m", "daemon.demo.application", *self._application_options(seed, items, service)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._stack.callback(self._end_application)
        return self._application.pid

    def stop_application(self) -> dict[str, Any]:
        """SIGTERM; what it wrote, by kind. Raises DemoFailed when it had failed before."""
        code = self._end_application()
        if code:
            raise DemoFailed(f"the application ended with exit code {code}; see {self.folder}/application.log")
        journal: dict[str, Any] = json.loads(self._journal.read_text())
        return journal

    def export(self) -> str:
        """Export the table while the application writes; the s3:// URL of the manifest."""
        table = self._client.describe_table(TableName=SOURCE_TABLE)["Table"]
        return export_table(self.wire, _client("s3", self._s3.result().endpoint_url), table, BUCKET, PREFIX)

    def configure(self, manifest: str | None, listen: str) -> Path:
        """Write the configuration file; its path. Without a manifest moveout asks for the export itself."""
        url = self._dynamodb.endpoint_url
        if self._cassandra is not None:
            node = self._cassandra.result()
            target = configuration.target_cassandra(node.host, node.port)
        else:
            target = configuration.target_dynamodb(url)
        export = configuration.export_to(BUCKET, PREFIX) if manifest is None else configuration.export_at(manifest)
        return configuration.write(
            self.folder,
            dynamodb_url=self._exports.endpoint_url if manifest is None else url,
            s3_url=self._s3.result().endpoint_url,
            export=export,
            target=target,
            listen=listen,
        )

    def roll_over(self) -> None:
        """Close every open shard of the stream and open its child."""
        self._dynamodb.rollover()

    def compare(self) -> Comparison:
        """Read both sides completely; over the source what the application has written behind the switch."""
        journal = of_target(self._journal)
        written = written_by(journal.read_text().splitlines()) if journal.exists() else {}
        source = Overlaid(DynamoDbSide(self.wire, SOURCE_TABLE), written)
        return compare(source, self.target(written), KEY_NAMES)

    def target(self, written: Mapping[Any, Any] = MappingProxyType({})) -> Side:
        """The target's rows; `written` to it by the application itself."""
        table = TARGET_TABLE[self.sink]
        if self.sink == "cassandra":
            return CassandraSide(self._session, KEYSPACE, table, KEY_NAMES)
        return DynamoDbSide(self.wire, table, hidden=(VERSION_ATTRIBUTE,), written=written)

    @property
    def _journal(self) -> Path:
        return self.folder / "journal.json"

    def _made(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir()
        return folder

    def _started(self, make: Callable[[], Any]) -> Future[Any]:
        def start() -> Any:
            server = make()
            server.start()
            with self._lock:
                self._stack.callback(server.stop)
            return server

        return self._starters.submit(start)

    def _connect(self, node: CassandraNode) -> Any:
        from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
        from cassandra.policies import ConstantReconnectionPolicy, WhiteListRoundRobinPolicy

        only = WhiteListRoundRobinPolicy([node.host])
        profile = ExecutionProfile(load_balancing_policy=only, request_timeout=CQL_TIMEOUT_SECONDS)
        cluster = Cluster(
            [node.host],
            port=node.port,
            protocol_version=5,
            execution_profiles={EXEC_PROFILE_DEFAULT: profile},
            reconnection_policy=ConstantReconnectionPolicy(RECONNECT_SECONDS, max_attempts=None),
        )
        self._stack.callback(cluster.shutdown)
        return cluster.connect()

    def _application_options(self, seed: int, items: int, service: str | None) -> list[str]:
        options = {
            "endpoint": self.wire.endpoint_url,
            "table": SOURCE_TABLE,
            "seed": seed,
            "items": items,
            "journal": self._journal,
        }
        if service is not None:
            place = json.dumps(self._place())
            options |= {"signal": self.folder / "signal.json", "target": place, "service": service}
        return [word for name, value in options.items() for word in (f"--{name}", str(value))]

    def _place(self) -> dict[str, Any]:
        """Where the application finds the target."""
        table = TARGET_TABLE[self.sink]
        if self._cassandra is None:
            return {"kind": "dynamodb", "table": table}
        node = self._cassandra.result()
        return {"kind": "cassandra", "host": node.host, "port": node.port, "keyspace": KEYSPACE, "table": table}

    def _end_application(self) -> int:
        if self._application is None:
            return 0
        return processes.stop(self._application, APPLICATION_STOP_SECONDS)


def _client(service: str, endpoint_url: str) -> Any:
    retries = Config(retries={"mode": "standard", "max_attempts": 5}, s3={"addressing_style": "path"})
    make: Any = boto3.client  # its stubs want the service's name as a literal
    return make(service, region_name=REGION, endpoint_url=endpoint_url, config=retries)
