"""The contract kit's promises, kept by this distribution: its commands load when they are run, and no sooner."""

from __future__ import annotations

from semcache_core.testing import PluginContract


class TestPlugin(PluginContract):
    distribution = "semcache-proxy"
    module = "semcache_proxy.plugin"
    heavy = ("semcache_proxy.app", "semcache_proxy.commands", "starlette", "httpx", "uvicorn")
