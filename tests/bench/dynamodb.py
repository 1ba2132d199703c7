"""What handing rows to DynamoDB costs us, against boto3: CPU of one core, over a server that stores nothing.

The server is a hundred lines of C, for one in Python would be what is measured. It counts the items that arrive, and
each run is compared with what was sent: no speed without all rows.
"""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from sinks.change import Change
from sinks.dynamodb import connect, target
from sinks.dynamodb.options import DynamoDbOptions
from tests.bench import contest

SOURCE = Path(__file__).with_name("null_dynamodb.c")
TABLE, REGION = "moved", "us-east-1"
BATCH_WRITES = 25


class CompilerMissing(Exception):
    """There is no C compiler here: this part of the bench is left out."""


class NullServer:
    """The server, and what it has got since it was last asked."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.endpoint_url = f"http://127.0.0.1:{int(self._line())}"

    def items(self) -> int:
        """How many items have arrived."""
        assert self._process.stdin is not None
        self._process.stdin.write("?\n")
        self._process.stdin.flush()
        return int(self._line().split()[1])

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@contextmanager
def null_server() -> Iterator[NullServer]:
    """Compiled, running. Raises CompilerMissing, CalledProcessError."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise CompilerMissing("no `cc` here (Debian: apt-get install gcc libc6-dev)")
    with tempfile.TemporaryDirectory() as folder:
        binary = str(Path(folder) / "null_dynamodb")
        subprocess.run([compiler, "-O2", "-o", binary, str(SOURCE)], check=True)
        with subprocess.Popen([binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            try:
                yield NullServer(process)
            finally:
                process.kill()


def measured(changes: Sequence[Change], count: int, puts: int) -> dict[str, contest.Pairs]:
    """Both modes against boto3, in turns. `puts`: of the changes, how many go one by one. Raises CompilerMissing."""
    with null_server() as server:
        first = changes[:puts]
        return {
            "ordered": _pairs(server, changes, count, _ours(server, "ordered"), _batches),
            "exact": _pairs(server, first, count, _ours(server, "exact"), _puts),
        }


Act = Callable[[Sequence[Change]], Any]


def _pairs(
    server: NullServer, changes: Sequence[Change], count: int, ours: Act, other: Callable[[Any, Sequence[Any]], None]
) -> contest.Pairs:
    client = _client(server)
    # boto3 is given what it takes; to make that of an export's line is not its cost here.
    items = [json.loads(change.item.json) for change in changes if change.item is not None]
    return contest.pairs(
        count,
        lambda: _counted(server, len(items), lambda: ours(changes)),
        lambda: _counted(server, len(items), lambda: other(client, items)),
    )


def _counted(server: NullServer, wanted: int, run: Callable[[], Any]) -> None:
    server.items()
    run()
    found = server.items()
    if found != wanted:
        raise AssertionError(f"{found} items have arrived of {wanted}")


def _ours(server: NullServer, mode: str) -> Act:
    """The whole sink, as a backfill worker calls it."""
    options = DynamoDbOptions.model_validate(
        {"kind": "dynamodb", "table": TABLE, "region": REGION, "endpoint_url": server.endpoint_url, "mode": mode}
    )
    sink = target.sink(options, contest.KEYS, connect.unchecked)
    sink.open()
    load = getattr(sink, "load", sink.apply)

    def act(changes: Sequence[Change]) -> None:
        for begin in range(0, len(changes), contest.BATCH_ROWS):
            if load(changes[begin : begin + contest.BATCH_ROWS]):
                raise AssertionError("refused")

    return act


def _client(server: NullServer) -> Any:
    config = Config(region_name=REGION, parameter_validation=False)
    return boto3.client("dynamodb", endpoint_url=server.endpoint_url, config=config)


def _batches(client: Any, items: Sequence[Any]) -> None:
    for begin in range(0, len(items), BATCH_WRITES):
        wanted = [{"PutRequest": {"Item": item}} for item in items[begin : begin + BATCH_WRITES]]
        client.batch_write_item(RequestItems={TABLE: wanted})


def _puts(client: Any, items: Sequence[Any]) -> None:
    for item in items:
        try:
            client.put_item(
                TableName=TABLE,
                Item={**item, "moveout:version": {"N": "1700000000000000"}},
                ConditionExpression="attribute_not_exists(#k) OR #v < :v",
                ExpressionAttributeNames={"#k": contest.KEYS.partition.name, "#v": "moveout:version"},
                ExpressionAttributeValues={":v": {"N": "1700000000000000"}},
            )
        except ClientError as error:
            raise AssertionError(f"the null server refuses nothing: {error}") from error
