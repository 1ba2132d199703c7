"""Bugs in what a wide partition is told by, in files read side by side, and in the count of what TTL deleted."""

from mutants.mutant import BACKFILL, PROCESSOR, STREAM, Mutant

SUMMARY = "daemon/partitions.py"

PARTITIONS = (
    Mutant(
        "whatever a service has written counts as expired",
        "an operator sees deletions by TTL that are none",
        STREAM,
        '    if who is None or found.event != "REMOVE":',
        "    if who is None:",
        "tests/unit/test_stream.py",
    ),
    Mutant(
        "one casing of who deleted it is forgotten",
        "deletions by TTL pass for the application's",
        STREAM,
        "TTL_TYPE in (who.type, who.type_upper)",
        "who.type == TTL_TYPE",
        "tests/unit/test_stream.py",
    ),
    Mutant(
        "a shard forgets what expired in its earlier pages",
        "the count falls back at each page",
        PROCESSOR,
        "expired=state.expired + sum(event.expired for event in events)",
        "expired=sum(event.expired for event in events)",
        "tests/unit/test_ttl.py",
    ),
    Mutant(
        "a partition that comes late counts as seen from the first item on",
        "a lower bound is told as exact",
        SUMMARY,
        "counters[change.key.partition] = Counter(missed_bytes=self.cut)",
        "counters[change.key.partition] = Counter()",
        "tests/property/test_partitions.py",
    ),
    Mutant(
        "what was cut is forgotten",
        "partitions that are not counted are told to be smaller than they are",
        SUMMARY,
        "        self.cut += cut\n",
        "        self.cut = cut\n",
        "tests/property/test_partitions.py",
    ),
    Mutant(
        "a merge takes what the other has not counted for nothing",
        "of several workers' figures a lower bound is told as exact",
        SUMMARY,
        "                counter.missed_bytes += other.cut\n",
        "                counter.missed_bytes += 0\n",
        "tests/property/test_partitions.py",
    ),
    Mutant(
        "any partition is cut, not the one behind the largest",
        "too little is cut for the memory, or too much for the promise",
        SUMMARY,
        ", reverse=True)[self.counted]",
        ")[self.counted]",
        "tests/property/test_partitions.py",
    ),
    Mutant(
        "a batch is counted before it is delivered",
        "one that comes again counts twice",
        SUMMARY,
        "        rejections = into(changes)\n        summary.add(changes)\n",
        "        summary.add(changes)\n        rejections = into(changes)\n",
        "tests/property/test_partitions.py",
    ),
    Mutant(
        "parts side by side are one after the other",
        "one partition of the target gets every write",
        BACKFILL,
        "turns = under_way.popleft()",
        "turns = under_way.pop()",
        "tests/property/test_interleave.py",
    ),
    Mutant(
        "every worker begins at the same place of the manifest",
        "neighbours, which may be of one partition, are loaded at the same time",
        BACKFILL,
        "begin = run * index // of",
        "begin = 0",
        "tests/property/test_interleave.py",
    ),
    Mutant(
        "a fault of one part ends those beside it",
        "a damaged file keeps the good ones from being loaded",
        BACKFILL,
        "        except FAULTS as error:",
        "        except (TooManyDeadLetters, BoxUnavailable) as error:",
        "tests/property/test_interleave.py",
    ),
    Mutant(
        "a page is accounted for before it is delivered",
        "after a crash its rows are nowhere",
        BACKFILL,
        "        applied = skipped = 0\n",
        "        yield _accounted(part, page, len(page.rows), 0)\n        applied = skipped = 0\n",
        "tests/property/test_interleave.py",
    ),
)
