"""Many requests over a few sockets from one thread: how rows reach DynamoDB without an object per row."""
