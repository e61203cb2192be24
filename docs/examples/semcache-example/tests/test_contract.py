"""The contract kit's promises, kept by this plugin."""

from collections.abc import Sequence

from semcache_example.options import SameScriptOptions
from semcache_example.script import SameScript

from semcache_core.protocols import Verifier
from semcache_core.testing import PluginContract, VerifierContract


class TestSameScript(VerifierContract):
    symmetric = True

    def make(self) -> Verifier:
        return SameScript(SameScriptOptions())

    def same(self) -> Sequence[tuple[str, str]]:
        return [("How do I reset my password?", "password reset how?"), ("Как сбросить пароль?", "Сбросить пароль")]

    def different(self) -> Sequence[tuple[str, str]]:
        return [("How do I reset my password?", "Как сбросить пароль?")]


class TestPlugin(PluginContract):
    distribution = "semcache-example"
    module = "semcache_example.plugin"
    heavy = ("semcache_example.script",)
