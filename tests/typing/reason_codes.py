"""A reason code that nobody lists does not pass the type checker. Checked by ``nox -s lint``, never run."""

from __future__ import annotations

from semcache_core.engine.decide import Found
from semcache_core.plugin import Component, OwnCode, Reason
from semcache_core.protocols import Refused
from semcache_core.types import Bypass, Key, Reject

LISTED = (
    Bypass(reason="no-identity"),
    Found(outcome="miss", reason="below-threshold"),
    Refused("no-store"),
    Key(template=b"", exact_only="no-text"),
)
UNLISTED = (
    Bypass(reason="no-identitty"),  # type: ignore[arg-type]
    Found(outcome="miss", reason="because"),  # type: ignore[arg-type]
    Refused("nostore"),  # type: ignore[arg-type]
    Key(template=b"", exact_only="short"),  # type: ignore[arg-type]
)

# A plugin's own codes: marked where the core has a list, any text where only plugins speak.
SCRIPT = Reason("script", kind="miss", sentence="The texts are written in two scripts.", remedy="Nothing.")
OWN = (
    Component("script", factory="own.script:Script", reasons=(SCRIPT,)),
    Bypass(reason=OwnCode("script")),
    Reject(reason="script"),
)
