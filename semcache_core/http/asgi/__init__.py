"""The ASGI driver."""

from semcache_core.http.asgi.driver import SemanticCacheASGI

__all__ = ["SemanticCacheASGI"]
