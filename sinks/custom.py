"""A sink of somebody else's, named as `package.module:factory`. What it promises: sink.py; how to write one: README."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from sinks.change import KeySchema
from sinks.sink import Sink, SinkError, SinkMisconfigured

FactoryName = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$")]
Factory = Callable[[Mapping[str, Any], KeySchema], Sink]
METHODS = ("open", "apply", "close")


class CustomOptions(BaseModel):
    """Whose sink it is. `options` are its own: moveout does not look into them, nor log them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["custom"] = "custom"
    sink: FactoryName = Field(description="package.module:factory; the factory is called with options and key.")
    options: dict[str, Any] = Field(default={}, repr=False, description="What the factory is called with.")

    create_table: ClassVar[bool] = False  # whether it makes its own table is said in its own options


def loaded(options: CustomOptions, keys: KeySchema) -> Sink:
    """A new sink of the factory's, not open yet. Raises SinkMisconfigured; what the factory raises on purpose too."""
    factory = _factory(options.sink)
    try:
        made = factory(options.options, keys)
    except SinkError:
        raise
    except Exception as error:
        # The options may hold what must not be logged; the error's own words are the factory's business.
        raise SinkMisconfigured(
            f"target.sink: {options.sink} does not take these options or this key ({keys}): "
            f"{type(error).__name__}: {error}. Look at target.options"
        ) from error
    lacking = [method for method in METHODS if not callable(getattr(made, method, None))]
    if lacking:
        raise SinkMisconfigured(
            f"target.sink: {options.sink} returned a {type(made).__name__}, which is no sink: it lacks "
            f"{', '.join(lacking)} (the contract is in sinks/sink.py)"
        )
    return made


def _factory(name: str) -> Factory:
    module_name, _, attribute = name.partition(":")
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise SinkMisconfigured(f"target.sink: {module_name} needs a module that is not there: {error}") from error
        raise SinkMisconfigured(
            f"target.sink: there is no module {module_name!r}: install it beside moveout, or name its folder in "
            "PYTHONPATH (for the service and its child processes)"
        ) from error
    except Exception as error:
        raise SinkMisconfigured(
            f"target.sink: {module_name} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    found: Factory | None = getattr(module, attribute, None)
    if found is None:
        raise SinkMisconfigured(f"target.sink: {module_name} ({module.__file__}) has no {attribute!r}")
    if not callable(found):
        raise SinkMisconfigured(f"target.sink: {name} cannot be called: it must be a factory(options, keys)")
    return found
