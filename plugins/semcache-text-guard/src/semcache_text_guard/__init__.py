"""``text-guard``: a verifier that compares two prompts by pure text rules, at most 50 us a pair."""

from .guard import TextGuard, TextGuardOptions
from .rules import compare

__all__ = ["TextGuard", "TextGuardOptions", "compare"]
