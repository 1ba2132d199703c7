"""A table that can be scanned, with what a scan can meet: segments, pages, read units, throttling, lost answers."""

import json
import math

from botocore.exceptions import ClientError, HTTPClientError

UNIT_BYTES = 4096


class SimulatedTime:
    """daemon.clock.Clock on which nothing takes time but sleeping, and what a test lets take time."""

    def __init__(self):
        self.now = 1_700_000_000.0
        self.asleep = lambda: None

    def time(self):
        return self.now

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        assert seconds > 0
        self.now += seconds
        self.asleep()


class ScannedTable:
    """Answers Scan requests as bytes. `faults` are met one by one, None is a good answer.

    "throttled": refused, nothing is read. "lost": read and paid for, but nobody hears of it. "cut": half an answer.
    "refused": no right. `spent` has the units of each page, with the time.
    """

    def __init__(self, count, clock=None, *, item_bytes=40, page_bytes=1000):
        self.items = [{"id": {"S": f"{n}"}, "x": {"S": "x" * item_bytes}} for n in range(count)]
        self.clock = clock or SimulatedTime()
        self.page_bytes = page_bytes
        self.faults, self.requests, self.spent = [], [], []

    def send(self, request):
        request = json.loads(json.dumps(request, default=lambda raw: json.loads(bytes(raw))))
        self.requests.append(request)
        fault = self.faults.pop(0) if self.faults else None
        if fault in ("throttled", "refused"):
            code = {"throttled": "ProvisionedThroughputExceededException", "refused": "AccessDeniedException"}[fault]
            raise ClientError({"Error": {"Code": code, "Message": fault}}, "Scan")
        answer = self._answer(request)
        if fault == "lost":
            raise HTTPClientError(error=TimeoutError("timed out"))
        body = json.dumps(answer, separators=(",", ":")).encode()
        return body[: len(body) // 2] if fault == "cut" else body

    def _answer(self, request):
        left = [n for n in range(len(self.items)) if n % request["TotalSegments"] == request["Segment"]]
        if "ExclusiveStartKey" in request:
            after = int(request["ExclusiveStartKey"]["id"]["S"])
            left = [n for n in left if n > after]
        page, size = [], 0
        while len(page) < min(len(left), request.get("Limit", math.inf)) and size < self.page_bytes:
            page.append(self.items[left[len(page)]])
            size += len(json.dumps(page[-1]))
        units = max(0.5, math.ceil(size / UNIT_BYTES) * (1.0 if request["ConsistentRead"] else 0.5))
        self.spent.append((self.clock.now, units))
        more = {"LastEvaluatedKey": {"id": page[-1]["id"]}} if len(page) < len(left) else {}
        return {"Items": page, "ConsumedCapacity": {"TableName": "t", "CapacityUnits": units}, **more}
