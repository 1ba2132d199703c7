"""The scan against DynamoDB Local: the bytes that a server really sends, its segments, its read units."""

import threading
import time
from functools import partial

import pytest
from fakes import MemoryControl, no_letters

from daemon import scanning
from daemon.app import Parts
from daemon.apply import Ways
from daemon.backfill import load_part
from daemon.config import Config
from daemon.control import Control
from daemon.demo.specimens import SPECIMENS
from daemon.pace import Pace
from daemon.plan import plan
from daemon.preflight import CheckFailed
from daemon.settings import change, replaced
from daemon.source.export import OVERLAP_SECONDS
from daemon.source.pages import Sources, pages
from daemon.source.scan import Scanner
from sinks.memory import MemorySink

pytestmark = pytest.mark.server
ITEMS = 400
