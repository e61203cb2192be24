"""Notices for the operator about a missing component, with the command that installs it."""

from __future__ import annotations

from semcache_core.config.load import DEFAULT_VERIFIERS
from semcache_core.runtime import elsewhere

(DEFAULT_VERIFIER,) = DEFAULT_VERIFIERS


def no_embedder() -> str:
    """Return the notice that no local embedder is installed."""
    return (
        "no local embedder is installed, so only equal requests are answered from the cache; for semantic matching: "
        f"{_first(elsewhere.installs_local_embedder(), ', or ')}name one under [embedder]; "
        'to silence this: semcache.match = "exact"'
    )


def no_verifier_is_used() -> str:
    """Return the notice that the configuration disables every verifier."""
    return (
        "no verifier is in use (verifiers.use = []), so texts that differ in a number, a date or a name may answer "
        f"each other; to have them compared: {_first(elsewhere.installs('verifiers', DEFAULT_VERIFIER), ', and ')}"
        f'verifiers.use = ["{DEFAULT_VERIFIER}"]'
    )


def no_verifier_is_installed() -> str:
    """Return the notice that only equal requests match because there is no verifier."""
    return (
        "no verifier is installed, so only equal requests are answered from the cache: texts that differ in a number, "
        "a date or a name are near each other as well; for semantic matching: "
        f"{_first(elsewhere.installs('verifiers', DEFAULT_VERIFIER), '; ')}to do without a verifier: "
        'verifiers.use = []; to silence this: semcache.match = "exact"'
    )


def _first(command: str | None, then: str) -> str:
    return f"{command}{then}" if command else ""
