"""semcache: the semantic cache for LLM and API answers.

    from semcache_core import SemanticCache, cached, DoNotCache

The names are imported when they are first used, so that a plugin's light module stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cache import Lookup, SemanticCache
    from .functions import DoNotCache, cached
    from .observe import Stats

__all__ = ["DoNotCache", "Lookup", "SemanticCache", "Stats", "cached"]

_HOMES = {
    "SemanticCache": "cache",
    "Lookup": "cache",
    "DoNotCache": "functions",
    "cached": "functions",
    "Stats": "observe",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{home}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
