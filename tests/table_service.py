"""As much of DynamoDB's control plane as cloning asks for: what DynamoDB Local lacks (tags, classes, keys, waiting).

Each request is checked against the API model that botocore ships, so that a member that AWS does not know fails here.
"""

import copy

import botocore.session
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator

MODEL = botocore.session.get_session().get_service_model("dynamodb")


def refused(code, message="refused"):
    return ClientError({"Error": {"Code": code, "Message": message}}, "Fake")


class TableService:
    """boto3's client. A table and an index become ACTIVE after `looks` descriptions of them."""

    def __init__(self, *, account="111111111111", region="eu-west-1", looks=2):
        self._place = f"arn:aws:dynamodb:{region}:{account}:table/"
        self._looks = looks
        self.tables, self.tags, self.calls, self.refusals = {}, {}, [], []

    def describe_table(self, **request):
        self._checked("DescribeTable", request)
        table = self._table(request["TableName"])
        shown = copy.deepcopy(table)
        self._ripen(table)
        return {"Table": shown}

    def create_table(self, **request):
        self._checked("CreateTable", request)
        self._asked("create_table", request)
        name = request["TableName"]
        if name in self.tables:
            raise refused("ResourceInUseException")
        self.tables[name] = self._described(request)
        self.tags[self._place + name] = {tag["Key"]: tag["Value"] for tag in request.get("Tags", ())}

    def update_table(self, **request):
        self._checked("UpdateTable", request)
        self._asked("update_table", request)
        table = self._table(request["TableName"])
        if table["TableStatus"] != "ACTIVE" or any(i["IndexStatus"] != "ACTIVE" for i in _indexes(table)):
            raise refused("ResourceInUseException")
        (update,) = request["GlobalSecondaryIndexUpdates"]  # AWS takes one at a time
        index = {**update["Create"], "IndexStatus": "CREATING", "left": self._looks}
        table.setdefault("GlobalSecondaryIndexes", []).append(index)

    def list_tags_of_resource(self, **request):
        self._checked("ListTagsOfResource", request)
        return {"Tags": [{"Key": k, "Value": v} for k, v in self.tags[request["ResourceArn"]].items()]}

    def close(self):
        """Nothing is open."""

    def made(self, name="moved"):
        """The request that created the table."""
        return next(r for method, r in self.calls if method == "create_table" and r["TableName"] == name)

    def _checked(self, operation, request):
        report = ParamValidator().validate(request, MODEL.operation_model(operation).input_shape)
        assert not report.has_errors(), report.generate_report()

    def _asked(self, method, request):
        self.calls.append((method, request))
        if self.refusals:
            raise self.refusals.pop(0)

    def _table(self, name):
        if name not in self.tables:
            raise refused("ResourceNotFoundException")
        return self.tables[name]

    def _described(self, request):
        table = {name: copy.deepcopy(value) for name, value in request.items() if name not in _OTHERWISE}
        table |= {"TableStatus": "CREATING", "left": self._looks, "TableArn": self._place + request["TableName"]}
        if request.get("BillingMode") == "PAY_PER_REQUEST":
            table["BillingModeSummary"] = {"BillingMode": "PAY_PER_REQUEST"}
        if "TableClass" in request:
            table["TableClassSummary"] = {"TableClass": request["TableClass"]}
        if "SSESpecification" in request:
            kept = request["SSESpecification"]
            table["SSEDescription"] = {"SSEType": "KMS", "KMSMasterKeyArn": kept.get("KMSMasterKeyId", "managed")}
        for index in _indexes(table):
            index["IndexStatus"] = "ACTIVE"
        return table

    def _ripen(self, table):
        for thing, status in ((table, "TableStatus"), *((index, "IndexStatus") for index in _indexes(table))):
            thing["left"] = thing.get("left", 0) - 1
            if thing["left"] <= 0:
                thing[status] = "ACTIVE"


_OTHERWISE = ("BillingMode", "TableClass", "SSESpecification", "Tags")


def _indexes(table):
    return table.get("GlobalSecondaryIndexes", [])
