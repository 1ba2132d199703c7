"""The health check of an image: exit code 0 when `moveout run` beside it turns, `python -m daemon.health`.

Without pydantic: it runs every half minute, in the memory of the service. Kubernetes asks /livez itself.
"""

import http.client
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

# As daemon/config.py and daemon/sections.py have them; compared by tests/deploy/test_health.py.
CONFIG_VARIABLE, LISTEN_VARIABLE = "MOVEOUT_CONFIG", "MOVEOUT_SERVER__LISTEN"
LISTEN, CONFIG = "127.0.0.1:8080", "moveout.yaml"
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  asked, not listened on
TIMEOUT_SECONDS = 4.0


def main(environment: Mapping[str, str] = os.environ) -> int:
    """1, and why on stderr, when /livez is not 200 or does not answer."""
    host, port = address(environment)
    asked = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    try:
        asked.request("GET", "/livez")
        answer = asked.getresponse()
        status, why = answer.status, answer.read(200).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        sys.stderr.write(f"http://{host}:{port}/livez cannot be asked: {error}\n")
        return 1
    finally:
        asked.close()
    if status != http.HTTPStatus.OK:
        sys.stderr.write(f"http://{host}:{port}/livez says {status}: {why}\n")
        return 1
    return 0


def address(environment: Mapping[str, str]) -> tuple[str, int]:
    """Host and port of `server.listen`: by the environment, else by the file, else the default."""
    listen = environment.get(LISTEN_VARIABLE) or _of_file(Path(environment.get(CONFIG_VARIABLE) or CONFIG)) or LISTEN
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    return EVERYWHERE.get(host, host), int(port)


def _of_file(path: Path) -> str | None:
    """None where it does not say. A file that cannot be read is told by the service, at its own start."""
    try:
        read = yaml.safe_load(path.read_text())
    except (OSError, ValueError, yaml.YAMLError):
        return None
    server = read.get("server") if isinstance(read, dict) else None
    listen = server.get("listen") if isinstance(server, dict) else None
    return listen if isinstance(listen, str) else None


if __name__ == "__main__":
    sys.exit(main())
