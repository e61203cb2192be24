"""The options of ``text-guard``: ``[verifiers.text-guard]``."""

from __future__ import annotations

from semcache_core.protocols import Options


class TextGuardOptions(Options, frozen=True):
    """``text-guard`` has no options: a rule that some users must switch off is a wrong rule."""
