"""The options of ``text-guard``: what stands in ``[verifiers.text-guard]``."""

from __future__ import annotations

from semcache_core.protocols import Options


class TextGuardOptions(Options, frozen=True):
    """``text-guard`` has nothing to set: a rule that some users must switch off is a wrong rule."""
