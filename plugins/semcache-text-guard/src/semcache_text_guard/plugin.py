"""The entry-point module: offers the verifier; imports nothing heavy."""

from semcache_core.plugin import Component, hookimpl

from .reasons import REASONS

semcache_api = (1, 0)


@hookimpl
def semcache_verifiers() -> list[Component]:
    """Offer the guard that compares texts without a model."""
    return [
        Component(
            "text-guard",
            factory="semcache_text_guard.guard:TextGuard",
            summary="numbers, dates, units, names, negation and order must agree",
            reasons=REASONS,
        )
    ]
