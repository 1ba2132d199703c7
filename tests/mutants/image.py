"""Bugs of what is particular to a container, each planted again."""

from mutants.mutant import Mutant

IMAGE = (
    Mutant(
        "process 1 takes note of every child's end",
        "whoever started one reads 0 where it ended badly: a gap in the stream is a normal stop",
        "daemon/pid1.py",
        "int(stat[SESSION]) not in (ours, pid)",
        "int(stat[SESSION]) > 0",
        "tests/unit/test_pid1.py",
    ),
    Mutant(
        "orphans stay behind",
        "each JVM that is killed leaves its shard processes as zombies, until no process can be started",
        "daemon/pid1.py",
        "            os.waitpid(pid, os.WNOHANG)",
        "            pass",
        "tests/unit/test_pid1.py",
    ),
    Mutant(
        "the health check takes any answer",
        "a service whose loop has stopped counts as well for ever",
        "daemon/health.py",
        "    if status != http.HTTPStatus.OK:",
        "    if status > http.HTTPStatus.NETWORK_AUTHENTICATION_REQUIRED:",
        "tests/deploy/test_health.py",
    ),
    Mutant(
        "the health check asks the default's port",
        "another server.listen is never well, and the container is restarted without end",
        "daemon/health.py",
        "    return listen if isinstance(listen, str) else None",
        "    return None",
        "tests/deploy/test_health.py",
    ),
)
