"""A policy for a move: `python -m daemon.rights service --side source --with seal source_table=orders …`.

What is not named is as in the example, deploy/iam. To renew that folder: `python -m daemon.rights --write`.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from daemon.rights import policies
from daemon.rights.files import ONE_ACCOUNT, files
from daemon.rights.table import DEFAULT_OPTIONS, OPTIONS, ROLES, SIDES

FOLDER = Path(__file__).parents[2] / "deploy" / "iam"
EXIT_USAGE = 2


def main(words: Sequence[str] | None = None) -> int:
    """The exit code."""
    asked = _parser().parse_args(words)
    if asked.write:
        return _write(FOLDER)
    if asked.options:
        return _say("".join(f"{name:16} {OPTIONS[name]}{_default(name)}\n" for name in OPTIONS))
    if asked.values:
        return _say("".join(f"{name:16} {value}\n" for name, value in ONE_ACCOUNT.items()))
    if asked.role is None:
        return _refuse(f"which role? One of {', '.join(ROLES)}")
    given = dict(pair.partition("=")[::2] for pair in asked.values_given)
    unknown = [*(given.keys() - ONE_ACCOUNT.keys()), *({*asked.also, *asked.never} - OPTIONS.keys())]
    if unknown:
        return _refuse(f"not known: {', '.join(sorted(unknown))}; see --values and --options")
    options = {*DEFAULT_OPTIONS, *asked.also} - {*asked.never}
    made = policies.document(asked.role, {**ONE_ACCOUNT, **given}, asked.side or SIDES, options)
    return _say(json.dumps(made, indent=2) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m daemon.rights", description=__doc__)
    parser.add_argument("role", nargs="?", choices=list(ROLES))
    parser.add_argument("values_given", nargs="*", metavar="NAME=VALUE", help="in the place of the example's")
    parser.add_argument("--side", action="append", choices=SIDES, help="only these sides; repeat it")
    parser.add_argument("--with", dest="also", action="append", default=[], metavar="OPTION", help="repeat it")
    parser.add_argument("--without", dest="never", action="append", default=[], metavar="OPTION", help="repeat it")
    parser.add_argument("--options", action="store_true", help="list the options")
    parser.add_argument("--values", action="store_true", help="list the names, with the example's values")
    parser.add_argument("--write", action="store_true", help="renew deploy/iam")
    return parser


def _default(name: str) -> str:
    return " (on unless --without)" if name in DEFAULT_OPTIONS else ""


def _write(folder: Path) -> int:
    made = files()
    for stale in set(folder.rglob("*.json")) - {folder / name for name in made}:
        stale.unlink()
    for name, text in made.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return _say(f"{len(made)} files in {folder}\n")


def _say(text: str) -> int:
    sys.stdout.write(text)
    return 0


def _refuse(why: str) -> int:
    sys.stderr.write(why + "\n")
    return EXIT_USAGE


if __name__ == "__main__":
    sys.exit(main())
