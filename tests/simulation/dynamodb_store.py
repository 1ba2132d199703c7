"""DynamoDB in memory: tables, conditional writes, transactions, pages. As much as the sink and the control table use.

Requests and answers are those of the JSON protocol (binary as base64). What is not modelled is Unsupported, never
passed over. Compared with DynamoDB Local in integration/test_stores_conform.py. dynamodb_wire.py lets clients at it.
"""

import contextlib
from base64 import b64decode
from operator import attrgetter

from botocore.exceptions import ClientError
from simulation import expressions
from simulation.faults import Unsupported

from sinks.attributes import canonical, encode_value
from sinks.change import Key, KeyAttribute, KeySchema

READ = frozenset({"TableName", "ConsistentRead"})
CONDITION = frozenset({"ConditionExpression", "ExpressionAttributeNames", "ExpressionAttributeValues"})
SHOWN = "ReturnValuesOnConditionCheckFailure"
KNOWN = {
    "PutItem": CONDITION | {"TableName", "Item", SHOWN},
    "UpdateItem": CONDITION | {"TableName", "Key", "UpdateExpression", SHOWN},
    "DeleteItem": CONDITION | {"TableName", "Key", SHOWN},
    "ConditionCheck": CONDITION | {"TableName", "Key"},
    "TransactWriteItems": {"TransactItems"},
    "BatchWriteItem": {"RequestItems"},
    "GetItem": READ | {"Key"},
    "Scan": READ | {"Limit", "ExclusiveStartKey", "ProjectionExpression", "ExpressionAttributeNames"},
    "Query": READ
    | {"Limit", "ExclusiveStartKey", "KeyConditionExpression", "ExpressionAttributeNames", "ExpressionAttributeValues"},
    "DescribeTable": {"TableName"},
    "CreateTable": {"TableName", "AttributeDefinitions", "KeySchema", "BillingMode"},
}
BATCH_WRITES_MAX = 25
KEY_VALUES = {"S": str, "N": canonical, "B": b64decode}
ACTIONS = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheck"}


def failed(code, message="simulated", **fields):
    """The service's error as clients raise it."""
    return ClientError({"Error": {"Code": code, "Message": message}, **fields}, "Simulated")


class Table:
    """The items of one table, as typed JSON, by their keys."""

    def __init__(self, keys):
        self.keys = keys
        self.parts = [keys.partition] + ([keys.sort] if keys.sort else [])
        self.items = {}

    def key_of(self, item):
        """The key of an item, or of a request's Key. Raises ClientError."""
        return Key(*[_scalar(part, item) for part in self.parts])

    def key_alone(self, key):
        """The key of a request's Key, which has nothing beside it. Raises ClientError."""
        if len(key) != len(self.parts):
            raise failed("ValidationException", "The provided key element does not match the schema")
        return self.key_of(key)

    def attributes_of(self, key):
        """The key attributes of a Key."""
        values = (key.partition, key.sort)
        return {part.name: encode_value(value) for part, value in zip(self.parts, values, strict=False)}


def _scalar(part, item):
    typed = item.get(part.name)
    if typed is None or part.type not in typed:
        raise failed("ValidationException", f"Missing the key {part.name} in the item, or of another type")
    value = typed[part.type]
    if not value:
        raise failed("ValidationException", "The AttributeValue for a key attribute cannot contain an empty value")
    return KEY_VALUES[part.type](value)


class DynamoStore:
    """All tables of one endpoint. A page of a Scan or Query holds `page_items` at most."""

    def __init__(self, *, page_items=100):
        self.page_items = page_items
        self.tables = {}
        self.late = []
        self._operations = {
            "PutItem": self._single,
            "UpdateItem": self._single,
            "DeleteItem": self._single,
            "TransactWriteItems": self._transact,
            "BatchWriteItem": self._batch,
            "GetItem": self._get,
            "Scan": self._scan,
            "Query": self._query,
            "DescribeTable": self._describe,
            "CreateTable": self._create,
        }

    def execute(self, operation, request):
        """The answer. Raises ClientError, and Unsupported for what is not modelled."""
        act = self._operations.get(operation)
        if act is None:
            raise Unsupported(operation)
        return act(operation, request)

    def land(self, n=0):
        """The n-th of the late requests arrives now; what it is answered nobody hears."""
        with contextlib.suppress(ClientError):
            self.execute(*self.late.pop(n))

    @property
    def only(self):
        """The name of a table: those of one store have the same key here."""
        return next(iter(self.tables))

    def items(self, table):
        """What a table holds: typed JSON by Key."""
        return self.tables[table].items

    def key_of(self, operation, request):
        """The key that a request is about, or the first of a transaction; None where it has none."""
        if operation == "TransactWriteItems":
            ((_, action),) = request["TransactItems"][0].items()
            return self.key_of("", action)
        if operation == "BatchWriteItem":
            ((table, entries),) = request["RequestItems"].items()
            return self.key_of("", {"TableName": table, **next(iter(entries[0].values()))})
        named = request.get("Item") or request.get("Key")
        return self._table(request).key_of(named) if named else None

    def _table(self, request):
        table = self.tables.get(request["TableName"])
        if table is None:
            raise failed("ResourceNotFoundException", "Cannot do operations on a non-existent table")
        return table

    def _single(self, operation, request):
        code, commit, there = self._prepared(operation, request)
        if code is not None:
            shown = {"Item": dict(there)} if there and request.get(SHOWN) == "ALL_OLD" else {}
            raise failed("ConditionalCheckFailedException", "The conditional request failed", **shown)
        commit()
        return {}

    def _prepared(self, operation, request):
        """Why the condition fails or None, the act that would commit it, and the item that is there."""
        _known(operation, request)
        table = self._table(request)
        key = table.key_of(request["Item"]) if operation == "PutItem" else table.key_alone(request["Key"])
        there = table.items.get(key) or {}
        guard = request.get("ConditionExpression")
        holds = expressions.condition(guard) if guard is not None else None
        place = _place((guard or "", request.get("UpdateExpression", "")), request)
        if holds is not None and not holds(there, place):
            return "ConditionalCheckFailed", None, there
        return None, self._commit(operation, request, table, key, place), there

    def _commit(self, operation, request, table, key, place):
        match operation:
            case "PutItem":
                return lambda: table.items.update({key: dict(request["Item"])})
            case "DeleteItem":
                return lambda: table.items.pop(key, None)
            case "UpdateItem":
                settings = expressions.update(request["UpdateExpression"])({}, place)
                if settings.keys() & table.keys.names:
                    raise failed("ValidationException", "Cannot update attribute. This attribute is part of the key")
                before = table.items.get(key) or table.attributes_of(key)
                return lambda: table.items.update({key: {**before, **settings}})
        return lambda: None  # a ConditionCheck

    def _transact(self, operation, request):
        _known(operation, request)
        prepared, touched = [], set()
        for action in request["TransactItems"]:
            ((kind, body),) = action.items()
            if kind not in ACTIONS:
                raise Unsupported(kind)
            touched.add((body["TableName"], self.key_of("", body)))
            prepared.append(self._prepared(ACTIONS[kind], body))
        if len(touched) < len(prepared):
            raise failed("ValidationException", "Transaction request cannot include multiple operations on one item")
        if any(code for code, _, _ in prepared):
            raise cancelled([code for code, _, _ in prepared])
        for _, commit, _ in prepared:
            commit()
        return {}

    def _batch(self, operation, request):
        _known(operation, request)
        ((name, entries),) = request["RequestItems"].items()
        actions = [(kind, {"TableName": name, **body}) for entry in entries for kind, body in entry.items()]
        if len({self.key_of("", body) for _, body in actions}) < len(actions) or len(actions) > BATCH_WRITES_MAX:
            raise failed("ValidationException", "Provided list of item keys contains duplicates, or too many")
        for kind, body in actions:
            self._single({"PutRequest": "PutItem", "DeleteRequest": "DeleteItem"}[kind], body)
        return {"UnprocessedItems": {}}

    def _get(self, operation, request):
        _known(operation, request)
        _consistent(request)
        table = self._table(request)
        item = table.items.get(table.key_alone(request["Key"]))
        return {} if item is None else {"Item": dict(item)}

    def _scan(self, operation, request):
        _known(operation, request)
        _consistent(request)
        table = self._table(request)
        page = self._page(table, request, _in_order(table))
        if "ProjectionExpression" in request:
            names = request["ExpressionAttributeNames"]
            shown = [names[placeholder] for placeholder in request["ProjectionExpression"].split(", ")]
            page["Items"] = [{name: item[name] for name in shown if name in item} for item in page["Items"]]
        return page

    def _query(self, operation, request):
        _known(operation, request)
        _consistent(request)
        table = self._table(request)
        place = _place((request["KeyConditionExpression"],), request)
        if not set(place.names.values()) <= table.keys.names:
            raise failed("ValidationException", "Query condition missed key schema element")
        if {"S": ""} in place.values.values():
            raise failed("ValidationException", "The AttributeValue for a key attribute cannot contain an empty value")
        wanted = expressions.condition(request["KeyConditionExpression"])
        return self._page(table, request, [key for key in _in_order(table) if wanted(table.items[key], place)])

    def _page(self, table, request, keys):
        """As AWS does: a page that is full names its last key, also when nothing comes after it."""
        start = request.get("ExclusiveStartKey")
        if start is not None:
            after = _rank(table.key_alone(start))
            keys = [key for key in keys if _rank(key) > after]
        limit = min(request.get("Limit", self.page_items), self.page_items)
        shown = keys[:limit]
        page = {"Items": [dict(table.items[key]) for key in shown], "Count": len(shown)}
        if len(shown) == limit:
            page["LastEvaluatedKey"] = table.attributes_of(shown[-1])
        return page

    def _describe(self, operation, request):
        _known(operation, request)
        keys = self._table(request).keys
        parts = [(keys.partition, "HASH")] + ([(keys.sort, "RANGE")] if keys.sort else [])
        definitions = [{"AttributeName": part.name, "AttributeType": part.type} for part, _ in parts]
        roles = [{"AttributeName": part.name, "KeyType": role} for part, role in parts]
        described = {"TableStatus": "ACTIVE", "AttributeDefinitions": definitions, "KeySchema": roles}
        return {"Table": {"TableName": request["TableName"], **described}}

    def _create(self, operation, request):
        _known(operation, request)
        if request["TableName"] in self.tables:
            raise failed("ResourceInUseException", "Cannot create preexisting table")
        types = {part["AttributeName"]: part["AttributeType"] for part in request["AttributeDefinitions"]}
        parts = [KeyAttribute(part["AttributeName"], types[part["AttributeName"]]) for part in request["KeySchema"]]
        self.tables[request["TableName"]] = Table(KeySchema(*parts))
        return {}


def cancelled(codes):
    """The error of a transaction of which nothing was applied, with the reason of each action or None."""
    reasons = [{"Code": code or "None"} for code in codes]
    message = f"Transaction cancelled, please refer cancellation reasons for specific reasons {codes}"
    return failed("TransactionCanceledException", message, CancellationReasons=reasons)


def _known(operation, request):
    if not request.keys() <= KNOWN[operation]:
        raise Unsupported(f"{operation} with {sorted(request.keys() - KNOWN[operation])}")


def _consistent(request):
    """A read that may be stale would need a past, which this store does not keep: nobody may ask for one."""
    if request.get("ConsistentRead") is not True:
        raise Unsupported("a read without ConsistentRead")


NO_VALUES = {}


def _place(texts, request):
    """What the placeholders stand for. Raises ClientError where one is missing or not used, as AWS does."""
    names = request.get("ExpressionAttributeNames", NO_VALUES)
    values = request.get("ExpressionAttributeValues", NO_VALUES)
    used = expressions.placeholders(texts)
    if used != (names.keys(), values.keys()):
        raise failed("ValidationException", f"placeholders used {used}, given {[*names, *values]}")
    return expressions.Place(names, values)


def _rank(key):
    return (key.partition,) if key.sort is None else (key.partition, key.sort)


def _in_order(table):
    """A scan's order means nothing, but must be the same at its next page."""
    return sorted(
        table.items, key=attrgetter("partition") if table.keys.sort is None else attrgetter("partition", "sort")
    )
