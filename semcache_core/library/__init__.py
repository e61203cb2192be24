"""The Python API: the cache, its lookups, cached functions, and the blocking facade."""
