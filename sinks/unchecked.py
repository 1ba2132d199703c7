"""In pydantic's place, in a process whose options somebody else has checked: classes that hold values.

A process that moves rows reads its configuration once, and pydantic with the schemas of all options was a quarter of
its memory. The same class statements make classes with the same fields, properties and defaults here; what only checks
is left out. The values come from a process that has checked them (daemon/handed_on.py).
"""

import sys
from copy import copy
from typing import Any, Self

MODULES = ("pydantic", "pydantic_settings")
_REQUIRED = object()


def stand_in() -> None:
    """From now on whoever imports pydantic in this process gets this module. Before the first one does.

    Raises RuntimeError when pydantic is there already: half of the options would be its own.
    """
    known = [name for name in MODULES if name in sys.modules]
    if known:
        raise RuntimeError(f"{known[0]} is imported already: call stand_in before any module with options")
    sys.modules.update(dict.fromkeys(MODULES, sys.modules[__name__]))


class BaseModel:
    """Its fields are what it is given; what is not given is the class's default."""

    def __init_subclass__(cls, **_: Any) -> None:
        for name in [name for name, value in vars(cls).items() if value is _REQUIRED]:
            delattr(cls, name)

    def __init__(self, **values: Any) -> None:
        vars(self).update(values)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: {name} cannot be set")

    def model_copy(self, *, update: dict[str, Any] | None = None) -> Self:
        """A copy with some other values, as unchecked as pydantic's."""
        copied = copy(self)
        vars(copied).update(update or {})
        return copied


BaseSettings = BaseModel


class ValidationError(Exception):
    """Never raised here."""


class Ignored:
    """All else that pydantic has: a validator, a serializer, a narrower type. As a decorator it changes nothing."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, declared: Any) -> Any:
        """What it decorates."""
        return declared


def Field(default: Any = _REQUIRED, *, default_factory: Any = None, **_: Any) -> Any:  # noqa: N802  pydantic's name
    """The default alone. One for all instances, which nobody can change."""
    return default if default_factory is None else default_factory()


def __getattr__(name: str) -> Any:
    # `__path__` and its like are the import system's questions.
    if name.startswith("__"):
        raise AttributeError(name)
    return Ignored
