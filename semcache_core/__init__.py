"""semcache: the semantic cache for LLM and API answers.

    from semcache_core import SemanticCache, cached, DoNotCache

The names are imported when they are first used, so that a plugin's light module stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from semcache_core.engine.observe import Stats
    from semcache_core.engine.payloads import DoNotCache
    from semcache_core.library.cache import SemanticCache
    from semcache_core.library.functions import cached
    from semcache_core.library.lookup import Lookup

__all__ = ["DoNotCache", "Lookup", "SemanticCache", "Stats", "cached"]

_HOMES = {
    "SemanticCache": "library.cache",
    "Lookup": "library.lookup",
    "DoNotCache": "engine.payloads",
    "cached": "library.functions",
    "Stats": "engine.observe",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{home}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
