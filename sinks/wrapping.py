"""A sink around a sink: what only some sinks can do is passed on where the inner one can do it, and else not offered.

So `isinstance(wrapper, Readable)` says of a wrapper what it says of the sink in it, however many stand around it.
"""

from collections.abc import Callable, Iterator
from typing import Any

from sinks.provision import Completable, Described, Guarded, Provisioned
from sinks.sink import BulkLoad, Clocked, Droppable, Followable, Readable, Scannable

Method = Callable[..., Any]
OF_THE_SWITCH: tuple[type, ...] = (Clocked, Followable, Droppable)
OPTIONAL: tuple[type, ...] = (Readable, Scannable, BulkLoad, Described, Provisioned, Guarded, Completable)


def lend(wrapper: object, inner: object, **around: Callable[[Method], Method]) -> None:
    """Give a wrapper, in its constructor, the methods of the optional protocols that the inner sink has.

    `around` has, by the method's name, what the wrapper puts around one of them; the others are passed on as they are.
    They become attributes of the instance, where Python looks before it says that an object has a protocol: with
    methods of the class, or `__getattr__`, the answer would be the same for every inner sink, or that of one version
    of Python.
    """
    for name, method in _offered(inner):
        setattr(wrapper, name, around[name](method) if name in around else method)


def _offered(sink: object) -> Iterator[tuple[str, Method]]:
    for protocol in (*OPTIONAL, *OF_THE_SWITCH):
        if isinstance(sink, protocol):
            yield from ((name, getattr(sink, name)) for name in vars(protocol) if not name.startswith("_"))
