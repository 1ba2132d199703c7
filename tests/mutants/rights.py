"""Bugs of the table of rights and of the policies that are made of it."""

from mutants.mutant import Mutant

RIGHTS = (
    Mutant(
        "any item of the source may be written",
        "a policy that was reviewed as heartbeats only lets orders be changed",
        "daemon/rights/policies.py",
        "    condition = CONDITIONS.get(statement.resource)\n",
        "    condition = None\n",
        "tests/unit/test_rights.py",
    ),
    Mutant(
        "an option that is not used is allowed",
        "every move gets the right to change the source's resource policy",
        "daemon/rights/policies.py",
        "statement.side in chosen and statement.option in wanted",
        "statement.side in chosen",
        "tests/unit/test_rights.py",
    ),
    Mutant(
        "a role gets what the other commands need",
        "whoever may look may delete tables",
        "daemon/rights/policies.py",
        "if verbs.intersection(need.verbs):",
        "if verbs:",
        "tests/unit/test_rights.py",
    ),
    Mutant(
        "a star where a table could stand",
        "ExportTableToPointInTime on every table of the account",
        "daemon/rights/table.py",
        '{"dynamodb:ListExports": "*"}',
        '{"dynamodb:ListExports": "*", "dynamodb:ExportTableToPointInTime": "*"}',
        "tests/unit/test_rights.py",
    ),
    Mutant(
        "a trust policy without the external id",
        "another customer of a shared account could have the role taken for him (the confused deputy)",
        "daemon/rights/policies.py",
        "    if external_id is not None:\n",
        "    if external_id is None:\n",
        "tests/unit/test_rights.py",
    ),
)
