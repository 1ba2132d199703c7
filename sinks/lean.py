"""Keeps out of a process what a library imports, and what nobody here uses."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any


@contextmanager
def without(*modules: str) -> Iterator[None]:
    """Whatever is imported in this block finds these optional modules missing, as if they were not installed.

    `None` in `sys.modules` is Python's own way to say so ("The import system", "The module cache"). A module that is
    there already stays, and after the block each can be imported as ever. Only for modules that the importer can do
    without: it gets a ModuleNotFoundError.
    """
    with _in_place(dict.fromkeys(modules)):
        yield


@contextmanager
def hollow(*modules: str) -> Iterator[None]:
    """Whatever is imported in this block gets empty modules for these, in which every name is None.

    For what an importer cannot do without, though only a part of it that nobody here calls ever looks inside. As with
    `without`, a module that is there already stays, and after the block each can be imported as ever.
    """
    with _in_place({module: _Hollow(module) for module in modules}):
        yield


class _Hollow(ModuleType):
    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


@contextmanager
def _in_place(modules: Mapping[str, ModuleType | None]) -> Iterator[None]:
    placed: Any = {name: module for name, module in modules.items() if name not in sys.modules}
    sys.modules.update(placed)  # typeshed knows of modules only, not of None
    try:
        yield
    finally:
        for name in placed:
            sys.modules.pop(name, None)
