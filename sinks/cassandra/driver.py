"""The CQL driver, without what it would import only because it is installed.

numpy came with it (12 MiB of VmRSS): the driver offers rows as numpy arrays, and asks at its import whether it can
(cassandra/cython_deps.py). Its event loops for twisted, eventlet and gevent ask for `deprecated` first, which brings
wrapt (1 MiB). We read rows as tuples, on libev or asyncore.
"""

from sinks.lean import without

with without("numpy", "deprecated"):
    import cassandra
    from cassandra import ConsistencyLevel, connection, protocol
    from cassandra.auth import PlainTextAuthProvider
    from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable, Session
    from cassandra.connection import ConnectionException
    from cassandra.policies import (
        ConstantReconnectionPolicy,
        DCAwareRoundRobinPolicy,
        FallthroughRetryPolicy,
        TokenAwarePolicy,
    )
    from cassandra.protocol import OverloadedErrorMessage
    from cassandra.query import UNSET_VALUE, BatchStatement, BatchType, BoundStatement, SimpleStatement

__all__ = [
    "EXEC_PROFILE_DEFAULT",
    "UNSET_VALUE",
    "BatchStatement",
    "BatchType",
    "BoundStatement",
    "Cluster",
    "ConnectionException",
    "ConsistencyLevel",
    "ConstantReconnectionPolicy",
    "DCAwareRoundRobinPolicy",
    "ExecutionProfile",
    "FallthroughRetryPolicy",
    "NoHostAvailable",
    "OverloadedErrorMessage",
    "PlainTextAuthProvider",
    "Session",
    "SimpleStatement",
    "TokenAwarePolicy",
    "cassandra",
    "connection",
    "protocol",
]
