"""What this distribution offers to semcache; imports nothing heavy."""

from semcache_core.plugin import Component, hookimpl


@hookimpl
def semcache_verifiers() -> list[Component]:
    """Offer the ``same-script`` verifier."""
    return [Component("same-script", factory="semcache_example.script:SameScript", summary="scripts must agree")]
