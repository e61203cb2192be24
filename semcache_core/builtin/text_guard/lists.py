"""Word lists are written as running text, so that a list of hundreds stays a screenful."""

from __future__ import annotations


def listed(text: str, separator: str | None = None) -> list[str]:
    """Return the items of a list written with spaces (or ``separator``) between them."""
    return [item.strip() for item in text.split(separator)]
