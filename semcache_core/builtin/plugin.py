"""What semcache-core itself offers, through the same entry point and hooks as every other distribution."""

from __future__ import annotations

from semcache_core.plugin import Component, hookimpl


@hookimpl
def semcache_vector_stores() -> list[Component]:
    """Offer the two stores that need no server."""
    return [
        Component("memory", "semcache_core.builtin.memory:MemoryVectorStore", "in this process, lost when it ends"),
        Component("sqlite", "semcache_core.builtin.sqlite:SqliteVectorStore", "in one file, shared by processes"),
    ]


@hookimpl
def semcache_response_stores() -> list[Component]:
    """Offer the two stores that need no server."""
    return [
        Component("memory", "semcache_core.builtin.memory:MemoryResponseStore", "in this process, lost when it ends"),
        Component("sqlite", "semcache_core.builtin.sqlite:SqliteResponseStore", "in one file, shared by processes"),
    ]


@hookimpl
def semcache_key_extractors() -> list[Component]:
    """Offer JSON APIs of every kind."""
    return [Component("json", "semcache_core.builtin.json:JsonBody", "JSON APIs on the paths of routes")]


@hookimpl
def semcache_commands() -> list[Component]:
    """Offer the commands that need nothing but the core."""
    return [
        Component("plugins", "semcache_core.cli.plugins:plugins", "list what is installed, and what does not work"),
        Component("check", "semcache_core.cli.check:check", "say what a configuration would run, with every default"),
        Component("stats", "semcache_core.cli.stats:stats", "count what a cache holds, or ask a running proxy"),
        Component("purge", "semcache_core.cli.purge:purge", "delete entries; without --yes only count them"),
        Component("explain", "semcache_core.cli.explain:explain", "say why a request would hit or miss"),
    ]
