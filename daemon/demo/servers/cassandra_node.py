"""A real Apache Cassandra 5 node from Maven's jars, made small: one node, one token, a heap of 512 MiB."""

import json
import os
import socket
import ssl
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from daemon.demo.servers.process import ServerProcess, free_port
from daemon.java import jars
from daemon.java.jre import java

START_SECONDS_MAX = 150.0
# Cassandra 5.0 runs on 11 and 17 and does not start on 21 and newer.
JAVA_MIN, JAVA_MAX = 17, 20
CQL_READY, CQL_AUTHENTICATE = 2, 3

# conf/jvm17-server.options of Cassandra 5.0: the part that it does not start without.
OPENS = [
    "java.base/java.io",
    "java.base/java.lang",
    "java.base/java.lang.module",
    "java.base/java.lang.reflect",
    "java.base/java.math",
    "java.base/java.net",
    "java.base/java.nio",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.util.jar",
    "java.base/sun.nio.ch",
    "java.rmi/sun.rmi.transport",
    "java.rmi/sun.rmi.transport.tcp",
    "jdk.management/com.sun.management.internal",
    "jdk.management.agent/jdk.internal.agent",
]
EXPORTS = [
    "java.base/jdk.internal.misc",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.perf",
    "java.base/sun.nio.ch",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.rmi/sun.rmi.transport.tcp",
    "java.sql/java.sql",
    "jdk.attach/sun.tools.attach",
    "jdk.compiler/com.sun.tools.javac.file",
    "jdk.naming.dns/com.sun.jndi.dns",
    "jdk.unsupported/sun.misc",
]
# What is confirmed is on disk. As it is by default a crash takes along what it confirmed in its last moments: nobody
# else has it where there is one copy (Cassandra's documentation, "Commit log").
SYNCED: Mapping[str, Any] = {"commitlog_sync": "batch", "commitlog_sync_period": None}
LOGBACK = """<configuration>
  <appender name="FILE" class="ch.qos.logback.core.FileAppender"><file>{log}</file>
    <encoder><pattern>%-5level %d{{HH:mm:ss.SSS}} %logger{{20}} %msg%n</pattern></encoder></appender>
  <root level="INFO"><appender-ref ref="FILE"/></root>
</configuration>
"""


class CassandraNode:
    """One server process; ready when it answers a CQL STARTUP.

    `settings` go over those of cassandra.yaml (None: leave it out), `properties` over the JVM's; `tls` is how to ask a
    node that speaks nothing else.
    """

    def __init__(
        self,
        folder: Path,
        heap_mib: int = 512,
        *,
        host: str = "127.0.0.1",
        settings: Mapping[str, Any] | None = None,
        properties: Mapping[str, object] | None = None,
        tls: ssl.SSLContext | None = None,
        start_seconds_max: float = START_SECONDS_MAX,
    ) -> None:
        self._folder = folder
        self._heap_mib, self._start_seconds_max = heap_mib, start_seconds_max
        self._process = ServerProcess("Cassandra", folder / "system.log")
        self._storage_port, self._jmx_port = free_port(), free_port()
        self.host = host
        self._own_settings, self._own_properties, self._tls = settings or {}, properties or {}, tls
        self.port: int = self._own_settings.get("native_transport_port") or free_port()

    def start(self) -> Self:
        """Start it; returns when it answers, after 10 s or more. Raises ServerFailed, JarsUnavailable, JavaMissing."""
        for name in ("conf", "tmp", "data"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        conf = self._folder / "conf"
        # JSON is YAML, so no YAML library is needed.
        (conf / "cassandra.yaml").write_text(json.dumps(self._settings(), indent=1))
        (conf / "logback.xml").write_text(LOGBACK.format(log=self._process.log))
        # TMPDIR is for the native library under JNA, which does not heed java.io.tmpdir.
        own = {"CASSANDRA_FOREGROUND": "yes", "TMPDIR": str(self._folder / "tmp")}
        self._process.start(self._command(conf), {**os.environ, **own})
        self._process.wait_until(self.answers, self._start_seconds_max)
        return self

    def answers(self) -> bool:
        """True when the node replies READY (or AUTHENTICATE) to a CQL v4 STARTUP."""
        body = struct.pack(">H", 1) + b"\x00\x0bCQL_VERSION\x00\x053.0.0"
        try:
            plain = socket.create_connection((self.host, self.port), timeout=1)
            tls = self._tls
            with plain, plain if tls is None else tls.wrap_socket(plain, server_hostname=self.host) as connection:
                connection.sendall(struct.pack(">BBhBI", 4, 0, 0, 1, len(body)) + body)
                head = connection.recv(9)
        except OSError:
            return False
        return head[4:5] in (bytes([CQL_READY]), bytes([CQL_AUTHENTICATE]))

    def stop(self) -> None:
        """End it well: it drains first."""
        self._process.stop(grace_seconds=30)

    def kill(self) -> None:
        """End it as a crash does; `start` brings it back with what was durable."""
        self._process.kill()

    def freeze(self) -> None:
        """Answer nothing, with connections open."""
        self._process.freeze()

    def thaw(self) -> None:
        """Go on."""
        self._process.thaw()

    def _settings(self) -> Mapping[str, Any]:
        """cassandra.yaml: the least that a node needs, with small buffers."""
        folder = str(self._folder)
        seeds = {"class_name": "org.apache.cassandra.locator.SimpleSeedProvider", "parameters": [{"seeds": self.host}]}
        settings = {
            "cluster_name": "moveout",
            "num_tokens": 1,
            "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner",
            "data_file_directories": [f"{folder}/data"],
            "commitlog_directory": f"{folder}/commitlog",
            "saved_caches_directory": f"{folder}/saved",
            "hints_directory": f"{folder}/hints",
            "cdc_raw_directory": f"{folder}/cdc",
            "commitlog_sync": "periodic",
            "commitlog_sync_period": "1000ms",
            "commitlog_segment_size": "32MiB",
            "commitlog_total_space": "256MiB",
            "endpoint_snitch": "SimpleSnitch",
            "seed_provider": [seeds],
            "listen_address": self.host,
            "rpc_address": self.host,
            "storage_port": self._storage_port,
            "native_transport_port": self.port,
            "start_native_transport": True,
            "auto_snapshot": False,
            "auto_bootstrap": False,
            "materialized_views_enabled": True,
            "memtable_heap_space": "128MiB",
            "memtable_offheap_space": "128MiB",
            "concurrent_writes": 16,
            "concurrent_reads": 16,
            "concurrent_compactors": 1,
            "networking_cache_size": "16MiB",
            "file_cache_size": "32MiB",
            "key_cache_size": "8MiB",
            "row_cache_size": "0MiB",
            "counter_cache_size": "0MiB",
            **self._own_settings,
        }
        return {name: value for name, value in settings.items() if value is not None}

    def _command(self, conf: Path) -> list[str]:
        library, tmp = jars.ensure("cassandra"), self._folder / "tmp"
        memory_meter = next(library.glob("jamm-*.jar"))
        heap = [f"-Xms{self._heap_mib}M", f"-Xmx{self._heap_mib}M", "-Xss256k", "-XX:MaxDirectMemorySize=512M"]
        modules = [f"--add-opens={name}=ALL-UNNAMED" for name in OPENS]
        modules += [f"--add-exports={name}=ALL-UNNAMED" for name in EXPORTS]
        properties = {
            "jdk.attach.allowAttachSelf": "true",
            "java.net.preferIPv4Stack": "true",
            "io.netty.tryReflectionSetAccessible": "true",
            "jna.nosys": "true",
            "java.io.tmpdir": tmp,
            "jna.tmpdir": tmp,
            "cassandra.config": f"file://{conf}/cassandra.yaml",
            "logback.configurationFile": conf / "logback.xml",
            "cassandra.storagedir": self._folder,
            "cassandra.jmx.local.port": self._jmx_port,
            # One node has nobody to wait for.
            "cassandra.superuser_setup_delay_ms": 0,
            "cassandra.skip_wait_for_gossip_to_settle": 0,
            "cassandra.ring_delay_ms": 1000,
            "cassandra.expiring_map_delay": 100,
            **self._own_properties,
        }
        options = [f"-D{name}={value}" for name, value in properties.items()]
        # It lives for minutes: the second compiler would cost it more than it gives while
        # its JIT is cold it takes a third of the rows.
        flags = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData", f"-javaagent:{memory_meter}"]
        main = ["-cp", f"{conf}:{library}/*", "org.apache.cassandra.service.CassandraDaemon"]
        return [str(java(JAVA_MIN, JAVA_MAX)), *heap, *flags, *options, *modules, *main]

    def __enter__(self) -> Self:
        """Started."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Ended."""
        self.stop()
