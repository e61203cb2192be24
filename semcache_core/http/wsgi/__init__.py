"""The WSGI driver."""

from semcache_core.http.wsgi.driver import SemanticCacheWSGI

__all__ = ["SemanticCacheWSGI"]
