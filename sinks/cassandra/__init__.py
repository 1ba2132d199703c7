"""ScyllaDB and Cassandra over CQL: one row per item, ordered by its own write timestamps."""
