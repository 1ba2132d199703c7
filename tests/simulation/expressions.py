"""The expressions of DynamoDB that our code writes, and nothing else: any other word is Unsupported.

condition   one { OR one }          AND binds closer than OR
one         term { AND term }
term        attribute_exists(#n) | attribute_not_exists(#n) | begins_with(#n, :v) | #n = < <= > >= :v | ( condition )
update      SET #n = :v { , #n = :v }
"""

import re
from base64 import b64decode
from decimal import Decimal
from functools import lru_cache
from operator import eq, ge, gt, le, lt
from typing import NamedTuple

from simulation.faults import Unsupported

TOKEN = re.compile(r"\s*([A-Za-z_]+|[#:]\w+|<=|>=|[=<>(),])")
COMPARISONS = {"=": eq, "<": lt, "<=": le, ">": gt, ">=": ge}
ORDERED = {"S": str.encode, "N": Decimal, "B": b64decode}
FUNCTIONS = ("attribute_exists", "attribute_not_exists", "begins_with")


class Place(NamedTuple):
    """The words behind an expression's placeholders."""

    names: dict
    values: dict


@lru_cache
def condition(text):
    """A function of (item, place) that is true or false; an absent item is `{}`. Raises Unsupported."""
    return _parsed(text, _either)


@lru_cache
def update(text):
    """A function of (item, place) that gives the attributes to set. Raises Unsupported."""
    return _parsed(text, _settings)


@lru_cache
def placeholders(texts):
    """The names and the values that these expressions stand on."""
    text = " ".join(texts)
    return frozenset(re.findall(r"#\w+", text)), frozenset(re.findall(r":\w+", text))


def _parsed(text, grammar):
    tokens = [*_tokens(text), "end"]
    act = grammar(tokens)
    if tokens != ["end"]:
        raise Unsupported(f"{tokens[0]!r} in the expression: {text}")
    return act


def _tokens(text):
    at = 0
    while at < len(text.rstrip()):
        found = TOKEN.match(text, at)
        if found is None:
            raise Unsupported(f"{text[at:]!r} in the expression: {text}")
        yield found[1]
        at = found.end()


def _either(tokens):
    terms = [_both(tokens)]
    while tokens[0] == "OR":
        tokens.pop(0)
        terms.append(_both(tokens))
    return terms[0] if len(terms) == 1 else lambda item, place: any(term(item, place) for term in terms)


def _both(tokens):
    terms = [_term(tokens)]
    while tokens[0] == "AND":
        tokens.pop(0)
        terms.append(_term(tokens))
    return terms[0] if len(terms) == 1 else lambda item, place: all(term(item, place) for term in terms)


def _term(tokens):
    if tokens[0] == "(":
        tokens.pop(0)
        inner = _either(tokens)
        _expect(tokens, ")")
        return inner
    if tokens[0] in FUNCTIONS:
        return _function(tokens)
    name = _placeholder(tokens, "#")
    compare = COMPARISONS.get(tokens.pop(0))
    if compare is None:
        raise Unsupported("only = < <= > >= compare")
    value = _placeholder(tokens, ":")
    return lambda item, place: _holds(compare, item.get(place.names[name]), place.values[value])


def _function(tokens):
    function = tokens.pop(0)
    _expect(tokens, "(")
    name = _placeholder(tokens, "#")
    if function == "begins_with":
        _expect(tokens, ",")
        value = _placeholder(tokens, ":")
        _expect(tokens, ")")
        return lambda item, place: _holds(_begins, item.get(place.names[name]), place.values[value])
    _expect(tokens, ")")
    if function == "attribute_exists":
        return lambda item, place: place.names[name] in item
    return lambda item, place: place.names[name] not in item


def _settings(tokens):
    _expect(tokens, "SET")
    pairs = [_setting(tokens)]
    while tokens[0] == ",":
        tokens.pop(0)
        pairs.append(_setting(tokens))
    return lambda _, place: {place.names[name]: place.values[value] for name, value in pairs}


def _setting(tokens):
    name = _placeholder(tokens, "#")
    _expect(tokens, "=")
    return name, _placeholder(tokens, ":")


def _expect(tokens, word):
    if tokens.pop(0) != word:
        raise Unsupported(f"{word!r} was expected")


def _placeholder(tokens, mark):
    token = tokens.pop(0)
    if not token.startswith(mark):
        raise Unsupported(f"{token!r} where a placeholder with {mark!r} was expected")
    return token


def _holds(compare, attribute, value):
    """What is absent, or of another type, is neither equal nor less nor more."""
    if attribute is None:
        return False
    ((kind, left),) = attribute.items()
    ((wanted, right),) = value.items()
    if kind != wanted:
        return False
    if kind not in ORDERED:
        raise Unsupported(f"a comparison of {kind}")
    return compare(ORDERED[kind](left), ORDERED[kind](right))


def _begins(left, right):
    if isinstance(left, Decimal):
        raise Unsupported("begins_with of a number")
    return left.startswith(right)
