"""Which key extractors a cache has where the configuration does not name them: those that claim what no other does."""

from __future__ import annotations

from collections.abc import Sequence

from semcache_core.protocols import KeyExtractor, SupportsClaims

__all__ = ["in_order", "overlap", "rivals"]


def overlap(one: KeyExtractor, other: KeyExtractor) -> bool:
    """Say whether both claim one of the requests that either names as its own (``SupportsClaims``).

    An extractor that names none, because its paths come from the configuration, overlaps with nobody: it is asked last,
    and so gets what is left.
    """
    if not (isinstance(one, SupportsClaims) and isinstance(other, SupportsClaims)):
        return False
    return any(other.claims(*claim) for claim in one.claimed) or any(one.claims(*claim) for claim in other.claimed)


def rivals(extractors: Sequence[KeyExtractor], *, of: KeyExtractor) -> list[KeyExtractor]:
    """Return those of ``extractors`` that claim requests which ``of`` claims, too."""
    return [other for other in extractors if other is not of and overlap(of, other)]


def in_order(extractors: Sequence[KeyExtractor]) -> list[KeyExtractor]:
    """Return the extractors as they are asked: those whose paths are known first, each group in its order."""
    return sorted(extractors, key=lambda extractor: not isinstance(extractor, SupportsClaims))
