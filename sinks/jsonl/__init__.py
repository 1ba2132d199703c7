"""Changes as lines of JSON, in a folder or in S3."""
