"""The catalogue of planted bugs does not rot: each has its place in today's code, and each is a bug."""

import ast

import pytest
from mutants.catalogue import MUTANTS
from mutants.mutant import SIMULATOR
from mutants.run import PROJECT, planted, verdicts


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_has_exactly_one_place_and_is_code(mutant):
    changed = planted(mutant, (PROJECT / mutant.file).read_text())
    ast.parse(changed)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_who_sees_a_mutant_exists(mutant):
    assert mutant.seen_by == SIMULATOR or all((PROJECT / path).exists() for path in mutant.seen_by.split())


@pytest.mark.timeout(3000)
def test_every_mutant_is_seen(request):
    if not request.config.getoption("--mutants"):
        pytest.skip("takes some minutes: make test and make mutants run it")
    assert [mutant.name for mutant, seen, _ in verdicts(MUTANTS) if seen is None] == []


def test_there_are_more_than_forty_and_no_two_of_one_name():
    names = [mutant.name for mutant in MUTANTS]
    assert len(set(names)) == len(names) > 40
