"""The contract kit's promises, kept by this plugin."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from semcache_core.protocols import Verifier
from semcache_core.testing import PluginContract, VerifierContract
from semcache_text_guard.compare import RULES
from semcache_text_guard.guard import TextGuard
from semcache_text_guard.options import TextGuardOptions

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")


class TestTextGuard(VerifierContract):
    symmetric = True

    def make(self) -> Verifier:
        return TextGuard(TextGuard.Options())

    def same(self) -> Sequence[tuple[str, str]]:
        return [
            ("How do I reset my password?", "how can I reset my password"),
            ("Add 5 g of salt", "Add 5 grams of salt"),
            ("What is the capital of France?", "What's the capital city of France?"),
        ]

    def different(self) -> Sequence[tuple[str, str]]:
        return [
            ("Refund order 1234", "Refund order 1243"),
            ("Is the flight from Paris to Rome late?", "Is the flight from Rome to Paris late?"),
            ("Is the shop open?", "Is the shop closed?"),
            ("Add 5 g of salt", "Add 5 kg of salt"),
            ("Can I return it?", "Can I not return it?"),
        ]


class TestPlugin(PluginContract):
    distribution = "semcache-text-guard"
    module = "semcache_text_guard.plugin"
    heavy = ("semcache_text_guard.guard", "semcache_text_guard.compare", "semcache_text_guard.language.english")


def test_the_readme_names_every_option() -> None:
    assert [name for name in TextGuardOptions.__struct_fields__ if f"`{name}`" not in README] == []


def test_the_readme_names_every_reason() -> None:
    reasons = {reason for rule in RULES for reason in rule.reasons} | {"length"}
    assert {reason for reason in reasons if f"`{reason}`" not in README} == set()
