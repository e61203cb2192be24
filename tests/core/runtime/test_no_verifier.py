"""A core without any verifier matches exactly and says so, unless the configuration says that none is wanted."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Any

import pytest
from click.testing import CliRunner

from semcache_core import SemanticCache
from semcache_core.builtin import plugin
from semcache_core.cli.check import check
from semcache_core.config import load
from semcache_core.errors import ConfigError
from semcache_core.protocols import Verifier
from semcache_core.remedies import pip_install
from semcache_core.runtime.assembly import assemble
from semcache_core.runtime.registry import Registry
from semcache_core.testing import CountingEmbedder, RecordingObserver
from semcache_core.types import Accept, Verdict

MEMORY = {"vector_store": {"use": "memory"}, "response_store": {"use": "memory"}}
ASKED = "How do I reset my password?"
REWORDED = "How do I reset my password, please?"


class Nodding:
    """Accepts everything."""

    costly = False

    async def __aenter__(self) -> Nodding:
        return self

    async def __aexit__(self, *exit: object) -> None: ...

    async def verify(self, query: str, candidate: str) -> Verdict:
        return Accept()


class Outcome:
    """What became of an equal and of a reworded question, what was embedded, and what was said of verifiers."""

    def __init__(self, config: dict[str, Any], verifiers: Sequence[Verifier] | None = None) -> None:
        self.observer, self.embedder = RecordingObserver(), CountingEmbedder()
        self.hits: list[bool] = []
        asyncio.run(self._ask(config, verifiers))
        told = [(notice.code, notice.message) for notice in self.observer.notices]
        self.notices = [(code, message) for code, message in told if "verifier" in message]

    async def _ask(self, config: dict[str, Any], verifiers: Sequence[Verifier] | None) -> None:
        registry = _core_alone()
        assert registry.add(self.observer, distribution="tests")
        cache = SemanticCache(load(MEMORY | config), registry=registry, embedder=self.embedder, verifiers=verifiers)
        async with cache:
            await cache.store(ASKED, "x")
            self.hits = [(await cache.lookup(text)).hit for text in (ASKED, REWORDED)]


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"semcache": {"match": "semantic"}},
        {"semcache": {"threshold": 0.5}},
        {"verifiers": {}},
        {"semcache": {"match": "exact"}, "route": [{"path": "/ask", "match": "semantic"}]},
    ],
    ids=["defaults", "match", "threshold", "empty table", "route"],
)
def test_without_a_verifier_only_equal_requests_match_and_a_notice_says_so(config: dict[str, Any]) -> None:
    outcome = Outcome(config)

    ((code, message),) = outcome.notices
    assert outcome.hits == [True, False]
    assert outcome.embedder.texts == []
    assert code == "exact-only"
    assert f"for semantic matching: {pip_install('semcache-text-guard')}; to do without" in message
    assert "verifiers.use = []" in message


def test_no_verifier_at_all_may_be_wanted_and_a_notice_says_what_that_means() -> None:
    outcome = Outcome({"verifiers": {"use": []}})

    ((code, message),) = outcome.notices
    assert outcome.hits == [True, True]
    assert code == "configuration"
    assert "no verifier is in use" in message


def test_exact_matching_needs_no_verifier_and_says_nothing() -> None:
    outcome = Outcome({"semcache": {"match": "exact"}})

    assert (outcome.hits, outcome.notices) == ([True, False], [])


@pytest.mark.parametrize("verifiers", [[Nodding()], []], ids=["one", "none"])
def test_verifiers_given_by_the_program_count(verifiers: list[Nodding]) -> None:
    outcome = Outcome({}, verifiers)

    assert (outcome.hits, outcome.notices) == ([True, True], [])


def test_a_verifier_that_is_named_and_not_installed_is_an_error_with_the_remedy() -> None:
    with pytest.raises(ConfigError, match=re.escape(pip_install("semcache-text-guard"))):
        assemble(load(MEMORY | {"verifiers": {"use": ["text-guard"]}}), _core_alone())


def test_check_tells_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Registry, "installed", _core_alone)

    shown = CliRunner().invoke(check)

    assert "notice: no verifier is installed, so only equal requests" in shown.output


def _core_alone() -> Registry:
    registry = Registry()
    assert registry.add(plugin, distribution="semcache-core", version="1")
    return registry
