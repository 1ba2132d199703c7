"""DMS's table mappings: how a row of a CSV file becomes an item.

AWS DMS user guide, "Using an Amazon DynamoDB database as a target", and "Selection rules and actions". Written from
that documentation; DMS itself was not run.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from daemon.source.foreign.table_definition import Table, Unsuitable, read_json

ACTIONS = ("map-record-to-record", "map-record-to-document")
# They only say how fast DMS reads.
_WITHOUT_EFFECT = ("table-settings",)


class Locator(msgspec.Struct, frozen=True, rename="kebab"):
    """Which tables a rule is for; `%` stands for any text."""

    schema_name: str
    table_name: str

    def fits(self, table: Table) -> bool:
        """True when the rule is for this table."""
        return _like(self.schema_name, table.table_owner) and _like(self.table_name, table.table_name)


class Attribute(msgspec.Struct, frozen=True, rename="kebab"):
    """One attribute that a rule makes from columns."""

    target_attribute_name: str
    attribute_type: str
    attribute_sub_type: str
    value: Any


class Parameters(msgspec.Struct, frozen=True, rename="kebab"):
    """What an object-mapping rule says of the item."""

    partition_key_name: str | None = None
    sort_key_name: str | None = None
    exclude_columns: list[str] = []
    attribute_mappings: list[Attribute] = []
    condition_expression: Any = None


class Rule(msgspec.Struct, frozen=True, rename="kebab"):
    """One rule of any type; what other types have more is left out."""

    rule_type: str
    rule_id: str | int
    object_locator: Locator | None = None
    rule_action: str = ""
    mapping_parameters: Parameters = Parameters()
    filters: list[Any] = []

    @property
    def called(self) -> str:
        """As a message names it."""
        return f"rule {self.rule_id}"


class _Mappings(msgspec.Struct, frozen=True):
    rules: list[Rule]


def _like(pattern: str, name: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("%"))), name, re.DOTALL) is not None


def read_mappings(path: Path | None) -> list[Rule]:
    """The rules of the file; none without a file. Raises Unsuitable for rules that cannot be followed."""
    if path is None:
        return []
    rules = read_json(path, _Mappings, 'DMS\'s table mappings, {"rules":[…]}').rules
    for rule in rules:
        fault = _fault(rule)
        if fault is not None:
            raise Unsuitable(f"{path}, {rule.called}: {fault}")
    if not any(rule.rule_type == "selection" for rule in rules):
        raise Unsuitable(f"{path} has no selection rule: DMS wants one, with rule-action include")
    return rules


def _fault(rule: Rule) -> str | None:
    if rule.rule_type in _WITHOUT_EFFECT:
        return None
    if rule.rule_type == "selection":
        return _selection_fault(rule)
    if rule.rule_type != "object-mapping":
        return (
            f"rule-type {rule.rule_type!r} is not followed here, known are selection and object-mapping: "
            "say the same with an object-mapping, or transform the files first"
        )
    if rule.rule_action not in ACTIONS:
        return f"rule-action {rule.rule_action!r} is not known, expected is {' or '.join(ACTIONS)}"
    if rule.mapping_parameters.condition_expression is not None:
        return (
            "a condition-expression asks the target before each write, which a move does not do: take it out, "
            "the newest version of an item wins without it"
        )
    return None if rule.object_locator is not None else "object-locator is missing"


def _selection_fault(rule: Rule) -> str | None:
    if rule.object_locator is None:
        return "object-locator is missing"
    if rule.rule_action not in ("include", "exclude", "explicit"):
        return f"rule-action {rule.rule_action!r} is not known, expected is include, exclude or explicit"
    if rule.filters:
        return "a selection with filters moves a part of the table only, which is not done here: take the filters out"
    return None


def selected(rules: Sequence[Rule], tables: Sequence[Table]) -> list[Table]:
    """The tables that the selection rules include and do not exclude; all of them without rules."""
    if not rules:
        return list(tables)
    return [table for table in tables if _selects(rules, table)]


def _selects(rules: Sequence[Rule], table: Table) -> bool:
    actions = [
        rule.rule_action
        for rule in rules
        if rule.rule_type == "selection" and rule.object_locator is not None and rule.object_locator.fits(table)
    ]
    return bool(actions) and "exclude" not in actions


def mapping_of(rules: Sequence[Rule], table: Table) -> Rule | None:
    """The object mapping of the table; None: each column becomes an attribute. Raises Unsuitable when there are two."""
    found = [
        rule
        for rule in rules
        if rule.rule_type == "object-mapping" and rule.object_locator is not None and rule.object_locator.fits(table)
    ]
    if len(found) > 1:
        names = ", ".join(rule.called for rule in found)
        raise Unsuitable(f"table {table.table_name!r} has several object-mapping rules ({names}): leave one")
    return found[0] if found else None
