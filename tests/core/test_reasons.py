"""Every reason code that is used is listed, and every one that is listed is used: in the core and all distributions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

import semcache_core
from semcache_core.plugin import Component, Reason, hookimpl
from semcache_core.reasons import REASONS, CoreCode, Kind
from semcache_core.runtime.registry import KINDS, Registry

REPOSITORY = Path(__file__).parents[2]
CORE = Path(semcache_core.__file__).parent
OUTSIDE = [path for kind in ("plugins", "integrations") for path in sorted((REPOSITORY / kind).glob("*/src/*"))]
FOLDERS = {"semcache_core": CORE, **{path.name: path for path in OUTSIDE}}

MAKERS = {"Bypass", "Refused", "Found", "Ambiguous", "NotStorable", "Broken", "Reject", "Penalty", "OwnCode"}
TAKERS = {"turned_down", "passed_over", "refuse", "count_unstored", "bypassed", "_unstored"}
"""What takes a reason code first, or as ``reason``."""


def modules(folder: Path) -> list[ast.Module]:
    """Return the modules that use codes: not those that list them, nor the kit, which makes some up."""
    paths = [path for path in sorted(folder.rglob("*.py")) if path.name not in ("reasons.py", "plugin.py")]
    return [ast.parse(path.read_text("utf-8")) for path in paths if "testing" not in path.relative_to(folder).parts]


def used(folder: Path) -> set[str]:
    """Return every code that is written where a code belongs."""
    return {code for module in modules(folder) for place in places(module) for code in texts(place)}


def places(module: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(module):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            named = {keyword.arg: keyword.value for keyword in node.keywords}
            if name in TAKERS or name in MAKERS - {"Found", "Penalty"}:
                yield from node.args[:1]
            if name in MAKERS and "reason" in named:
                yield named["reason"]
            if name == "Key" and "exact_only" in named:
                yield named["exact_only"]
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and "Code" in annotation(node.returns):
            yield from (each.value for each in ast.walk(node) if isinstance(each, ast.Return) and each.value)
        elif isinstance(node, ast.AnnAssign) and "Code" in annotation(node.annotation) and node.value:
            yield node.value


def annotation(node: ast.expr | None) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)} if node else set()


def texts(node: ast.expr) -> Iterator[str]:
    """Return the texts that an expression may be: both arms of a choice, the values of a table."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp(body=one, orelse=other):
            yield from (*texts(one), *texts(other))
        case ast.BoolOp(values=several) | ast.Dict(values=several):
            for each in several:
                yield from texts(each)
        case ast.Call(func=ast.Attribute(attr="get"), args=[_, default]):
            yield from texts(default)


def listed_by(folder: str) -> set[str]:
    """Return the codes that a distribution's components list."""
    offers = [offer for kind in KINDS for offer in Registry.installed().offers(kind)]
    own = [offer.component for offer in offers if offer.distribution.replace("-", "_") == folder]
    return {reason.code for component in own for reason in component.reasons}


def test_the_type_and_the_table_hold_the_same_codes() -> None:
    codes = get_args(CoreCode)
    assert len(codes) == len(set(codes))
    assert set(codes) == REASONS.keys()


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_code_that_is_used_is_listed(folder: str) -> None:
    assert used(FOLDERS[folder]) <= REASONS.keys() | listed_by(folder)


def test_the_codes_that_are_used_are_found() -> None:
    # One of each way in which a code is written down.
    assert {
        *("no-identity", "trailers", "ambiguous-json", "not-json", "malformed-event", "vetoed", "get"),
        *("finish-length", "finish-reason", "several-choices", "malformed-request", "below-threshold", "exact-mode"),
    } <= set().union(*map(used, FOLDERS.values()))


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_code_that_is_listed_is_used(folder: str) -> None:
    # By whatever way: a code that a verifier works out stands in its tables.
    folders = FOLDERS.values() if folder == "semcache_core" else [FOLDERS[folder]]
    written = {
        node.value
        for each in folders
        for module in modules(each)
        for node in ast.walk(module)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    listed = listed_by(folder) | (REASONS.keys() if folder == "semcache_core" else set())
    assert not listed - written


@pytest.mark.parametrize("reason", REASONS.values(), ids=lambda reason: reason.code)
def test_every_reason_is_said_in_sentences(reason: Reason) -> None:
    assert reason.kind in get_args(Kind)
    for text in (reason.sentence, reason.remedy):
        assert text[0].isupper() or text[0] == "`"
        assert text[-1] in ".:"


@pytest.mark.parametrize(
    ("code", "told"), [("Two Words", "no reason code"), ("no-identity", "is the core's"), ("", "no reason code")]
)
def test_a_plugin_that_lists_what_is_no_code_of_its_own_is_refused(code: str, told: str) -> None:
    class Plugin:
        @hookimpl
        def semcache_verifiers(self) -> list[Component]:
            return [Component("v", factory="v:V", summary="v", reasons=(Reason(code, "miss", "A.", "B."),))]

    registry = Registry()

    assert not registry.add(Plugin(), distribution="semcache-v")
    assert told in registry.failures[0].message


def test_the_registry_knows_the_codes_of_every_component() -> None:
    reasons = Registry.installed().reasons()

    assert reasons["numbers"].sentence == "The texts hold different numbers."
    assert reasons["no-identity"] is REASONS["no-identity"]
