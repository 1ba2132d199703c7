"""The ways to a DynamoStore, and the faults on them: the sink's Calls, and as much of boto3's client as we use."""

import contextlib
from base64 import b64decode
from concurrent.futures import Executor, Future
from types import SimpleNamespace

import msgspec
from botocore.exceptions import ClientError, ConnectionClosedError, HTTPClientError, ReadTimeoutError
from simulation.dynamodb_store import cancelled, failed
from simulation.faults import Fault, Faults, Unsupported

from sinks.dynamodb.call import Calls
from sinks.dynamodb.errors import TRANSIENT, code_of

FAULTS = tuple(Fault)
WRITES = ("PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "BatchWriteItem")
URL = "http://simulated"
_decode = msgspec.json.Decoder().decode


class Wire:
    """One request to the store and its answer, or what became of it on the way."""

    def __init__(self, store, faults):
        self._store, self._faults = store, faults

    def send(self, operation, request):
        """Raises ClientError, HTTPClientError."""
        fault = self._faults.next(operation, self._store.key_of(operation, request))
        if fault in (Fault.AWAY, Fault.LOST):
            raise self._cut(fault)
        if fault is Fault.THROTTLED:
            if operation == "BatchWriteItem" and self._faults.one_of((False, True)):
                return self._partly(request)
            raise self._throttled(operation, request)
        if operation not in WRITES:
            return self._read(fault, operation, request)
        if fault is Fault.CONFLICT:
            raise _conflict(operation, request)
        if self._faults.poison is not None:
            self._refuse(operation, request)
        if fault is None:
            return self._store.execute(operation, request)
        self._unanswered(fault, operation, request)
        raise self._cut(fault)

    def _read(self, fault, operation, request):
        if fault in (None, Fault.CONFLICT):  # a read has no part in a conflict of transactions
            return self._store.execute(operation, request)
        raise self._cut(fault)

    def _partly(self, request):
        """Some writes of the batch are done, the others come back under a 200."""
        ((table, entries),) = request["RequestItems"].items()
        half = len(entries) // 2
        self._store.execute("BatchWriteItem", {"RequestItems": {table: entries[:half]}})
        return {"UnprocessedItems": {table: entries[half:]}}

    def _unanswered(self, fault, operation, request):
        """The write is applied now or later, and its caller is not told how it went."""
        if fault is Fault.LATE:
            self._store.late.append((operation, request))
            return
        with contextlib.suppress(ClientError):
            self._store.execute(operation, request)

    def _cut(self, fault):
        match fault:
            case Fault.AWAY:
                return HTTPClientError(error=ConnectionRefusedError("simulated"))
            case Fault.FAILED_APPLIED:
                return failed("InternalServerError")
        return self._faults.one_of((ReadTimeoutError(endpoint_url=URL), ConnectionClosedError(endpoint_url=URL)))

    def _throttled(self, operation, request):
        whole = ("ProvisionedThroughputExceededException", "ThrottlingException")
        if operation != "TransactWriteItems":
            return failed(self._faults.one_of(whole))
        code = self._faults.one_of((*whole, "ThrottlingError", "ProvisionedThroughputExceeded"))
        return failed(code) if code in whole else cancelled([code] + [None] * (len(request["TransactItems"]) - 1))

    def _refuse(self, operation, request):
        """Raises what AWS says of an item that it can never take."""
        batch = [entry for table in request.get("RequestItems", {}).values() for entry in table]
        entries = request.get("TransactItems", batch or [{"": request}])
        verdicts = [self._poisoned(action) for entry in entries for action in entry.values()]
        if not any(verdicts):
            return
        whole = failed("ValidationException", "Item size has exceeded the maximum allowed size")
        if operation != "TransactWriteItems":
            raise whole
        # Of a transaction AWS says it as a reason, DynamoDB Local of the whole.
        raise self._faults.one_of((cancelled(["ValidationError" if v else None for v in verdicts]), whole))

    def _poisoned(self, action):
        key = self._store.key_of("", {"TableName": self._store.only, **action})
        return self._faults.poison(key, action.get("Item"))


def _conflict(operation, request):
    if operation != "TransactWriteItems":
        return failed("TransactionConflictException", "Transaction is ongoing for the item")
    return cancelled(["TransactionConflict"] + [None] * (len(request["TransactItems"]) - 1))


class SimulatedCalls(Calls):
    """The sink's Calls: its own retries over the wire, without its pauses."""

    def __init__(self, wire):
        self._wire = wire

    def _once(self, operation, body):
        return self._wire.send(operation, _decode(body))

    def _pause(self, attempt):
        """No time passes here."""

    def close(self):
        """Nothing is open."""


class SimulatedExchange:
    """The sink's exchange, one request after the other."""

    def __init__(self, wire):
        self._wire = wire

    def send(self, operation, bodies, _):
        return [self._one(operation, _decode(body)) for body in bodies]

    def _one(self, operation, request):
        try:
            return msgspec.json.encode(self._wire.send(operation, request))
        except (ClientError, HTTPClientError) as error:
            return error

    def close(self):
        """Nothing is open."""


class Inline(Executor):
    """An executor that runs each call at once, in this thread."""

    def submit(self, call, /, *arguments, **named):
        future = Future()
        try:
            future.set_result(call(*arguments, **named))
        except Exception as error:  # noqa: BLE001  a crash of the process is no Exception: it goes through
            future.set_exception(error)
        return future


class Client:
    """boto3's client: keyword calls, bytes instead of base64, and botocore's retries without its pauses."""

    def __init__(self, store, faults=None, *, attempts=5):
        self._wire = Wire(store, faults or Faults())
        self._attempts = attempts

    def put_item(self, **request):
        return self._call("PutItem", request)

    def update_item(self, **request):
        return self._call("UpdateItem", request)

    def delete_item(self, **request):
        return self._call("DeleteItem", request)

    def get_item(self, **request):
        return self._call("GetItem", request)

    def query(self, **request):
        return self._call("Query", request)

    def scan(self, **request):
        return self._call("Scan", request)

    def transact_write_items(self, **request):
        return self._call("TransactWriteItems", request)

    def describe_table(self, **request):
        return self._call("DescribeTable", request)

    def create_table(self, **request):
        return self._call("CreateTable", request)

    def get_waiter(self, name):
        if name != "table_exists":
            raise Unsupported(f"the waiter {name}")
        return SimpleNamespace(wait=lambda TableName, **_: self.describe_table(TableName=TableName))  # noqa: N803

    def get_paginator(self, name):
        ask = {"query": self.query, "scan": self.scan}[name]
        return SimpleNamespace(paginate=lambda **request: _pages(ask, request))

    def _call(self, operation, request):
        encoded = msgspec.json.encode(request)
        for attempt in range(1, self._attempts + 1):
            try:
                return _with_bytes(self._wire.send(operation, _decode(encoded)))
            except ClientError as error:
                if attempt == self._attempts or code_of(error) not in TRANSIENT:
                    raise
            except HTTPClientError:
                if attempt == self._attempts:
                    raise
        raise Unsupported(f"{self._attempts} attempts")


def _pages(ask, request):
    while True:
        page = ask(**request)
        yield page
        if "LastEvaluatedKey" not in page:
            return
        request = {**request, "ExclusiveStartKey": page["LastEvaluatedKey"]}


def _with_bytes(answer):
    """The answer as boto3 gives it: binary attributes as bytes."""
    shown = dict(answer)
    if "Items" in shown:
        shown["Items"] = [_item(item) for item in shown["Items"]]
    for name in ("Item", "LastEvaluatedKey"):
        if name in shown:
            shown[name] = _item(shown[name])
    return shown


def _item(item):
    return {name: _value(typed) for name, typed in item.items()}


def _value(typed):
    for kind, value in typed.items():
        as_bytes = AS_BYTES.get(kind)
        return typed if as_bytes is None else {kind: as_bytes(value)}
    raise Unsupported("a value without a type")


AS_BYTES = {
    "B": b64decode,
    "BS": lambda members: [b64decode(member) for member in members],
    "L": lambda members: [_value(member) for member in members],
    "M": _item,
}
