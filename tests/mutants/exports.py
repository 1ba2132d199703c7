"""Bugs in the export that moveout asks for, and in the versions of a full export with its windows."""

from mutants.mutant import Mutant

EXPORTING, CHAIN = "daemon/exporting.py", "daemon/source/full_and_windows.py"
REQUEST = "daemon/source/export_request.py"
FLOW, PLANS = "tests/unit/test_exporting.py", "tests/unit/test_export_plans.py"
PROPERTY = "tests/property/test_full_and_windows.py"

EXPORTS = (
    Mutant(
        "the export is as of the anchor",
        "AWS's clock may be off by a minute: changes fall between export and stream",
        EXPORTING,
        "if now < max(earliest(known, migration), job.not_before)",
        "if now < job.not_before",
        FLOW,
    ),
    Mutant(
        "the token is made anew at each try",
        "an answer that is lost costs a second export",
        EXPORTING,
        "known.dynamodb.export_table_to_point_in_time(**job.request)",
        'known.dynamodb.export_table_to_point_in_time(**{**job.request, "ClientToken": str(now)})',
        FLOW,
    ),
    Mutant(
        "another attempt has the token of the first",
        "AWS answers with the export that failed",
        REQUEST,
        "{migration}/{generation}/{attempt}/{anchored_at:.3f}",
        "{migration}/{generation}/{anchored_at:.3f}",
        "tests/unit/test_export_refusals.py",
    ),
    Mutant(
        "an old request is sent again without a look",
        "AWS has forgotten the token and makes a second export",
        EXPORTING,
        "if now - job.asked_at > TOKEN_SECONDS:",
        "if False:",
        FLOW,
    ),
    Mutant(
        "parts are written over what was loaded of them",
        "a leader that slept takes back what a worker has accounted for",
        EXPORTING,
        "lambda there: there or part",
        "lambda _: part",
        FLOW,
    ),
    Mutant(
        "an export of before a resync is taken",
        "its parts are of another generation",
        EXPORTING,
        "    if not pending(current) or current.generation != anchored.generation:",
        "    if False:",
        FLOW,
    ),
    Mutant(
        "any export time will do",
        "changes before the stream's begin are in neither",
        EXPORTING,
        "    if int(export.exported_at) < int(job.export_time):",
        "    if False:",
        "tests/unit/test_export_refusals.py",
    ),
    Mutant(
        "a hole behind the last window",
        "the stream does not reach back to it",
        "daemon/export_plans.py",
        '    _joins(known, "the last of backfill.windows", chain.to_time)\n',
        "",
        PLANS,
    ),
    Mutant(
        "a full export ranks with the first window",
        "whichever is loaded first wins",
        CHAIN,
        "base - len(order) - 1",
        "base - len(order)",
        PROPERTY + " " + PLANS,
    ),
    Mutant(
        "overlapping exports are not swept",
        "an item that one of them caught alive stays for ever",
        CHAIN,
        "    return None if exact else Sweep(",
        "    return None if True else Sweep(",
        PROPERTY,
    ),
)
