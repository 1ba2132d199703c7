"""Keeps out of a process what a library would import if it could, and what nobody here uses."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def without(*modules: str) -> Iterator[None]:
    """Whatever is imported in this block finds these optional modules missing, as if they were not installed.

    `None` in `sys.modules` is Python's own way to say so ("The import system", "The module cache"). A module that is
    there already stays, and after the block each can be imported as ever. Only for modules that the importer can do
    without: it gets a ModuleNotFoundError.
    """
    hidden = [module for module in modules if module not in sys.modules]
    missing: Any = dict.fromkeys(hidden)  # typeshed knows of modules only, not of None
    sys.modules.update(missing)
    try:
        yield
    finally:
        for module in hidden:
            sys.modules.pop(module, None)
