"""The cases in the docstrings of the rules: ``= a | b`` is accepted and ``!= a | b`` is not, in either order."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import semcache_text_guard.rules
from semcache_core.types import Accept, Penalty, Reject
from semcache_text_guard.compare import RULES, compare


def functions() -> Iterator[Callable[..., Any]]:
    """Yield every function of the rules' modules."""
    package = semcache_text_guard.rules
    for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        module = importlib.import_module(found.name)
        for _, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__:
                yield function


def cases(function: Callable[..., Any], sign: str) -> list[tuple[str, str]]:
    """Return the pairs of the docstring's lines that begin with the sign."""
    lines = [line.strip() for line in (function.__doc__ or "").splitlines()]
    return [
        (one, other)
        for line in lines
        if line.startswith(f"{sign} ")
        for one, _, other in [line.removeprefix(sign).strip().partition(" | ")]
    ]


ACCEPTED = [pair for function in functions() for pair in cases(function, "=")]
DIFFERENT = [pair for function in functions() for pair in cases(function, "!=")]
BY_RULE = [(rule, *pair) for rule in RULES for pair in cases(rule.differs, "!=")]


@pytest.mark.parametrize(("one", "other"), ACCEPTED)
def test_an_accepted_case_is_accepted_in_either_order(one: str, other: str) -> None:
    assert (compare(one, other), compare(other, one)) == (Accept(), Accept())


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_a_different_case_is_not_accepted_in_either_order(one: str, other: str) -> None:
    assert compare(one, other) == compare(other, one)
    assert isinstance(compare(one, other), Reject | Penalty)


@pytest.mark.parametrize(("rule", "one", "other"), BY_RULE)
def test_a_case_of_a_rule_gets_the_verdict_of_that_rule(rule: Any, one: str, other: str) -> None:
    assert compare(one, other) in [rule.verdict(reason) for reason in rule.reasons]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.differs.__name__)
def test_every_rule_has_cases_of_both_kinds(rule: Any) -> None:
    assert cases(rule.differs, "=")
    assert cases(rule.differs, "!=")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.differs.__name__)
def test_every_rule_is_needed_for_one_of_its_cases(rule: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    others = tuple(other for other in RULES if other is not rule)
    monkeypatch.setattr("semcache_text_guard.compare.RULES", others)

    assert any(compare(*pair) not in map(rule.verdict, rule.reasons) for pair in cases(rule.differs, "!="))
