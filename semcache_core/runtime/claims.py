"""Which installed key extractors a cache has where the configuration names none: those that nobody contradicts."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from semcache_core.protocols import KeyExtractor, SupportsClaims

__all__ = ["overlap", "without_rivals"]


def overlap(one: KeyExtractor, other: KeyExtractor) -> bool:
    """Say whether both claim one of the requests that either names as its own (``SupportsClaims``).

    An extractor that names none, because its paths come from the configuration, overlaps with nobody: it is asked last,
    and so gets what is left.
    """
    if not (isinstance(one, SupportsClaims) and isinstance(other, SupportsClaims)):
        return False
    return any(other.claims(*claim) for claim in one.claimed) or any(one.claims(*claim) for claim in other.claimed)


def without_rivals(
    installed: Mapping[str, KeyExtractor], *, named: Collection[KeyExtractor], meant: Collection[str]
) -> tuple[list[str], list[tuple[str, ...]]]:
    """Return the names of those that are in, as they are asked; and the names that contradict each other, by group.

    ``named`` are in already, and ``meant`` are names that the configuration speaks to: both go before the others.
    """
    firm = [*named, *(installed[name] for name in meant if name in installed)]
    free = {
        name: one
        for name, one in installed.items()
        if not any(overlap(one, other) for other in (named if name in meant else firm))
    }
    sound: list[str] = []
    groups: list[tuple[str, ...]] = []
    for name in sorted(free, key=lambda name: not isinstance(free[name], SupportsClaims)):
        rivals = [other for other in free if other != name and overlap(free[name], free[other])]
        group = tuple(sorted([name, *rivals]))
        if not rivals:
            sound.append(name)
        elif group not in groups:
            groups.append(group)
    return sound, groups
