"""The CQL lane: prepared statements over sockets of our own, many in flight. sinks/README.md tells why and when."""
