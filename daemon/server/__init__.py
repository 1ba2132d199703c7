"""HTTP: metrics, health, the signal and flags. Reads only; what changes state is the command line."""

from daemon.server.application import application
from daemon.server.listening import ListenFailed, serving
from daemon.server.view import View

__all__ = ["ListenFailed", "View", "application", "serving"]
