"""The entry-point module: the commands that this distribution adds to the ``semcache`` program."""

from __future__ import annotations

from collections.abc import Iterable

from semcache_core.plugin import Component, hookimpl


@hookimpl
def semcache_commands() -> Iterable[Component]:
    """Offer ``semcache serve`` and ``semcache demo``."""
    return [
        Component(
            "serve", factory="semcache_proxy.commands.serve:serve", summary="run the cache in front of an LLM service"
        ),
        Component(
            "demo", factory="semcache_proxy.commands.demo:demo", summary="watch the cache answer, on this machine"
        ),
    ]
