"""The light-weight names that a plugin's entry-point module imports.

A plugin is a module named by the ``semcache`` entry-point group. Its hooks return descriptors::

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

#: The plugin protocol of this core, as (major, minor). A plugin module may state what it needs: ``semcache_api =
# (1, 0)``.
API_VERSION = (1, 0)

hookimpl = pluggy.HookimplMarker("semcache")
"""Marks a function of a plugin module as the implementation of the hook of the same name."""


@dataclass(frozen=True, slots=True)
class Component:
    """The descriptor of a component: enough to list it without importing it.

    ``name`` is what users write after ``use =``; ``factory`` is ``"package.module:Attribute"``; ``summary`` is one
    line for ``semcache plugins``. ``local`` marks an embedder that needs no network and no key: if the configuration
    names none, the first local one by name is used.

    ``reasons`` lists the reason codes that the component uses besides the core's (``semcache_core.reasons``): a
    verifier's rejects, an extractor's bypasses.
    """

    name: str
    factory: str
    summary: str = ""
    local: bool = False
    reasons: tuple[Reason, ...] = ()
