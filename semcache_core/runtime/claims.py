"""Chooses the installed key extractors if the configuration names none: those whose claims do not overlap."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from semcache_core.protocols import KeyExtractor, SupportsClaims

__all__ = ["overlap", "without_rivals"]


def overlap(one: KeyExtractor, other: KeyExtractor) -> bool:
    """Say whether both claim one of the requests that either declares (``SupportsClaims``).

    An extractor that declares none, because its paths are configured, overlaps with no other: it is asked last and gets
    the remaining requests.
    """
    if not (isinstance(one, SupportsClaims) and isinstance(other, SupportsClaims)):
        return False
    return any(other.claims(*claim) for claim in one.claimed) or any(one.claims(*claim) for claim in other.claimed)


def without_rivals(
    installed: Mapping[str, KeyExtractor], *, named: Collection[KeyExtractor], meant: Collection[str]
) -> tuple[list[str], list[tuple[str, ...]]]:
    """Return the names of the extractors to use, in order; and the groups of names whose claims overlap.

    ``named`` are used anyway; ``meant`` have options in the configuration: both have precedence over the others.
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
