"""What IAM's linter (parliament) says of a policy, and AWS's list of actions that it carries."""

import importlib
import json
import warnings
from functools import cache
from pathlib import Path


@cache
def _parliament():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves its own two files open as it is imported
        return importlib.import_module("parliament")


@cache
def findings(policy):
    """Names of what is wrong with this policy, with what it is about."""
    found = _parliament().analyze_policy_string(policy, include_community_auditors=True).findings
    return [(finding.issue, str(finding.detail)) for finding in found]


@cache
def actions():
    """Action -> the kinds of resource that it can be restricted to, by AWS's service authorization reference."""
    text = (Path(_parliament().__file__).parent / "iam_definition.json").read_text()
    return {
        f"{service['prefix']}:{action['privilege']}": [kind["resource_type"] for kind in action["resource_types"]]
        for service in json.loads(text)
        for action in service["privileges"]
    }
