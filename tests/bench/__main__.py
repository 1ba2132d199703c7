"""`make bench`: what reading an export costs, against what everybody writes; a table, and a JSON file when asked."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from daemon.control import Part
from tests.bench import contest, cql, dynamodb, lines
from tests.bench.bucket import served
from tests.bench.worker import configured


class Row(NamedTuple):
    """One line of the table."""

    what: str
    figure: str
    ratio: str = ""


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and write the file; 0."""
    asked = _asked(arguments)
    # For the null servers, which ask for nothing: whoever measures needs no account.
    os.environ.update(AWS_ACCESS_KEY_ID="bench", AWS_SECRET_ACCESS_KEY="bench")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "bench").mkdir()
        path = Path(folder) / "bench" / "lines.json.gz"
        part = lines.write(path, asked.seed, asked.lines)
        _same(path, part)
        found: dict[str, Any] = {
            "lines": asked.lines,
            "seed": asked.seed,
            "pairs": asked.pairs,
            "load_average": os.getloadavg()[0],
            "bytes_per_line": sum(map(len, lines.lines(asked.seed, 1000))) / 1000,
            "read": _read(path, part, asked.pairs),
            "resumed": _resumed(path, part, asked.pairs),
            "memory_mib": _memory(Path(folder), path, asked),
            "shard_memory_mib": _mib("tests.bench.shard", _configuration(Path(folder), "http://127.0.0.1:1")),
            "dynamodb": _dynamodb(path, part, asked),
            "cql": cql.measure(asked.pairs, max(1, asked.lines // 3), asked.seed),
        }
    _print(found)
    if asked.json:
        Path(asked.json).write_text(json.dumps(found, indent=2) + "\n")
    return 0


def _asked(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--lines", type=int, default=30_000, help="of the file that both sides read")
    parser.add_argument("--large", type=int, default=100_000, help="lines of the file for the memory of a worker")
    parser.add_argument("--puts", type=int, default=3_000, help="of them, how many conditional puts to DynamoDB")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    return parser.parse_args(arguments)


def _same(path: Path, part: Part) -> None:
    """No speed without equality: each item, with each of its attributes."""
    found = [change.item.attributes() for change in contest.loaded(path, part) if change.item is not None]
    expected = list(contest.stock(path))
    if found != expected or len(found) != part.items:
        raise AssertionError(f"{len(found)} items are not the {len(expected)} that the other side reads")


def _read(path: Path, part: Part, count: int) -> dict[str, Any]:
    taken = contest.pairs(count, lambda: contest.ours(path, part), lambda: sum(1 for _ in contest.stock(path)))
    return _figures(taken, part.items)


def _resumed(path: Path, part: Part, count: int) -> dict[str, Any]:
    begun = contest.resumed(part, part.items * 9 // 10)
    taken = contest.pairs(count, lambda: contest.ours(path, begun), lambda: contest.ours(path, part))
    return _figures(taken, part.items)


def _dynamodb(path: Path, part: Part, asked: argparse.Namespace) -> dict[str, Any] | str:
    puts = min(part.items, asked.puts)
    try:
        taken = dynamodb.measured(contest.loaded(path, part), asked.pairs, puts)
    except dynamodb.CompilerMissing as error:
        return str(error)
    return {mode: _figures(taken[mode], of) for mode, of in (("ordered", part.items), ("exact", puts))}


def _dynamodb_rows(found: dict[str, Any] | str) -> list[Row]:
    if isinstance(found, str):
        return [Row("changes -> DynamoDB: left out", found)]
    names = {"ordered": ("mode ordered, batches", "batch_write_item"), "exact": ("mode exact, puts", "put_item")}
    rows = []
    for mode, (ours, theirs) in names.items():
        rows += [
            Row(f"changes -> DynamoDB, {ours}", f"{found[mode]['items_per_second']:,} items/s", _ratio(found[mode])),
            Row(f"boto3's {theirs}", f"{found[mode]['other_items_per_second']:,} items/s", "1"),
        ]
    return rows


def _figures(taken: contest.Pairs, items: int) -> dict[str, Any]:
    return {
        "items_per_second": round(items / statistics.median(taken.ours)),
        "micros_per_item": round(statistics.median(taken.ours) / items * 1e6, 2),
        "other_items_per_second": round(items / statistics.median(taken.others)),
        "ratio": round(taken.ratio, 2),
        "range": [round(ratio, 2) for ratio in taken.range],
    }


def _memory(folder: Path, small: Path, asked: argparse.Namespace) -> dict[str, float]:
    large = small.with_name("large.json.gz")
    part = lines.write(large, asked.seed, asked.large)
    with served(folder) as endpoint_url:
        return _mib("tests.bench.worker", _configuration(folder, endpoint_url), msgspec.json.encode(part).decode())


def _configuration(folder: Path, endpoint_url: str) -> str:
    """The path of a configuration whose S3 is there."""
    path = folder / "moveout.yaml"
    path.write_text(json.dumps(configured(endpoint_url)))  # YAML is a superset
    return str(path)


def _mib(module: str, *arguments: str) -> dict[str, float]:
    """What a process of its own says of its memory."""
    command = [sys.executable, "-m", module, *arguments]
    ran = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
    return {step: round(mib, 1) for step, mib in json.loads(ran.stdout).items()}


def _print(found: dict[str, Any]) -> None:
    read, resumed, memory = found["read"], found["resumed"], found["memory_mib"]
    rows = [
        Row("export file -> changes, one core", f"{read['items_per_second']:,} items/s", _ratio(read)),
        Row("gzip + json + TypeDeserializer", f"{read['other_items_per_second']:,} items/s", "1"),
        Row("resumed at 90 % of a file, against all of it", f"{resumed['micros_per_item']} us/item", _ratio(resumed)),
        Row("memory of a worker at its peak", f"{memory['peak']} MiB"),
        Row("  of which Python itself", f"{memory['python']} MiB"),
        Row("  and the modules", f"{memory['modules'] - memory['python']:.1f} MiB"),
        Row("  and botocore's clients, S3 and DynamoDB", f"{memory['clients'] - memory['modules']:.1f} MiB"),
        Row("  and the CQL driver", f"{memory['driver'] - memory['clients']:.1f} MiB"),
        Row("  and what reading takes", f"{memory['peak'] - memory['driver']:.1f} MiB"),
        Row("memory of a shard's process, before a record", f"{found['shard_memory_mib']['peak']} MiB"),
        *_dynamodb_rows(found["dynamodb"]),
    ]
    rows += [Row(*line) for line in cql.lines_of(found["cql"])]
    say: Callable[[str], Any] = partial(print, flush=True)
    say(
        f"{found['lines']:,} lines of {found['bytes_per_line']:.0f} bytes, seed {found['seed']}, "
        f"{found['pairs']} pairs in turns, load average {found['load_average']:.1f}\n"
    )
    for row in rows:
        say(f"{row.what:<46}{row.figure:>20}   {row.ratio}")


def _ratio(figures: dict[str, Any]) -> str:
    low, high = figures["range"]
    return f"{figures['ratio']:.1f}x ({low:.1f} to {high:.1f})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
