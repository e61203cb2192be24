"""What a plugin's entry-point module imports, and nothing heavier.

A plugin is a module that the ``semcache`` entry-point group names. It answers hooks with descriptors::

    from semcache_core.plugin import Component, hookimpl

    @hookimpl
    def semcache_vector_stores():
        return [Component("redis", factory="semcache_redis.vectors:RedisVectorStore", summary="vectors in Redis")]

The factory is imported only when the configuration asks for the component by name.
"""

from __future__ import annotations

from dataclasses import dataclass

import pluggy

from semcache_core.reasons import OwnCode, Reason

__all__ = ["API_VERSION", "Component", "OwnCode", "Reason", "hookimpl"]

#: The plugin protocol this core speaks, as (major, minor). A plugin module may state what it needs: ``semcache_api =
# (1, 0)``.
API_VERSION = (1, 0)

hookimpl = pluggy.HookimplMarker("semcache")
"""Marks a function of a plugin module as the implementation of the hook of the same name."""


@dataclass(frozen=True, slots=True)
class Component:
    """A descriptor of something that a plugin offers: enough to list it, without importing it."""

    name: str
    """What users write after ``use =``."""
    factory: str
    """``"package.module:Attribute"``: imported when the configuration names the component."""
    summary: str = ""
    """One line for ``semcache plugins``."""
    local: bool = False
    """An embedder that needs no network and no key: where the configuration names none, the first local one by name
    is taken.
    """
    reasons: tuple[Reason, ...] = ()
    """The reason codes that the component uses besides the core's (``semcache_core.reasons``): a verifier's rejects, an
    extractor's bypasses.
    """
