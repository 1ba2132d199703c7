"""Bugs of the way in to a CQL target, of foreign sinks and of sinks around sinks."""

from mutants.mutant import Mutant

CQL_ACCESS = (
    Mutant(
        "a refused certificate is a fault of the row",
        "every row becomes a dead letter: the error is a ValueError as well",
        "sinks/cassandra/errors.py",
        "    (ssl.SSLCertVerificationError, MISCONFIGURED),\n",
        "",
        "tests/unit/test_cql_errors.py",
    ),
    Mutant(
        "a node that cannot look up its roles refuses our password",
        "one node of system_auth is away, and the move stops for a person",
        "sinks/cassandra/errors.py",
        'COULD_NOT_ASK = "Unable to perform auth"',
        'COULD_NOT_ASK = "no such words"',
        "tests/unit/test_cql_errors.py",
    ),
    Mutant(
        "host names are not checked",
        "whoever has a certificate of the same authority gets the rows and the password",
        "sinks/cassandra/access.py",
        "    context.check_hostname = tls.check_hostname",
        "    context.check_hostname = False",
        "tests/unit/test_cql_access.py",
    ),
    Mutant(
        "a password is read once for a process",
        "a restart of the sink after a rotation still has the old one",
        "sinks/cassandra/access.py",
        "            return os.environ[options.password_env]",
        "            return os.__dict__.setdefault('kept', os.environ[options.password_env])",
        "tests/unit/test_cql_access.py",
    ),
    Mutant(
        "a password that cannot be read is quoted",
        "it stands in the log",
        "sinks/cassandra/access.py",
        "        return raw.decode()\n    except UnicodeDecodeError:\n        return None",
        "        return raw.decode()\n    except UnicodeDecodeError:\n        raise SinkMisconfigured(str(raw))",
        "tests/unit/test_cql_access.py",
    ),
    Mutant(
        "a sink from outside lacks a method and is taken",
        "it fails in the middle of the move",
        "sinks/custom.py",
        'METHODS = ("open", "apply", "close")',
        "METHODS = ()",
        "tests/unit/test_custom_sink.py",
    ),
    Mutant(
        "a wrapper offers what its sink cannot do",
        "rows are loaded by a way in that is not there",
        "sinks/wrapping.py",
        "        if isinstance(sink, protocol):",
        "        if hasattr(sink, 'open'):",
        "tests/unit/test_wrapping.py",
    ),
    Mutant(
        "a wrapper hides what its sink can do",
        "the sweep at the end of a load is left out",
        "sinks/wrapping.py",
        "OPTIONAL: tuple[type, ...] = (Readable, Scannable, BulkLoad, Described, Provisioned, Guarded, Completable)",
        "OPTIONAL: tuple[type, ...] = (Readable, Scannable, Described, Provisioned, Guarded, Completable)",
        "tests/unit/test_retry.py",
    ),
)
