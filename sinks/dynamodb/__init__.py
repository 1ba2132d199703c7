"""Another DynamoDB table: another account, region, or ScyllaDB's Alternator."""
