"""The decision as an item of a table of the user's: read with GetItem, by whoever reads DynamoDB anyway."""

from collections.abc import Mapping
from typing import Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from daemon.sections import DynamoDbItem
from daemon.signal.document import Document
from daemon.signal.publisher import PublishFailed, outdated, told


class ItemPublisher:
    """`signal.dynamodb_item`. The item's other attributes stay as they are.

    One conditional write (developer guide, "Condition expressions"): it is refused where the item tells of a newer
    epoch, or of a newer instant of this one. Sent twice it does the same.
    """

    every_seconds = 5.0

    def __init__(self, client: Any, options: DynamoDbItem) -> None:
        self._client = client
        self._options = options
        self.name = f"signal.dynamodb_item in {options.table}"

    def publish(self, document: Document) -> None:
        """Set our attributes. Raises PublishFailed."""
        values = _attributes(document)
        try:
            self._client.update_item(
                TableName=self._options.table,
                Key={name: _scalar(value) for name, value in self._options.key.items()},
                UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in values),
                ConditionExpression="attribute_not_exists(#epoch) OR #epoch < :epoch "
                "OR (#epoch = :epoch AND #published_at <= :published_at)",
                ExpressionAttributeNames={f"#{name}": name for name in values},
                ExpressionAttributeValues={f":{name}": value for name, value in values.items()},
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            raise self._refused(document, error) from error
        except BotoCoreError as error:
            raise PublishFailed(f"{self.name} cannot be reached: {error}") from error

    def _refused(self, document: Document, error: ClientError) -> PublishFailed:
        code = error.response["Error"]["Code"]
        if code == "ConditionalCheckFailedException":
            found: Mapping[str, Any] = error.response.get("Item", {})
            epoch = found.get("epoch", {}).get("N", "unknown")
            return outdated(self.name, document, epoch, found.get("published_at", {}).get("S", ""))
        return PublishFailed(
            f"{self.name} cannot be written: {error}. The table and the key's attributes must be those of the option; "
            "the control table's credentials need dynamodb:UpdateItem on it"
        )


def _attributes(document: Document) -> dict[str, dict[str, Any]]:
    text = msgspec.json.encode(document).decode()
    return {**{name: _scalar(value) for name, value in told(document)._asdict().items()}, "document": {"S": text}}


def _scalar(value: str | int) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"BOOL": value}
    return {"S": value} if isinstance(value, str) else {"N": str(value)}
