"""Bugs in how a configuration reaches a lean process."""

from mutants.mutant import Mutant

HANDED = "tests/unit/test_handed_on.py"
LEAN = (
    Mutant(
        "an option of an odd type is left out",
        "a lean process works with the default, silently",
        "daemon/handed_on.py",
        '        raise TypeError(f"an option is a',
        '        return {}\n        raise TypeError(f"an option is a',
        HANDED,
    ),
    Mutant(
        "only what a person has set is handed on",
        "fields that load_all sets, and defaults that pydantic makes, are lost",
        "daemon/handed_on.py",
        "for name in known}",
        "for name in value.model_fields_set}",
        HANDED,
    ),
    Mutant(
        "a limit without an end is JSON's null",
        "a comparison with None ends the process",
        "daemon/handed_on.py",
        "return value if math.isfinite(value) else",
        "return value if value is not None else",
        HANDED,
    ),
    Mutant(
        "a lean process reads its own pydantic",
        "17 MiB in each of them",
        "sinks/unchecked.py",
        "    sys.modules.update(dict.fromkeys(MODULES, sys.modules[__name__]))",
        "    pass",
        "tests/unit/test_lean.py",
    ),
    Mutant(
        "a refused configuration ends a worker well",
        "a Job is complete that has loaded nothing",
        "daemon/handed_on.py",
        "    if child.returncode:",
        "    if child.returncode < 0:",
        HANDED,
    ),
)
