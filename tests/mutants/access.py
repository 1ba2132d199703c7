"""Bugs of credentials: a move outlives every set of keys that it is given."""

from mutants.mutant import Mutant

SEEN_BY = "tests/unit/test_access.py"
ACCESS = (
    Mutant(
        "a role's keys are frozen once",
        "after an hour every write is refused",
        "sinks/dynamodb/call.py",
        "SigV4Auth(credentials.get_frozen_credentials(), ",
        "SigV4Auth(self.__dict__.setdefault('_frozen', credentials.get_frozen_credentials()), ",
        SEEN_BY,
    ),
    Mutant(
        "the external id is not told to STS",
        "a role of another account is never given out",
        "sinks/access.py",
        "{} if access.external_id is None else",
        "{} if True else",
        SEEN_BY,
    ),
    Mutant(
        "a silent STS counts as a refusal",
        "a sink stops, and with it the move, where waiting would do",
        "sinks/access.py",
        "if status >= _HTTP_SERVER_ERROR or code.startswith",
        "if False and code.startswith",
        SEEN_BY,
    ),
)
