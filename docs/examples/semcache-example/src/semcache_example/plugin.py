"""What this distribution offers to semcache; imports nothing heavy."""

from semcache_core.plugin import Component, Reason, hookimpl

SCRIPT = Reason(
    "script",
    kind="miss",
    sentence="The texts are written in two scripts.",
    remedy="Nothing, or name a script that does not count in `ignore`.",
)


@hookimpl
def semcache_verifiers() -> list[Component]:
    """Offer the ``same-script`` verifier."""
    return [
        Component(
            "same-script",
            factory="semcache_example.script:SameScript",
            summary="scripts must agree",
            reasons=(SCRIPT,),
        )
    ]
