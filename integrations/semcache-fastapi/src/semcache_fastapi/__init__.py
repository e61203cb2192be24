"""The semantic cache as middleware for FastAPI and every other Starlette application."""

from semcache_fastapi.middleware import SemanticCacheMiddleware

__all__ = ["SemanticCacheMiddleware"]
