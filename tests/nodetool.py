"""Cassandra's own tool, out of the jars of the node."""

import subprocess

from daemon.demo.servers.cassandra_node import EXPORTS
from daemon.java import jars
from daemon.java.jre import java


def nodetool(node, *arguments):
    library, folder = jars.ensure("cassandra"), node._folder
    places = {"cassandra.config": f"file://{folder}/conf/cassandra.yaml", "cassandra.storagedir": folder}
    # It writes down what it was asked in the home folder, which must not be that of this machine.
    places |= {"java.io.tmpdir": folder, "user.home": folder}
    options = [f"-D{name}={value}" for name, value in places.items()]
    options += [f"--add-exports={name}=ALL-UNNAMED" for name in EXPORTS]
    tool = ["org.apache.cassandra.tools.NodeTool", "-h", node.host, "-p", str(node._jmx_port)]
    command = [str(java(17, 20)), "-XX:-UsePerfData", *options, "-cp", f"{library}/*", *tool, *arguments]
    told = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert told.returncode == 0, told.stdout + told.stderr
