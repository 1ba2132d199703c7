"""All that an engine can see of a configuration: each field and each property of each section, with its type.

Run by itself it is a lean process, which has its configuration handed on: `python option_values.py CONFIG`.
"""

import json
import sys
from datetime import datetime


def seen(value):
    """JSON. What a property raises is seen as well."""
    if isinstance(value, list | tuple):
        return [type(value).__name__, *(seen(one) for one in value)]
    if isinstance(value, datetime):
        return ["datetime", value.isoformat()]  # pydantic's own time zone is the same one by another name
    if type(value).__module__ in ("builtins", "pathlib"):
        return [type(value).__name__, repr(value)]
    properties = [name for name in dir(type(value)) if isinstance(getattr(type(value), name), property)]
    own = [name for name in properties if not name.startswith(("_", "model_"))]
    return [type(value).__qualname__, {name: _got(value, name) for name in (*vars(value), *own)}]


def _got(value, name):
    try:
        return seen(getattr(value, name))
    except (KeyError, OSError) as error:
        return [type(error).__name__, str(error)]


if __name__ == "__main__":
    from daemon import handed_on
    from sinks import unchecked

    unchecked.stand_in()
    given = handed_on.given(sys.argv[1])
    assert "pydantic_core" not in sys.modules
    print(json.dumps(seen(given)))
