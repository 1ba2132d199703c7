"""A replica that tells its hooks, as a process that can be killed: `python hook_child.py ENDPOINT TABLE URL`.

It ends when nothing waits any more.
"""

import sys
import time

import boto3
import documents

from daemon.control import Control
from daemon.sections import Hook
from daemon.signal.outbox import Delivery, Outbox


def main(endpoint, table, url):
    control = Control(boto3.client("dynamodb", region_name="us-east-1", endpoint_url=endpoint), table, "orders")
    hook = Hook(on=["phase"], webhook={"url": url, "timeout_seconds": 120})
    delivery = Delivery([hook], control)
    while True:
        delivery.offer(documents.published(time.time()))
        kept = control.get("hook#0", Outbox)[0]
        if not kept.pending:
            return
        time.sleep(0.1)


if __name__ == "__main__":
    main(*sys.argv[1:])
