"""Bugs that tools of this kind have had, or that our own first drafts had."""

from mutants.access import ACCESS
from mutants.cql_access import CQL_ACCESS
from mutants.exports import EXPORTS
from mutants.foreign import FOREIGN
from mutants.jsonl import JSONL
from mutants.load import LOAD, SINKS, STATE
from mutants.order import ORDER, REFUSALS
from mutants.proof import GAPS, PROOF
from mutants.review import REVIEW
from mutants.scan import SCAN

MUTANTS = (
    *ORDER,
    *REFUSALS,
    *SINKS,
    *LOAD,
    *PROOF,
    *GAPS,
    *STATE,
    *EXPORTS,
    *FOREIGN,
    *SCAN,
    *ACCESS,
    *JSONL,
    *REVIEW,
    *CQL_ACCESS,
)
