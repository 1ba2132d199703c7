"""Bugs that tools of this kind have had, or that our own first drafts had: every tuple of mutants in this folder."""

import importlib
from pathlib import Path

from mutants.mutant import Mutant

SUBJECTS = sorted(path.stem for path in Path(__file__).parent.glob("*.py"))
NO_SUBJECTS = {"catalogue", "mutant", "run", "test_catalogue"}


def _planted(subject):
    module = importlib.import_module(f"mutants.{subject}")
    lists = [found for name, found in vars(module).items() if name.isupper() and isinstance(found, tuple)]
    return [mutant for one in lists for mutant in one if isinstance(mutant, Mutant)]


MUTANTS = tuple(mutant for subject in SUBJECTS if subject not in NO_SUBJECTS for mutant in _planted(subject))
